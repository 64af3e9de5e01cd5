// Lanes run across channels. Every sum is taken over whole vectors, zeros above the last channel,
// in four interleaved parts that are joined at the end: an order that D (or the group) fixes.
#include <algorithm>
#include <cmath>

#include "kernels/norm/norm.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/norm/cpu.cc"
#include "hwy/foreach_target.h"
//
#include "kernels/core/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace genossm {
namespace HWY_NAMESPACE {

// The sum of term(v) over n channels, where v are the lanes that start at values[i] and term gives
// zero for the lanes from n - i on.
template <class Term>
HWY_INLINE float sum_over(const float* values, Index n, Term term) {
  const F32 d;
  const auto lanes = static_cast<Index>(hn::Lanes(d));
  Vec part[4] = {hn::Zero(d), hn::Zero(d), hn::Zero(d), hn::Zero(d)};
  Index i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    for (Index k = 0; k < 4; ++k) {
      const Index at = i + k * lanes;
      part[k] = term(part[k], load_lanes(d, values + at, n - at), n - at);
    }
  }
  for (Index k = 0; i < n; i += lanes, ++k) {
    part[k] = term(part[k], load_lanes(d, values + i, n - i), n - i);
  }
  const Vec all = hn::Add(hn::Add(part[0], part[1]), hn::Add(part[2], part[3]));
  return hn::GetLane(hn::SumOfLanes(d, all));
}

// What the statistics are taken of, left in the row of y; adds to the residual.
HWY_INLINE void prepare(const Norm& op, Index t) {
  const F32 d;
  const Index D = op.x.extent[1];
  const auto lanes = static_cast<Index>(hn::Lanes(d));
  const float* x = op.x.row(t);
  float* residual = op.residual.empty() ? nullptr : op.residual.row(t);
  const float* z = op.gate == Norm::Gate::before ? op.z.row(t) : nullptr;
  float* y = op.y.row(t);
  for (Index i = 0; i < D; i += lanes) {
    Vec v = load_lanes(d, x + i, D - i);
    if (residual != nullptr) {
      v = hn::Add(load_lanes(d, residual + i, D - i), v);
      store_lanes(d, v, residual + i, D - i);
    }
    if (z != nullptr) v = hn::Mul(v, silu(d, load_lanes(d, z + i, D - i)));
    store_lanes(d, v, y + i, D - i);
  }
}

// Normalises `n` channels of `values` into y.
HWY_INLINE void normalise(const Norm& op, const float* values, const float* weight,
                          const float* bias, const float* z, float* y, Index n) {
  const F32 d;
  const auto lanes = static_cast<Index>(hn::Lanes(d));
  const float count = static_cast<float>(n);
  Vec mean = hn::Zero(d);
  if (op.kind == Norm::Kind::layer) {
    const float sum =
        sum_over(values, n, [](Vec s, Vec v, Index) HWY_ATTR { return hn::Add(s, v); });
    mean = hn::Set(d, sum / count);
  }
  const float squares = sum_over(values, n, [d, mean](Vec s, Vec v, Index rest) HWY_ATTR {
    // The lanes above the last channel hold zero, not the mean.
    const Vec c =
        hn::IfThenElseZero(hn::FirstN(d, static_cast<std::size_t>(rest)), hn::Sub(v, mean));
    return hn::MulAdd(c, c, s);
  });
  const Vec scale = hn::Set(d, 1.0f / std::sqrt(squares / count + op.eps));
  for (Index i = 0; i < n; i += lanes) {
    Vec v = hn::Mul(hn::Sub(load_lanes(d, values + i, n - i), mean), scale);
    v = hn::Mul(v, load_lanes(d, weight + i, n - i));
    if (bias != nullptr) v = hn::Add(v, load_lanes(d, bias + i, n - i));
    if (z != nullptr) v = hn::Mul(v, silu(d, load_lanes(d, z + i, n - i)));
    store_lanes(d, v, y + i, n - i);
  }
}

void norm_rows(const Norm& op, Index begin, Index end) {
  const Index D = op.x.extent[1];
  const Index G = op.group > 0 ? op.group : D;
  const bool as_it_is = op.residual.empty() && op.gate != Norm::Gate::before;
  for (Index t = begin; t < end; ++t) {
    if (!as_it_is) prepare(op, t);
    const float* values = as_it_is ? op.x.row(t) : op.y.row(t);
    const float* z = op.gate == Norm::Gate::after ? op.z.row(t) : nullptr;
    for (Index g = 0; g < D; g += G) {
      normalise(op, values + g, op.weight.data + g, op.bias.empty() ? nullptr : op.bias.data + g,
                z == nullptr ? nullptr : z + g, op.y.row(t) + g, G);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace genossm
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace genossm {

HWY_EXPORT(norm_rows);

void run(Cpu& cpu, const Norm& op) {
  const Index L = op.x.extent[0];
  const auto rows_of = HWY_DYNAMIC_DISPATCH(norm_rows);
  // Rows a range: enough to be worth handing to another thread.
  constexpr Index kRows = 4 * kTile;
  cpu.for_each((L + kRows - 1) / kRows,
               [&](Index range) { rows_of(op, range * kRows, std::min(L, (range + 1) * kRows)); });
}

}  // namespace genossm
#endif  // HWY_ONCE
