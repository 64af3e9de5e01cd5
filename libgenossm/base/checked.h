// Arithmetic and loads on numbers that came from a file: nothing wraps, nothing reads past the end.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

namespace genossm {

static_assert(std::endian::native == std::endian::little,
              "weight files are little-endian and are read in place");

using Bytes = std::span<const std::byte>;

inline std::optional<std::uint64_t> checked_add(std::uint64_t a, std::uint64_t b) {
  std::uint64_t sum;
  if (__builtin_add_overflow(a, b, &sum)) return std::nullopt;
  return sum;
}

inline std::optional<std::uint64_t> checked_mul(std::uint64_t a, std::uint64_t b) {
  std::uint64_t product;
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

// [offset, offset + size) lies within `total` bytes.
constexpr bool within(std::uint64_t offset, std::uint64_t size, std::uint64_t total) {
  return offset <= total && size <= total - offset;
}

// The little-endian T at `offset`; none if it does not lie within the bytes.
template <class T>
std::optional<T> load_little(Bytes bytes, std::uint64_t offset) {
  if (!within(offset, sizeof(T), bytes.size())) return std::nullopt;
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

}  // namespace genossm
