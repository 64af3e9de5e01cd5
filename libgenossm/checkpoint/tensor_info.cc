#include "libgenossm/checkpoint/tensor_info.h"

#include <string>

#include "kernels/core/error.h"
#include "libgenossm/base/text.h"

namespace genossm {

Index TensorInfo::elements() const {
  Index product = 1;
  for (const Index extent : shape) product *= extent;
  return product;
}

std::string shape_text(const std::vector<Index>& shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(shape[i]);
  }
  return text + ']';
}

bool is_floating(DType type) {
  return type == DType::f64 || type == DType::f32 || type == DType::f16 || type == DType::bf16;
}

void check_tensor_name(const std::string& name, const std::string& origin) {
  constexpr std::size_t kLongest = 512;
  if (name.empty() || name.size() > kLongest || !is_plain(name) || find_bad_utf8(name)) {
    fail(Fault::checkpoint, origin + ": \"" + shown(name) +
                                "\" is not acceptable as the name of a tensor; want 1 to 512 bytes "
                                "of UTF-8 without control characters");
  }
}

Index checked_elements(const TensorInfo& tensor, std::size_t room) {
  const Index elements = tensor.elements();
  if (static_cast<std::size_t>(elements) != room) {
    fail(Fault::internal, shown(tensor.name) + ": read into room for " + std::to_string(room) +
                              " elements, has " + std::to_string(elements));
  }
  return elements;
}

}  // namespace genossm
