// Lanes run across outputs. A sum over the inputs is one chain of multiply-adds in their order,
// whatever tile of rows and vectors it is computed in.
#include <algorithm>
#include <vector>

#include "kernels/hyena_filter/hyena_filter.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/hyena_filter/cpu.cc"
#include "hwy/foreach_target.h"
//
#include "kernels/core/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace genossm {
namespace HWY_NAMESPACE {
namespace {

// sin(x) for |x| < 2^21: x = n pi + r with |r| <= pi/2, r from pi in three parts; then the series
// to r^13, whose next term is below 1e-9.
HWY_INLINE Vec sine(F32 d, Vec x) {
  const Vec n = hn::Round(hn::Mul(x, hn::Set(d, 0.318309886183790672f)));
  Vec r = hn::NegMulAdd(n, hn::Set(d, 3.140625f), x);
  r = hn::NegMulAdd(n, hn::Set(d, 9.67502593994140625e-4f), r);
  r = hn::NegMulAdd(n, hn::Set(d, 1.5099579909783765e-7f), r);
  const Vec square = hn::Mul(r, r);
  Vec p = hn::Set(d, 1.6059043836821613e-10f);
  for (const float c : {-2.5052108385441720e-8f, 2.7557319223985893e-6f, -1.9841269841269841e-4f,
                        8.3333333333333333e-3f, -1.6666666666666667e-1f}) {
    p = hn::MulAdd(p, square, hn::Set(d, c));
  }
  const Vec s = hn::MulAdd(hn::Mul(p, square), r, r);
  // An odd n turns the sign.
  const I32 di;
  return hn::BitCast(d, hn::Xor(hn::BitCast(di, s), hn::ShiftLeft<31>(hn::ConvertTo(di, n))));
}

// finish(row, column, vector, lanes left) of `bias + x W` for T rows and V vectors from (row,
// column).
template <int T, int V, class Finish>
HWY_INLINE void tile(View<const float, 2> x, View<const float, 2> w, const float* bias, Index row,
                     Index column, Index left, const Finish& finish) {
  const F32 d;
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  Vec sum[T][V];
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) {
    const Vec start = bias == nullptr
                          ? hn::Zero(d)
                          : load_of_group<V>(d, bias + column + v * lanes, left - v * lanes);
#pragma GCC unroll 4
    for (int t = 0; t < T; ++t) sum[t][v] = start;
  }
  for (Index k = 0; k < w.extent[0]; ++k) {
    const float* weights = w.row(k) + column;
    Vec b[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      b[v] = load_of_group<V>(d, weights + v * lanes, left - v * lanes);
    }
#pragma GCC unroll 4
    for (int t = 0; t < T; ++t) {
      const Vec a = hn::Set(d, x.row(row + t)[k]);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) sum[t][v] = hn::MulAdd(a, b[v], sum[t][v]);
    }
  }
#pragma GCC unroll 4
  for (int t = 0; t < T; ++t) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      finish(row + t, column + v * lanes, sum[t][v], left - v * lanes);
    }
  }
}

// All of x W + bias, [rows, columns].
template <class Finish>
HWY_INLINE void dense(View<const float, 2> x, View<const float, 2> w, const float* bias,
                      const Finish& finish) {
  const Index lanes = static_cast<Index>(hn::Lanes(F32()));
  const Index L = x.extent[0], N = w.extent[1];
  for (Index row = 0; row < L;) {
    const bool four = row + 4 <= L;
    for (Index column = 0; column < N;) {
      const bool two = column + 2 * lanes <= N;
      const Index left = N - column;
      if (four) {
        two ? tile<4, 2>(x, w, bias, row, column, left, finish)
            : tile<4, 1>(x, w, bias, row, column, left, finish);
      } else {
        two ? tile<1, 2>(x, w, bias, row, column, left, finish)
            : tile<1, 1>(x, w, bias, row, column, left, finish);
      }
      column += two ? 2 * lanes : lanes;
    }
    row += four ? 4 : 1;
  }
}

void trunk_rows(const HyenaTrunk& op, Index begin, Index end) {
  const Index H = op.freq.extent[0], M = op.w.extent[0], n = end - begin;
  const F32 d;
  std::vector<float> memory(static_cast<std::size_t>(M > 0 ? 2 * n * H : 0));
  const View<float, 2> half[2] = {{memory.data(), {n, H}},
                                  {memory.data() + n * H * (M > 0), {n, H}}};
  View<const float, 2> x = rows(op.z, begin, end);
  for (Index layer = 0; layer <= M; ++layer) {
    const View<const float, 2> w =
        layer == 0 ? op.w0 : View<const float, 2>(op.w.row(layer - 1), {H, H}, {op.w.stride[1], 1});
    const View<float, 2> y = layer == M ? rows(op.a, begin, end) : half[layer % 2];
    dense(x, w, layer == 0 ? op.b0.data : op.b.row(layer - 1),
          [&](Index t, Index column, Vec sum, Index left) HWY_ATTR {
            const Vec freq = load_lanes(d, op.freq.data + column, left);
            store_lanes(d, sine(d, hn::Mul(freq, sum)), y.row(t) + column, left);
          });
    x = y;
  }
}

void taps_rows(const HyenaTaps& op, Index begin, Index end) {
  const F32 d;
  const View<float, 2> h = rows(op.h, begin, end);
  dense(rows(op.a, begin, end), op.w, nullptr,
        [&](Index t, Index column, Vec sum, Index left) HWY_ATTR {
          const Vec rate = hn::Abs(load_lanes(d, op.deltas.data + column, left));
          const Vec time = hn::Set(d, -op.time.data[(begin + t) * op.time.stride[0]]);
          const Vec decay = hn::Add(exp(d, hn::Mul(time, rate)), hn::Set(d, op.shift));
          store_lanes(d, hn::Mul(sum, decay), h.row(t) + column, left);
        });
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace genossm
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace genossm {

HWY_EXPORT(trunk_rows);
HWY_EXPORT(taps_rows);

namespace {

// Rows a task: enough to be worth handing to another thread, few enough to stay in the cache.
constexpr Index kRows = 128;

template <class Op, class Rows>
void over_rows(Cpu& cpu, const Op& op, Index L, Rows rows_of) {
  cpu.for_each((L + kRows - 1) / kRows,
               [&](Index range) { rows_of(op, range * kRows, std::min(L, (range + 1) * kRows)); });
}

}  // namespace

void run(Cpu& cpu, const HyenaTrunk& op) {
  over_rows(cpu, op, op.z.extent[0], HWY_DYNAMIC_DISPATCH(trunk_rows));
}

void run(Cpu& cpu, const HyenaTaps& op) {
  over_rows(cpu, op, op.a.extent[0], HWY_DYNAMIC_DISPATCH(taps_rows));
}

}  // namespace genossm
#endif
