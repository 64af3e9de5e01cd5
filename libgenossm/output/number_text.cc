#include "libgenossm/output/number_text.h"

#include <charconv>
#include <cmath>

namespace genossm {

void put_number(std::string& line, float value) {
  if (std::isnan(value)) {  // of which the sign says nothing
    line += "nan";
    return;
  }
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value);
  line.append(text, end.ptr);
}

}  // namespace genossm
