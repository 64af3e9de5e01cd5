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

// The scalar target has one lane whatever its HWY_MAX_BYTES.
constexpr int kLanes =
    HWY_TARGET == HWY_SCALAR ? 1 : HWY_MIN(HWY_MAX_BYTES / 4, static_cast<int>(kPanel));
using D16 = hn::CappedTag<float, kPanel>;
using V16 = hn::Vec<D16>;
constexpr int kVectors = static_cast<int>(kPanel) / kLanes;  // of one panel
// Rows at a time: their sums fill the registers but for those of a row of weights and one of x.
constexpr int kRegisters = (HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM_A64) ? 32 : 16;
constexpr int kRows =
    std::max(1, std::min<int>(kRegisters == 32 ? 24 : 12, 12 * kVectors) / kVectors);

// As much of a panel as leaves the first-level cache room for x.
constexpr Index kDepth = 256;

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

// `count` weights from place `at` on as float32, in `room` where they are held as something else.
HWY_INLINE const float* unpacked(const Panels& panels, Index at, Index count,
                                 float* HWY_RESTRICT room) {
  if (panels.weights.size() > 0) return panels.weights.data() + at;
  const D16 d;
  const hn::Rebind<std::uint32_t, D16> wide;
  const hn::Rebind<std::int32_t, D16> index;
  if (panels.halves.size() > 0) {
    const hn::Rebind<std::uint16_t, D16> half;
    const std::uint16_t* HWY_RESTRICT from = panels.halves.data() + at;
    for (Index i = 0; i < count; i += kLanes) {
      const auto bits = hn::ShiftLeft<16>(hn::PromoteTo(wide, hn::LoadU(half, from + i)));
      hn::Store(hn::BitCast(d, bits), d, room + i);
    }
    return room;
  }
  const hn::Rebind<std::uint8_t, D16> byte;
  const std::uint8_t* HWY_RESTRICT from = panels.codes.data() + at;
  for (Index i = 0; i < count; i += kLanes) {
    const auto code = hn::PromoteTo(index, hn::LoadU(byte, from + i));
    hn::Store(hn::GatherIndex(d, panels.table.data(), code), d, room + i);
  }
  return room;
}

// At most kTile rows and one panel of `width` outputs; a panel that is not whole goes through a
// tile of its own, so that nothing beyond y's columns is touched.
void multiply_panel(const Panels& panels, const Matmul& op, Index begin, Index end, Index panel) {
  const Index K = op.x.extent[1], N = op.y.extent[1], rows = end - begin;
  const Index at = panel * kPanel, width = std::min(kPanel, N - at);
  HWY_ALIGN float zero[kPanel] = {};
  HWY_ALIGN float bias[kPanel] = {};
  HWY_ALIGN float tile[kTile * kPanel];
  HWY_ALIGN float wide[kDepth * kPanel];
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
    s.w = unpacked(panels, (panel * K + k) * kPanel, s.K * kPanel, wide);
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

Panels::Panels(const WeightRows& w, WeightForm form, const Fp8Scales& scales) {
  const Index N = w.outputs(), K = w.inputs();
  const Index size = (N + kPanel - 1) / kPanel * K * kPanel;
  const auto fill = [&](auto& room, auto convert) {
    room = std::decay_t<decltype(room)>(size);
    std::fill(room.begin(), room.end(), decltype(convert(0.0f)){0});
    for (Index n = 0; n < N; ++n) {
      const float* row = w.row(n);
      auto* to = room.data() + n / kPanel * K * kPanel + n % kPanel;
      for (Index k = 0; k < K; ++k) to[k * kPanel] = convert(row[k]);
    }
  };
  switch (form) {
    case WeightForm::by_precision:
      fill(weights, [](float v) { return v; });
      break;
    case WeightForm::bf16:
      fill(halves, [](float v) { return f32_to_bf16(v); });
      break;
    case WeightForm::e4m3:
      for (std::size_t c = 0; c < table.size(); ++c) {
        const double divisor =
            static_cast<double>(scales.input) * static_cast<double>(scales.weight);
        table[c] = static_cast<float>(e4m3_to_f32(static_cast<std::uint8_t>(c)) / divisor);
      }
      fill(codes, [&](float v) { return e4m3_code(round_to_e4m3(v * scales.weight)); });
  }
}

void Panels::run(const Matmul& op) const { HWY_DYNAMIC_DISPATCH(multiply_panels)(*this, op); }

}  // namespace genossm
#endif
