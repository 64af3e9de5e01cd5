#include "libgenossm/base/sha256.h"

#include <gtest/gtest.h>

#include <random>
#include <string_view>
#include <vector>

namespace genossm {
namespace {

std::string sha256(std::string_view text) {
  Sha256 digest;
  digest.update(std::as_bytes(std::span(text)));
  return digest.hex();
}

// FIPS 180-4 examples and the NIST long message.
TEST(Sha256, PublishedValues) {
  EXPECT_EQ(sha256(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(sha256(std::string(1'000'000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, TheSameInPieces) {
  std::mt19937 random(7);
  std::vector<std::byte> message(1000);
  for (std::byte& byte : message) byte = static_cast<std::byte>(random());
  for (std::size_t length = 0; length <= 200; ++length) {
    const std::span<const std::byte> whole(message.data(), length);
    Sha256 at_once;
    at_once.update(whole);
    const std::string wanted = at_once.hex();
    for (const std::size_t piece : {1u, 3u, 55u, 64u, 65u}) {
      Sha256 digest;
      for (std::size_t i = 0; i < length; i += piece) {
        digest.update(whole.subspan(i, std::min(piece, length - i)));
      }
      EXPECT_EQ(digest.hex(), wanted) << length << " in pieces of " << piece;
    }
  }
}

}  // namespace
}  // namespace genossm
