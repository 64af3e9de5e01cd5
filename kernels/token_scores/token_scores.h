// token_scores -- log-probability of chosen tokens and the entropy of the distribution.
//
//   p      = softmax over the logits of the alphabet's tokens           [K]
//   logp[t]    = ln p[target[t]]    (NaN where target[t] is -1)
//   entropy[t] = - sum p ln p       (natural logarithm; nats)
//
// target[t] is a position in `alphabet`, not a token id. An empty alphabet means all V tokens (then
// target is a token id).
// Numerics: the largest logit is subtracted first; double on Reference, float32 exp/log on Cpu.
#pragma once

#include "kernels/core/device.h"

namespace genossm {

struct TokenScores {
  // in
  View<const float, 2> logits;           // [L, V]
  View<const std::int32_t, 1> alphabet;  // [K]  token ids; empty: all
  View<const std::int32_t, 1> target;    // [L]  empty: no logp wanted
  // out
  View<float, 1> logp;     // [L]  empty: not wanted
  View<float, 1> entropy;  // [L]  empty: not wanted
};

void check(const TokenScores&);            // throws Error{Fault::shape}
void run(Reference&, const TokenScores&);  // the definition, double
void run(Cpu&, const TokenScores&);
// On Cuda the alphabet and the targets are in device memory and not looked at by the check.
void check_on(const Cuda&, const TokenScores&);
void run(Cuda&, const TokenScores&);

}  // namespace genossm
