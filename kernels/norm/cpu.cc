// Lanes run across channels. Every sum is taken over whole vectors, zeros above the last channel,
// in four interleaved parts that are joined at the end: an order that D (or the group) fixes.
#include <algorithm>
#include <cmath>

#include "kernels/core/buffer.h"
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

// Calls body.operator()<K>(i, left) for the lanes from i on: groups of four whole vectors, then
// single ones, of which the last may be short.
template <class Body>
HWY_INLINE void over_vectors(Index n, Body body) {
  const auto lanes = static_cast<Index>(hn::Lanes(F32()));
  Index i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) body.template operator()<4>(i, 4 * lanes);
  for (; i < n; i += lanes) body.template operator()<1>(i, n - i);
}

template <int K>
HWY_INLINE void load(F32 d, const float* from, Index left, Vec (&v)[K]) {
  const auto lanes = static_cast<Index>(hn::Lanes(d));
  for (int k = 0; k < K; ++k) v[k] = load_of_group<K>(d, from + k * lanes, left);
}

template <int K>
HWY_INLINE void store(F32 d, const Vec (&v)[K], float* to, Index left) {
  const auto lanes = static_cast<Index>(hn::Lanes(d));
  for (int k = 0; k < K; ++k) store_of_group<K>(d, v[k], to + k * lanes, left);
}

// What the statistics are taken of; adds to the residual.
HWY_INLINE void prepare(const Norm& op, Index t, float* values) {
  const F32 d;
  const float* x = op.x.row(t);
  float* residual = op.residual.empty() ? nullptr : op.residual.row(t);
  const float* z = op.gate == Norm::Gate::before ? op.z.row(t) : nullptr;
  over_vectors(op.x.extent[1], [&]<int K>(Index i, Index left) HWY_ATTR {
    Vec v[K], more[K];
    load(d, x + i, left, v);
    if (residual != nullptr) {
      load(d, residual + i, left, more);
      for (int k = 0; k < K; ++k) v[k] = hn::Add(more[k], v[k]);
      store(d, v, residual + i, left);
    }
    if (z != nullptr) {
      load(d, z + i, left, more);
      silu(d, more);
      for (int k = 0; k < K; ++k) v[k] = hn::Mul(v[k], more[k]);
    }
    store(d, v, values + i, left);
  });
}

// Normalises `n` channels of `values` into y.
HWY_INLINE void normalise(const Norm& op, const float* values, const float* weight,
                          const float* bias, const float* z, float* y, Index n) {
  const F32 d;
  const float count = static_cast<float>(n);
  Vec mean = hn::Zero(d);
  if (op.kind == Norm::Kind::layer) {
    const float sum =
        sum_over(values, n, [](Vec s, Vec v, Index) HWY_ATTR { return hn::Add(s, v); });
    mean = hn::Set(d, sum / count);
  }
  float squares;
  if (op.kind != Norm::Kind::layer) {
    squares = sum_over(values, n, [](Vec s, Vec v, Index) HWY_ATTR { return hn::MulAdd(v, v, s); });
  } else {
    squares = sum_over(values, n, [d, mean](Vec s, Vec v, Index rest) HWY_ATTR {
      // The lanes above the last channel hold zero, not the mean.
      const Vec c =
          hn::IfThenElseZero(hn::FirstN(d, static_cast<std::size_t>(rest)), hn::Sub(v, mean));
      return hn::MulAdd(c, c, s);
    });
  }
  const float square = squares / count;
  const float divisor =
      op.kind == Norm::Kind::rms_plus ? std::sqrt(square) + op.eps : std::sqrt(square + op.eps);
  const Vec scale = hn::Set(d, 1.0f / divisor);
  const bool accumulate = op.accumulate;
  over_vectors(n, [&]<int K>(Index i, Index left) HWY_ATTR {
    Vec v[K], more[K];
    load(d, values + i, left, v);
    load(d, weight + i, left, more);
    for (int k = 0; k < K; ++k) v[k] = hn::Mul(hn::Mul(hn::Sub(v[k], mean), scale), more[k]);
    if (bias != nullptr) {
      load(d, bias + i, left, more);
      for (int k = 0; k < K; ++k) v[k] = hn::Add(v[k], more[k]);
    }
    if (z != nullptr) {
      load(d, z + i, left, more);
      silu(d, more);
      for (int k = 0; k < K; ++k) v[k] = hn::Mul(v[k], more[k]);
    }
    if (accumulate) {
      load(d, y + i, left, more);
      for (int k = 0; k < K; ++k) v[k] = hn::Add(more[k], v[k]);
    }
    store(d, v, y + i, left);
  });
}

void norm_rows(const Norm& op, Index begin, Index end) {
  const Index D = op.x.extent[1];
  const Index G = op.group > 0 ? op.group : D;
  const bool as_it_is = op.residual.empty() && op.gate != Norm::Gate::before;
  const Buffer<float> prepared(as_it_is ? 0 : D);
  for (Index t = begin; t < end; ++t) {
    if (!as_it_is) prepare(op, t, prepared.data());
    const float* values = as_it_is ? op.x.row(t) : prepared.data();
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
