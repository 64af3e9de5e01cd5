// Likelihood: what the logits say about the bases that are there.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/core/device.h"

namespace genossm {

// One value a base: ln p and the entropy of the predicted distribution, in nats. logp is NaN where
// a base has no score: N and other letters, and the first base of a causal reading (which has no
// prediction and so no entropy either).
struct BaseScores {
  std::vector<float> logp, entropy;
};

// Softmax over `alphabet` (token ids; empty: all) of each row of logits [L, V]; target[i] is a
// position in the alphabet, or -1. Appends L values to scores.
void score_rows(Device& device, View<const float, 2> logits,
                const std::vector<std::int32_t>& alphabet, View<const std::int32_t, 1> target,
                BaseScores& scores);

// The heights of A, C, G and T in the logo of one row's prediction: p times (2 - entropy), bits.
// `alphabet`: the ids of A, C, G, T.
void logo_heights(std::span<const float> logits, const std::vector<std::int32_t>& alphabet,
                  std::array<float, 4>& heights);

// Running totals of one record.
struct LikelihoodTotals {
  std::int64_t scored = 0, unscored = 0;
  double sum = 0;  // nats
  void add(float logp);
  double mean() const;
  double bits_per_base() const;  // -mean / ln 2
  double perplexity() const;     // exp(-mean)
};

}  // namespace genossm
