// RandomStream: SplitMix64 (Steele, Lea and Flood 2014). The standard library's distributions
// differ between versions; these do not.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "kernels/core/view.h"

namespace genossm {

class RandomStream {
 public:
  // Streams of one seed are independent of each other: one a resample, an epoch, a purpose.
  RandomStream(std::uint64_t seed, std::uint64_t stream) : state_(mix(mix(seed) + stream)) {}

  std::uint64_t next() { return mix(state_ += 0x9e3779b97f4a7c15ull); }

  // In [0, n), every value equally likely: the upper word of a 128-bit product, products that would
  // favour some values drawn again (Lemire 2019).
  std::uint64_t below(std::uint64_t n) {
    auto product = static_cast<unsigned __int128>(next()) * n;
    if (static_cast<std::uint64_t>(product) < n) {
      const std::uint64_t least = (0 - n) % n;
      while (static_cast<std::uint64_t>(product) < least) {
        product = static_cast<unsigned __int128>(next()) * n;
      }
    }
    return static_cast<std::uint64_t>(product >> 64);
  }

  // In [0, 1), 53 bits.
  double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }

  // Fisher and Yates.
  template <class T>
  void shuffle(std::vector<T>& values) {
    for (std::size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[below(i)]);
  }

 private:
  static std::uint64_t mix(std::uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
  }

  std::uint64_t state_;
};

}  // namespace genossm
