#include "libgenossm/base/text.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

namespace genossm {
namespace {

std::string encode(std::uint32_t code) {
  std::string out;
  const auto put = [&](std::uint32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xc0 | code >> 6), put(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    put(0xe0 | code >> 12), put(0x80 | (code >> 6 & 0x3f)), put(0x80 | (code & 0x3f));
  } else {
    put(0xf0 | code >> 18), put(0x80 | (code >> 12 & 0x3f)), put(0x80 | (code >> 6 & 0x3f));
    put(0x80 | (code & 0x3f));
  }
  return out;
}

TEST(Utf8, EveryCodePointButSurrogates) {
  for (std::uint32_t code = 0; code < 0x110000; ++code) {
    const bool surrogate = code >= 0xd800 && code <= 0xdfff;
    ASSERT_EQ(find_bad_utf8(encode(code)).has_value(), surrogate) << code;
  }
  EXPECT_TRUE(find_bad_utf8(encode(0x110000)));
}

TEST(Utf8, BadBytesAreFoundWhereTheyAre) {
  EXPECT_EQ(find_bad_utf8(""), std::nullopt);
  EXPECT_EQ(find_bad_utf8("abcdefghijkl\xff"), 12u);
  EXPECT_EQ(find_bad_utf8("abcdefgh\xc3\xa9x\x80"), 11u);
  EXPECT_EQ(find_bad_utf8("\xc0\x80"), 0u) << "overlong NUL";
  EXPECT_EQ(find_bad_utf8("\xe0\x9f\xbf"), 0u) << "overlong";
  EXPECT_EQ(find_bad_utf8("\xf0\x8f\xbf\xbf"), 0u) << "overlong";
  EXPECT_EQ(find_bad_utf8("a\xc3"), 1u) << "cut off";
  EXPECT_EQ(find_bad_utf8("a\xe2\x82"), 1u) << "cut off";
  EXPECT_EQ(find_bad_utf8("\xc3("), 0u) << "no continuation";
}

TEST(Shown, ControlsAndBadBytesAreEscapedAndLengthIsBounded) {
  EXPECT_EQ(shown("plain.name"), "plain.name");
  EXPECT_EQ(shown(std::string("a\0b\n\x7f", 5)), "a\\x00b\\x0a\\x7f");
  EXPECT_EQ(shown("\xc3\xa9\xff"), "\xc3\xa9\\xff");
  EXPECT_EQ(shown(std::string(1000, 'x')), std::string(100, 'x') + "...");
  EXPECT_FALSE(find_bad_utf8(shown(std::string(99, 'x') + "\xc3\xa9\xc3\xa9")));
}

TEST(Plain, NoControls) {
  EXPECT_TRUE(is_plain("backbone.layers.0 \xc3\xa9"));
  EXPECT_FALSE(is_plain("a\tb"));
  EXPECT_FALSE(is_plain(std::string("a\0", 2)));
}

}  // namespace
}  // namespace genossm
