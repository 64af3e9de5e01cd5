// SHA-256 (FIPS 180-4), for the identity of weight files.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace genossm {

class Sha256 {
 public:
  void update(std::span<const std::byte> bytes);
  // Ends the message: 64 hexadecimal digits. Call once, last.
  std::string hex();

 private:
  std::array<std::uint32_t, 8> state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<std::byte, 64> block_{};
  std::size_t filled_ = 0;    // bytes of block_ in use
  std::uint64_t length_ = 0;  // bytes of the message so far
};

}  // namespace genossm
