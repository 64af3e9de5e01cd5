// Lanes run across outputs. A panel of kPanel outputs stays in the first-level cache while the rows
// go past it, a few at a time, their sums in registers. A row's sum runs over k in order, whatever
// rows stand beside it: the law of the header holds by construction.
#include <algorithm>

#include "kernels/matmul/packed.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/matmul/panels.cc"
#include "hwy/foreach_target.h"
//
#include "kernels/core/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace genossm {
namespace HWY_NAMESPACE {
namespace {

constexpr int kLanes = HWY_MIN(HWY_MAX_BYTES / 4, static_cast<int>(kPanel));
using D16 = hn::CappedTag<float, kPanel>;
using V16 = hn::Vec<D16>;
constexpr int kVectors = static_cast<int>(kPanel) / kLanes;  // of one panel
// Rows at a time: their sums fill the registers but for those of a row of weights and one of x.
constexpr int kRegisters = (HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM_A64) ? 32 : 16;
constexpr int kRows = std::min<int>(kRegisters == 32 ? 24 : 12, 12 * kVectors) / kVectors;

// What a few rows and one panel work on.
struct Strip {
  const float* x;
  Index x_stride;
  const float* w;  // [K, kPanel]
  Index K;
  float* y;
  Index y_stride;
  const float* start;  // [kPanel] the bias; none: y itself is added to
};

template <int kCount>
HWY_INLINE void multiply(const Strip& s) {
  const D16 d;
  V16 sum[kCount][kVectors];
  const float* HWY_RESTRICT x[kCount];
#pragma GCC unroll 16
  for (int r = 0; r < kCount; ++r) {
    x[r] = s.x + r * s.x_stride;
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      sum[r][v] = s.start != nullptr ? hn::LoadU(d, s.start + v * kLanes)
                                     : hn::LoadU(d, s.y + r * s.y_stride + v * kLanes);
    }
  }
  const float* HWY_RESTRICT w = s.w;
  for (Index k = 0; k < s.K; ++k) {
    V16 b[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) b[v] = hn::Load(d, w + v * kLanes);
#pragma GCC unroll 16
    for (int r = 0; r < kCount; ++r) {
      const V16 a = hn::Set(d, x[r][k]);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::MulAdd(a, b[v], sum[r][v]);
    }
    w += kPanel;
  }
#pragma GCC unroll 16
  for (int r = 0; r < kCount; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) hn::StoreU(sum[r][v], d, s.y + r * s.y_stride + v * kLanes);
  }
}

template <int kCount>
HWY_INLINE void multiply_rest(const Strip& s, Index rows) {
  if constexpr (kCount > 0) {
    if (rows == kCount) {
      multiply<kCount>(s);
    } else {
      multiply_rest<kCount - 1>(s, rows);
    }
  }
}

HWY_NOINLINE void multiply_rows(Strip s, Index rows) {
  for (; rows >= kRows; rows -= kRows) {
    multiply<kRows>(s);
    s.x += kRows * s.x_stride;
    s.y += kRows * s.y_stride;
  }
  multiply_rest<kRows - 1>(s, rows);
}

// At most kTile rows and one panel of `width` outputs; a panel that is not whole goes through a
// tile of its own, so that nothing beyond y's columns is touched.
void multiply_panel(const Panels& panels, const Matmul& op, Index begin, Index end, Index panel) {
  constexpr Index kDepth = 256;  // as much of a panel as leaves the first-level cache room for x
  const Index K = op.x.extent[1], N = op.y.extent[1], rows = end - begin;
  const Index at = panel * kPanel, width = std::min(kPanel, N - at);
  HWY_ALIGN float zero[kPanel] = {};
  HWY_ALIGN float bias[kPanel] = {};
  HWY_ALIGN float tile[kTile * kPanel];
  if (!op.bias.empty()) std::copy_n(op.bias.data + at, width, bias);
  const bool whole = width == kPanel;
  Strip s;
  s.y = whole ? op.y.row(begin) + at : tile;
  s.y_stride = whole ? op.y.stride[0] : kPanel;
  s.x_stride = op.x.stride[0];
  // The sum starts from zero also where it is added to y: rounding then is that of the sum, not
  // that of a running total.
  const bool apart = op.accumulate;
  if (apart) {
    s.y = tile;
    s.y_stride = kPanel;
  }
  s.start = op.bias.empty() ? zero : bias;
  for (Index k = 0; k < K; k += kDepth) {
    s.K = std::min(kDepth, K - k);
    s.x = op.x.row(begin) + k;
    s.w = panels.weights.data() + (panel * K + k) * kPanel;
    multiply_rows(s, rows);
    s.start = nullptr;
  }
  if (whole && !apart) return;
  const F32 d;
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  for (Index t = 0; t < rows; ++t) {
    float* y = op.y.row(begin + t) + at;
    for (Index i = 0; i < width; i += lanes) {
      Vec v = load_lanes(d, tile + t * kPanel + i, width - i);
      if (apart) v = hn::Add(load_lanes(d, y + i, width - i), v);
      store_lanes(d, v, y + i, width - i);
    }
  }
}

}  // namespace

void multiply_panels(const Panels& panels, const Matmul& op) {
  const Index L = op.x.extent[0], N = op.y.extent[1];
  for (Index begin = 0; begin < L; begin += kTile) {
    const Index end = std::min(L, begin + kTile);
    for (Index panel = 0; panel * kPanel < N; ++panel) {
      multiply_panel(panels, op, begin, end, panel);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace genossm
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace genossm {

HWY_EXPORT(multiply_panels);

Panels::Panels(View<const float, 2> w) {
  const Index N = w.extent[0], K = w.extent[1];
  const Index count = (N + kPanel - 1) / kPanel;
  weights = Buffer<float>(count * K * kPanel);
  std::fill(weights.begin(), weights.end(), 0.0f);
  for (Index n = 0; n < N; ++n) {
    for (Index k = 0; k < K; ++k) {
      weights[(n / kPanel * K + k) * kPanel + n % kPanel] = w.row(n)[k];
    }
  }
}

void Panels::run(const Matmul& op) const { HWY_DYNAMIC_DISPATCH(multiply_panels)(*this, op); }

}  // namespace genossm
#endif
