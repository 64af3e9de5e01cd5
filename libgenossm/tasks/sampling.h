// Sampling: the next base from the model's logits of A, C, G and T.
#pragma once

#include <array>
#include <cstdint>

namespace genossm {

struct Sampling {
  double temperature = 1;  // 0: always the likeliest base
  int top_k = 0;           // only the k likeliest; 0: all four
  double top_p = 1;        // only the likeliest that together reach this probability
};

// Throws Fault::usage for a temperature below 0, top_k outside 0 to 4, top_p outside (0, 1].
void check(const Sampling& sampling);

// 0..3, where `u` in [0, 1) falls in the probabilities that are left, the likeliest first; of equal
// ones the first in the alphabet. Throws Fault::input for logits that are not finite.
int draw(const std::array<float, 4>& logits, const Sampling& sampling, double u);

// In [0, 1), the same everywhere: a hash of the seed, the sequence's number and the base's place,
// so that a base depends on nothing that was drawn elsewhere.
double uniform(std::uint64_t seed, std::uint64_t sequence, std::uint64_t place);

}  // namespace genossm
