// Lanes run across channels; the last W-1 inputs of a few vectors of channels stay in registers.
#include <algorithm>

#include "kernels/causal_conv/causal_conv.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/causal_conv/cpu.cc"
#include "hwy/foreach_target.h"
//
#include "kernels/core/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace genossm {
namespace HWY_NAMESPACE {
namespace {

// Channels [begin, begin + n): kVectors whole vectors; a single one may be short.
template <int W, int kVectors>
void conv_channels(const CausalConv& op, Index begin, Index n) {
  const F32 d;
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  const Index L = op.x.extent[0];
  Vec bias[kVectors], tap[W][kVectors], past[W - 1][kVectors];
#pragma GCC unroll 4
  for (Index v = 0; v < kVectors; ++v) {
    const Index at = begin + v * lanes, left = n - v * lanes;
    bias[v] = op.bias.empty() ? hn::Zero(d) : load_of_group<kVectors>(d, op.bias.data + at, left);
#pragma GCC unroll 8
    for (int k = 0; k < W; ++k) tap[k][v] = load_of_group<kVectors>(d, op.w.row(k) + at, left);
#pragma GCC unroll 8
    for (int k = 0; k < W - 1; ++k) {
      past[k][v] = load_of_group<kVectors>(d, op.tail.row(k) + at, left);
    }
  }
  for (Index t = 0; t < L; ++t) {
    const float* row = op.x.row(t) + begin;
    float* out = op.y.row(t) + begin;
    fetch_ahead(row, op.x.stride[0], 8, kVectors * lanes);
    Vec y[kVectors];
#pragma GCC unroll 4
    for (Index v = 0; v < kVectors; ++v) {
      const Vec x = load_of_group<kVectors>(d, row + v * lanes, n - v * lanes);
      y[v] = bias[v];
#pragma GCC unroll 8
      for (int k = 0; k < W - 1; ++k) y[v] = hn::MulAdd(tap[k][v], past[k][v], y[v]);
      y[v] = hn::MulAdd(tap[W - 1][v], x, y[v]);
#pragma GCC unroll 8
      for (int k = 0; k + 1 < W - 1; ++k) past[k][v] = past[k + 1][v];
      past[W - 2][v] = x;
    }
    if (op.silu) silu(d, y);
#pragma GCC unroll 4
    for (Index v = 0; v < kVectors; ++v) {
      store_of_group<kVectors>(d, y[v], out + v * lanes, n - v * lanes);
    }
  }
#pragma GCC unroll 4
  for (Index v = 0; v < kVectors; ++v) {
#pragma GCC unroll 8
    for (int k = 0; k < W - 1; ++k) {
      store_of_group<kVectors>(d, past[k][v], op.tail.row(k) + begin + v * lanes, n - v * lanes);
    }
  }
}

template <int kVectors>
void conv_block(const CausalConv& op, Index begin, Index n) {
  switch (op.w.extent[0]) {
    case 2:
      return conv_channels<2, kVectors>(op, begin, n);
    case 3:
      return conv_channels<3, kVectors>(op, begin, n);
    case 4:
      return conv_channels<4, kVectors>(op, begin, n);
    case 5:
      return conv_channels<5, kVectors>(op, begin, n);
    case 6:
      return conv_channels<6, kVectors>(op, begin, n);
    case 7:
      return conv_channels<7, kVectors>(op, begin, n);
    default:
      return conv_channels<8, kVectors>(op, begin, n);
  }
}

void conv_cpu(Cpu& cpu, const CausalConv& op) {
  const Index lanes = static_cast<Index>(hn::Lanes(F32()));
  const Index L = op.x.extent[0], D = op.x.extent[1];
  // Four vectors of channels at a time, where that leaves work for every thread.
  const Index width = (D >= 4 * lanes * cpu.threads() ? 4 : 1) * lanes;
  const Index blocks = (D + width - 1) / width;
  const auto body = [&](Index i) {
    Index begin = i * width;
    const Index end = std::min(begin + width, D);
    if (end - begin == 4 * lanes) {
      conv_block<4>(op, begin, 4 * lanes);
    } else {
      for (; begin < end; begin += lanes) conv_block<1>(op, begin, std::min(lanes, end - begin));
    }
  };
  // Below this a task costs more than it saves.
  if (L * D < 65'536) {
    for (Index i = 0; i < blocks; ++i) body(i);
  } else {
    cpu.for_each(blocks, body);
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace genossm
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace genossm {

HWY_EXPORT(conv_cpu);

void run(Cpu& cpu, const CausalConv& op) { HWY_DYNAMIC_DISPATCH(conv_cpu)(cpu, op); }

}  // namespace genossm
#endif
