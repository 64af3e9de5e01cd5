// safetensors files: 8 bytes of header length, a JSON header, the data.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/core/dtype.h"
#include "libgenossm/output/writer.h"

namespace genossm {

// The header, tensor by tensor in the order of the data.
class SafetensorsOutputHeader {
 public:
  SafetensorsOutputHeader();
  SafetensorsOutputHeader(SafetensorsOutputHeader&&) noexcept;
  ~SafetensorsOutputHeader();

  // An entry of __metadata__; before the first tensor.
  void note(const std::string& key, std::string_view value);
  void add(const std::string& name, DType type, const std::vector<Index>& shape,
           std::uint64_t bytes);
  // Padded with spaces so that the data begin at byte `size`; 0: at the next multiple of eight.
  std::string text(std::size_t size) const;

 private:
  struct Json;
  std::unique_ptr<Json> json_;
  std::uint64_t at_ = 0;
};

// A tensor whose bytes lie in memory, row-major and little-endian.
struct OutputTensor {
  std::string name;
  DType type = DType::f32;
  std::vector<Index> shape;
  std::string_view bytes;
};

// A whole file, which appears when it is complete. Throws Fault::output.
void write_safetensors(const std::string& path, bool force,
                       const std::vector<std::pair<std::string, std::string>>& metadata,
                       const std::vector<OutputTensor>& tensors);

}  // namespace genossm
