// Rows of floats as the elements of a file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "libgenossm/output/writer.h"

namespace genossm {

class ElementEncoder {
 public:
  explicit ElementEncoder(Element element) : element_(element) {}

  // The record that the next rows belong to, for messages.
  void begin_record(const std::string& name);

  // The row's bytes, little-endian, rounded to nearest; they hold until the next call. Infinity and
  // NaN stay. Throws Error{Fault::input} for a finite value that the element type has no room for.
  std::string_view encode(const float* row, Index columns);

 private:
  template <class Convert>
  std::string_view narrow(const float* row, Index columns, std::uint16_t infinity, Convert convert);

  Element element_;
  std::string record_;
  Index row_ = 0;  // of the record
  std::string bytes_;
};

}  // namespace genossm
