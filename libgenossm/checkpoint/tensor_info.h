// TensorInfo and TensorSource: what every container of weights offers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kernels/core/dtype.h"
#include "libgenossm/base/mapped_file.h"

namespace genossm {

// One tensor of a file: dense and row-major once read.
struct TensorInfo {
  std::string name;
  DType dtype = DType::f32;
  std::vector<Index> shape;
  Index elements() const;
};

// Where the tensors are. Implementations: safetensors (mapped), torch zip (mapped, strided views).
class TensorSource {
 public:
  virtual ~TensorSource() = default;
  virtual const std::vector<TensorInfo>& tensors() const = 0;
  // Converts tensor i to float32, row-major. Throws Fault::checkpoint for integer dtypes.
  virtual void read_f32(std::size_t i, std::span<float> out) const = 0;
  // Converts an integer tensor (I64, I32, I16, I8, U8, BOOL) to int64.
  virtual void read_i64(std::size_t i, std::span<std::int64_t> out) const = 0;
  // Where the elements of tensor i lie one after the other, row-major, checked; none if they do
  // not.
  struct Place {
    MappedFile file;
    const std::byte* data;
  };
  virtual std::optional<Place> place(std::size_t i) const = 0;
  // A file that is stored within this one under a name (see torch_pickle.h); none if there is none.
  virtual std::optional<std::span<const std::byte>> blob(const std::string& name) const {
    static_cast<void>(name);
    return std::nullopt;
  }
};

std::string shape_text(const std::vector<Index>& shape);  // "[3, 4]"
bool is_floating(DType type);
// Throws Error{Fault::checkpoint} unless it is 1 to 512 bytes of UTF-8 without control characters.
void check_tensor_name(const std::string& name, const std::string& origin);

// The number of elements; throws Error{Fault::internal} unless `room` is just that.
Index checked_elements(const TensorInfo& tensor, std::size_t room);

// The largest number of dimensions that is read.
inline constexpr std::size_t kMaxRank = 32;

}  // namespace genossm
