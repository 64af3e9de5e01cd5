#include "libgenossm/io/letters.h"

namespace genossm::letters {
namespace {

constexpr std::array<std::uint8_t, 256> kinds_of_bytes() {
  std::array<std::uint8_t, 256> kind{};
  for (std::size_t i = 0; i < 256; ++i) kind[i] = i < 32 || i == 127 ? kControl : kWrong;
  kind[' '] = kind['\t'] = kBlank;
  for (const char c : std::string_view("-.*")) {
    kind[static_cast<unsigned char>(c)] = kAmbiguous | kGap;
  }
  constexpr std::size_t kToLower = 'a' - 'A';
  for (const char c : std::string_view("ACGTU")) {
    kind[static_cast<unsigned char>(c)] = 0;
    kind[static_cast<unsigned char>(c) + kToLower] = kLower;
  }
  for (const char c : std::string_view("NRYSWKMBDHV")) {
    kind[static_cast<unsigned char>(c)] = kAmbiguous;
    kind[static_cast<unsigned char>(c) + kToLower] = kAmbiguous | kLower;
  }
  return kind;
}

}  // namespace

constexpr std::array<std::uint8_t, 256> kKind = kinds_of_bytes();

std::uint8_t kinds(std::string_view text) {
  // Four sums, so that the loads of one do not wait for those of another.
  std::uint8_t a = 0, b = 0, c = 0, d = 0;
  std::size_t i = 0;
  for (; i + 4 <= text.size(); i += 4) {
    a |= kind(text[i]);
    b |= kind(text[i + 1]);
    c |= kind(text[i + 2]);
    d |= kind(text[i + 3]);
  }
  for (; i < text.size(); ++i) a |= kind(text[i]);
  return static_cast<std::uint8_t>(a | b | c | d);
}

std::size_t find_kind(std::string_view text, std::uint8_t wanted) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (kind(text[i]) & wanted) return i;
  }
  return std::string_view::npos;
}

std::string shown_byte(char c) {
  if (c == '\0') return "a NUL byte";
  if (c == '\t') return "a tab";
  if (c == ' ') return "a space";
  if (c == '\r') return "a carriage return inside the line";
  if (c == '\n') return "a line feed in a file whose lines end with carriage returns";
  if (c > ' ' && c <= '~') return std::string("'") + c + "'";
  constexpr std::string_view kHex = "0123456789abcdef";
  const auto u = static_cast<unsigned char>(c);
  return std::string("byte 0x") + kHex[u >> 4] + kHex[u & 15];
}

}  // namespace genossm::letters
