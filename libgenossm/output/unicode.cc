#include "libgenossm/output/unicode.h"

#include <algorithm>
#include <cstddef>

#include "libgenossm/base/text.h"

namespace genossm {
namespace {

// Calls good(text) and bad() for the parts in their order.
template <class Good, class Bad>
void for_each_part(std::string_view text, Good good, Bad bad) {
  for (auto at = find_bad_utf8(text); at; at = find_bad_utf8(text)) {
    good(text.substr(0, *at));
    bad();
    text.remove_prefix(*at + 1);
  }
  good(text);
}

// Well-formed UTF-8 only.
void append_code_points(std::string_view text, std::u32string& out) {
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const int more = lead < 0x80 ? 0 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
    char32_t point = more == 0 ? lead : lead & (0x3fu >> more);
    for (++i; i < text.size() && (static_cast<unsigned char>(text[i]) & 0xc0) == 0x80; ++i) {
      point = point << 6 | (static_cast<unsigned char>(text[i]) & 0x3fu);
    }
    out += point;
  }
}

}  // namespace

std::u32string to_utf32(std::string_view text) {
  std::u32string out;
  out.reserve(text.size());
  for_each_part(
      text, [&](std::string_view part) { append_code_points(part, out); },
      [&] { out += U'\ufffd'; });
  return out;
}

std::string to_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for_each_part(
      text, [&](std::string_view part) { out += part; }, [&] { out += "\xef\xbf\xbd"; });
  return out;
}

std::string to_field(std::string_view text) {
  std::string out(text);
  const auto is_control = [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f;
  };
  std::replace_if(out.begin(), out.end(), is_control, ' ');
  return out;
}

}  // namespace genossm
