// Lanes run across the alphabet, one token of the sequence at a time. With e[k] = exp(l[k] - max)
// and S = sum e: ln p[k] = l[k] - max - ln S, entropy = ln S - sum e[k] (l[k] - max) / S. The
// largest term of S is 1 and is left out of the sum: ln S = log1p(rest) keeps the digits of
// distributions that are nearly certain.
#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/core/buffer.h"
#include "kernels/token_scores/token_scores.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/token_scores/cpu.cc"
#include "hwy/foreach_target.h"
//
#include "kernels/core/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace genossm {
namespace HWY_NAMESPACE {

// Below it e^l is zero in float32; finite, so that 0 * l is 0.
inline constexpr float kNever = -1000.0f;

struct Sums {
  float rest;      // sum of e[k] but the largest
  float weighted;  // sum of e[k] (l[k] - max)
};

// l[k] - max for K tokens, kNever at the largest.
HWY_INLINE Sums sums_of(const float* l, Index K) {
  const F32 d;
  const auto lanes = static_cast<Index>(hn::Lanes(d));
  Vec rest = hn::Zero(d), weighted = hn::Zero(d);
  for (Index k = 0; k < K; k += lanes) {
    Vec v = load_lanes(d, l + k, K - k);
    v = hn::IfThenElse(hn::Lt(v, hn::Set(d, kNever)), hn::Set(d, kNever), v);  // NaN stays
    const Vec e = hn::IfThenElseZero(hn::FirstN(d, static_cast<std::size_t>(K - k)), exp(d, v));
    rest = hn::Add(rest, e);
    weighted = hn::MulAdd(e, v, weighted);
  }
  return {hn::GetLane(hn::SumOfLanes(d, rest)), hn::GetLane(hn::SumOfLanes(d, weighted))};
}

void score_rows(const TokenScores& op, Index begin, Index end) {
  const Index V = op.logits.extent[1];
  const Index K = op.alphabet.empty() ? V : op.alphabet.extent[0];
  const Buffer<float> l(K);
  for (Index t = begin; t < end; ++t) {
    const float* logits = op.logits.row(t);
    for (Index k = 0; k < K; ++k) l[k] = logits[op.alphabet.empty() ? k : op.alphabet.data[k]];
    const Index best = std::max_element(l.begin(), l.end()) - l.begin();
    const float largest = l[best];
    for (float& value : l) value -= largest;
    const Index target = op.target.empty() ? -1 : op.target.data[t];
    const float wanted = target < 0 ? std::numeric_limits<float>::quiet_NaN() : l[target];
    const float certain = l[best];  // 0, or NaN where the largest logit is not finite
    l[best] = kNever;
    const Sums sums = sums_of(l.data(), K);
    const float rest = sums.rest + certain;
    const float log_sum = std::log1p(rest);
    if (!op.logp.empty()) op.logp.data[t] = wanted - log_sum;
    if (!op.entropy.empty()) op.entropy.data[t] = log_sum - sums.weighted / (1 + rest);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace genossm
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace genossm {

HWY_EXPORT(score_rows);

void run(Cpu& cpu, const TokenScores& op) {
  const Index L = op.logits.extent[0];
  const auto rows_of = HWY_DYNAMIC_DISPATCH(score_rows);
  // Rows a range: enough to be worth handing to another thread.
  constexpr Index kRows = 4 * kTile;
  cpu.for_each((L + kRows - 1) / kRows,
               [&](Index range) { rows_of(op, range * kRows, std::min(L, (range + 1) * kRows)); });
}

}  // namespace genossm
#endif  // HWY_ONCE
