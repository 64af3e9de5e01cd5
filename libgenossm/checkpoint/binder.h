// Binder: a family says "this weight has this name and this shape" once; who listens decides what
// happens. Loader fills the weights from a checkpoint, Listing writes the names down.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kernels/core/buffer.h"
#include "kernels/core/stored_matrix.h"
#include "kernels/core/view.h"
#include "libgenossm/base/mapped_file.h"

namespace genossm {

enum class Presence { required, optional };

// A named weight of a model, row-major: float32 in `values`, or, of one that was asked for by
// bind_matrix(), the elements as they lie in the file.
struct Tensor {
  std::vector<Index> shape;
  Buffer<float> values;
  StoredMatrix stored;             // then there are no values
  std::optional<MappedFile> file;  // keeps `stored` in place

  bool present() const { return values.data() != nullptr || stored.data != nullptr; }
  // The weight as a matrix, wherever it lies.
  StoredMatrix matrix() const {
    if (stored.data != nullptr) return stored;
    const View<const float, 2> m = view2();
    return {reinterpret_cast<const std::byte*>(m.data), DType::f32, m.extent[0], m.extent[1]};
  }
  // Says that the file's pages of this weight will hardly be read again: whoever made a copy in a
  // form of its own need not keep both in memory.
  void not_needed() const {
    if (file && stored.data != nullptr) file->not_needed(stored.bytes());
  }
  // Views of the values in as many dimensions as the shape has, or with the trailing ones of a
  // higher rank folded into the last: [E, 1, W] is a matrix [E, W].
  View<const float, 1> view1() const { return {values.data(), {values.size()}}; }
  View<const float, 2> view2() const {
    if (!present()) return {};
    const Index rows = shape.empty() ? 1 : shape.front();
    return {values.data(), {rows, values.size() / rows}};
  }
};

class Binder {
 public:
  virtual ~Binder() = default;

  // Asks for the tensor `name` of exactly `shape`.
  virtual void bind(Tensor& target, const std::string& name, const std::vector<Index>& shape,
                    Presence presence = Presence::required) = 0;
  // bind() of a large matrix, which is left in the file where it can be: see Tensor.
  virtual void bind_matrix(Tensor& target, const std::string& name,
                           const std::vector<Index>& shape) {
    bind(target, name, shape);
  }
  // A tensor that may be there and is not needed (tied copies, complement maps): accounted for, its
  // shape checked, not kept.
  virtual void ignore(const std::string& name, const std::vector<Index>& shape) = 0;
  // The values of one tensor of an archive that is stored whole under `name` (what Transformer
  // Engine calls _extra_state), in float32; empty where there is none. Accounted for either way.
  virtual std::vector<float> nested(const std::string& name, const std::string& tensor) {
    static_cast<void>(name), static_cast<void>(tensor);
    return {};
  }
  virtual bool has(const std::string& name) const = 0;
  virtual std::optional<std::vector<Index>> shape_of(const std::string& name) const = 0;
  // An integer tensor, accounted for; none if it is not there.
  virtual std::optional<std::vector<std::int64_t>> integers(const std::string& name) = 0;

  // bind() under the first of several names of one weight that is there; the first of all if none.
  void bind_any(Tensor& target, std::span<const std::string> names, const std::vector<Index>& shape,
                Presence presence = Presence::required) {
    for (const std::string& name : names) {
      if (has(name)) return bind(target, name, shape, presence);
    }
    bind(target, names.front(), shape, presence);
  }
};

}  // namespace genossm
