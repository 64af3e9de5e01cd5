#include "libgenossm/output/elements.h"

#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels/core/dtype.h"
#include "kernels/core/error.h"
#include "libgenossm/base/text.h"

namespace genossm {

Element parse_element(const std::string& text) {
  for (const Element element : {Element::f32, Element::f16, Element::bf16}) {
    if (text == name_of(element)) return element;
  }
  fail(Fault::usage, "--dtype '" + text + "' is none of f32, f16, bf16");
}

std::string_view name_of(Element element) {
  switch (element) {
    case Element::f32:
      return "f32";
    case Element::f16:
      return "f16";
    case Element::bf16:
      return "bf16";
  }
  return "?";
}

void ElementEncoder::begin_record(const std::string& name) {
  record_ = name;
  row_ = 0;
}

template <class Convert>
std::string_view ElementEncoder::narrow(const float* row, Index columns, std::uint16_t infinity,
                                        Convert convert) {
  bytes_.resize(static_cast<std::size_t>(2 * columns));
  for (Index c = 0; c < columns; ++c) {
    const std::uint16_t bits = convert(row[c]);
    if ((bits & 0x7fffu) == infinity && std::isfinite(row[c])) {
      fail(Fault::input, "record '" + shown(record_) + "': the value " + std::to_string(row[c]) +
                             " in row " + std::to_string(row_) + ", column " + std::to_string(c) +
                             " is too large for " + std::string(name_of(element_)) +
                             "; use --dtype f32");
    }
    std::memcpy(bytes_.data() + 2 * c, &bits, 2);
  }
  return bytes_;
}

std::string_view ElementEncoder::encode(const float* row, Index columns) {
  std::string_view bytes;
  switch (element_) {
    case Element::f32:
      bytes = {reinterpret_cast<const char*>(row), static_cast<std::size_t>(4 * columns)};
      break;
    case Element::f16:
      bytes = narrow(row, columns, 0x7c00, f32_to_f16);
      break;
    case Element::bf16:
      bytes = narrow(row, columns, 0x7f80, f32_to_bf16);
      break;
  }
  ++row_;
  return bytes;
}

}  // namespace genossm
