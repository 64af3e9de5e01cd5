// Lanes run across channels; the last W-1 inputs of a vector of channels stay in registers.
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

// Channels [begin, begin + n).
template <int W>
void conv_channels(const CausalConv& op, Index begin, Index n) {
  const F32 d;
  const Index L = op.x.extent[0];
  Vec tap[W], past[W - 1];
#pragma GCC unroll 8
  for (int k = 0; k < W; ++k) tap[k] = load_lanes(d, op.w.row(k) + begin, n);
#pragma GCC unroll 8
  for (int k = 0; k < W - 1; ++k) past[k] = load_lanes(d, op.tail.row(k) + begin, n);
  const Vec bias = op.bias.empty() ? hn::Zero(d) : load_lanes(d, op.bias.data + begin, n);
  const bool with_silu = op.silu;
  for (Index t = 0; t < L; ++t) {
    const Vec x = load_lanes(d, op.x.row(t) + begin, n);
    Vec c = bias;
#pragma GCC unroll 8
    for (int k = 0; k < W - 1; ++k) c = hn::MulAdd(tap[k], past[k], c);
    c = hn::MulAdd(tap[W - 1], x, c);
    store_lanes(d, with_silu ? silu(d, c) : c, op.y.row(t) + begin, n);
#pragma GCC unroll 8
    for (int k = 0; k + 1 < W - 1; ++k) past[k] = past[k + 1];
    past[W - 2] = x;
  }
#pragma GCC unroll 8
  for (int k = 0; k < W - 1; ++k) store_lanes(d, past[k], op.tail.row(k) + begin, n);
}

void conv_block(const CausalConv& op, Index begin, Index n) {
  switch (op.w.extent[0]) {
    case 2:
      return conv_channels<2>(op, begin, n);
    case 3:
      return conv_channels<3>(op, begin, n);
    case 4:
      return conv_channels<4>(op, begin, n);
    case 5:
      return conv_channels<5>(op, begin, n);
    case 6:
      return conv_channels<6>(op, begin, n);
    case 7:
      return conv_channels<7>(op, begin, n);
    default:
      return conv_channels<8>(op, begin, n);
  }
}

void conv_cpu(Cpu& cpu, const CausalConv& op) {
  const Index lanes = static_cast<Index>(hn::Lanes(F32()));
  const Index L = op.x.extent[0], D = op.x.extent[1];
  const Index blocks = (D + lanes - 1) / lanes;
  const auto body = [&](Index i) {
    conv_block(op, i * lanes, std::min(lanes, D - i * lanes));
  };
  // Below this a task costs more than it saves.
  if (L * D < 65'536) {
    for (Index i = 0; i < blocks; ++i) body(i);
  } else {
    cpu.for_each(blocks, body);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace genossm
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace genossm {

HWY_EXPORT(conv_cpu);

void run(Cpu& cpu, const CausalConv& op) { HWY_DYNAMIC_DISPATCH(conv_cpu)(cpu, op); }

}  // namespace genossm
#endif
