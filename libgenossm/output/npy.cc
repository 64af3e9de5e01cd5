#include "libgenossm/output/npy.h"

#include "kernels/core/error.h"

namespace genossm {

std::string npy_header(std::string_view type, const std::vector<Index>& shape) {
  std::string extents;
  for (const Index extent : shape) {
    if (!extents.empty()) extents += ' ';
    extents.append(std::to_string(extent)).append(",");
  }
  if (shape.size() > 1) extents.pop_back();  // the comma is for a tuple of one
  std::string header("\x93NUMPY\x01\x00", 8);
  header += static_cast<char>(kNpyHeader - 10);  // little-endian, 16 bits
  header += '\0';
  header += "{'descr': '" + std::string(type) + "', 'fortran_order': False, 'shape': (" + extents +
            "), }";
  require(header.size() < kNpyHeader, Fault::internal, "a .npy header of more than 128 bytes");
  header.resize(kNpyHeader - 1, ' ');
  header += '\n';
  return header;
}

std::string_view npy_type(Element element) {
  require(element != Element::bf16, Fault::internal, "numpy has no bf16");
  return element == Element::f32 ? "<f4" : "<f2";
}

}  // namespace genossm
