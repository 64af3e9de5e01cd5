// Numbers in tables.
#pragma once

#include <string>

namespace genossm {

// The shortest text that reads back as the same float; "nan", "inf", "-inf".
void put_number(std::string& line, float value);

}  // namespace genossm
