// Names, which are bytes of unknown origin, as text. A byte that is not UTF-8 becomes U+FFFD.
#pragma once

#include <string>
#include <string_view>

namespace genossm {

std::u32string to_utf32(std::string_view text);
std::string to_utf8(std::string_view text);

// The text as one field of a line: control characters, tabs and line breaks among them, become
// spaces. Other bytes stay.
std::string to_field(std::string_view text);

}  // namespace genossm
