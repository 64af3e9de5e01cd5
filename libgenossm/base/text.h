// Text that came from a file: is it UTF-8, and how to put it into a message.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace genossm {

// Offset of the first byte that is not well-formed UTF-8 (RFC 3629: no surrogates, no overlong
// forms).
std::optional<std::size_t> find_bad_utf8(std::string_view text);

// No NUL and no other control character: fit to be the name of a tensor or of a file member.
bool is_plain(std::string_view text);

// The text as a terminal may be given it: control characters and bytes that are not UTF-8 written
// as \xNN, cut after `longest` bytes.
std::string one_line(std::string_view text, std::size_t longest = std::string_view::npos);

// one_line() of 100 bytes: what a message quotes from a file.
std::string shown(std::string_view text);

}  // namespace genossm
