// Lanes run across channels; the states of one vector of channels stay in registers over a tile of
// tokens. One exp2 a channel, state and token.
#include <algorithm>
#include <cmath>

#include "kernels/core/buffer.h"
#include "kernels/selective_scan/selective_scan.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/selective_scan/cpu.cc"
#include "hwy/foreach_target.h"
//
#include "kernels/core/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace genossm {
namespace HWY_NAMESPACE {

constexpr Index kTokens = 64;  // of one pass with the states in registers
constexpr Index kMaxLanes = HWY_MAX_BYTES / sizeof(float);

// What one vector of channels works on during one pass.
struct Pass {
  const float* step;    // [T, lanes] softplus(dt), contiguous
  const float* input;   // [T, lanes] step * u
  float* y;             // [T, lanes] sum over the states so far
  const float* B;       // first token, first state of this group
  const float* C;
  Index B_stride, C_stride;
  const float* A;  // [states, lanes] times log2(e)
  float* h;        // [states, lanes]
  Index tokens;
};

// States [0, kStates) over all tokens of the pass. kSafe: no exponent is below -126 anywhere in it,
// so that the flush to zero may be left out; the arithmetic is otherwise the same.
template <int kStates, bool kSafe>
HWY_NOINLINE void scan_states(const Pass& pass, bool first) {
  const F32 d;
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  const Vec round = hn::Set(d, kRound);
  Vec h[kStates];
#pragma GCC unroll 16
  for (int n = 0; n < kStates; ++n) h[n] = hn::Load(d, pass.h + n * lanes);
  const float* HWY_RESTRICT B = pass.B;
  const float* HWY_RESTRICT C = pass.C;
  for (Index t = 0; t < pass.tokens; ++t) {
    const Vec step = hn::Load(d, pass.step + t * lanes);
    const Vec input = hn::Load(d, pass.input + t * lanes);
    Vec y0 = first ? hn::Zero(d) : hn::Load(d, pass.y + t * lanes);
    Vec y1 = hn::Zero(d);
#pragma GCC unroll 16
    for (int n = 0; n < kStates; ++n) {
      const Vec A = hn::Load(d, pass.A + n * lanes);
      const Vec r = hn::MulAdd(step, A, round);
      const Vec f = hn::MulSub(step, A, hn::Sub(r, round));
      Vec decay = exp2_assemble(d, r, f);
      if constexpr (!kSafe) {
        decay = hn::IfThenElse(hn::Lt(hn::Mul(step, A), hn::Set(d, -126.0f)), hn::Zero(d), decay);
      }
      h[n] = hn::MulAdd(decay, h[n], hn::Mul(input, hn::Set(d, B[n])));
      if (n % 2 == 0) {
        y0 = hn::MulAdd(h[n], hn::Set(d, C[n]), y0);
      } else {
        y1 = hn::MulAdd(h[n], hn::Set(d, C[n]), y1);
      }
    }
    hn::Store(hn::Add(y0, y1), d, pass.y + t * lanes);
    B += pass.B_stride;
    C += pass.C_stride;
  }
#pragma GCC unroll 16
  for (int n = 0; n < kStates; ++n) hn::Store(h[n], d, pass.h + n * lanes);
}

template <int kStates>
void scan_block(const Pass& pass, bool first, bool safe) {
  if (safe) {
    scan_states<kStates, true>(pass, first);
  } else {
    scan_states<kStates, false>(pass, first);
  }
}

// All states of the pass, in fixed blocks: sixteens, then what is left.
void scan_pass(Pass pass, Index N, bool safe) {
  const Index lanes = static_cast<Index>(hn::Lanes(F32()));
  bool first = true;
  const auto advance = [&](Index states) {
    pass.A += states * lanes;
    pass.h += states * lanes;
    pass.B += states;
    pass.C += states;
    N -= states;
    first = false;
  };
  while (N >= 16) scan_block<16>(pass, first, safe), advance(16);
  if (N >= 8) scan_block<8>(pass, first, safe), advance(8);
  if (N >= 4) scan_block<4>(pass, first, safe), advance(4);
  while (N >= 1) scan_block<1>(pass, first, safe), advance(1);
}

// Channels [begin, begin + n), n at most the number of lanes, all of one group.
void scan_channels(const SelectiveScan& op, Index begin, Index n) {
  const F32 d;
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  const Index L = op.u.extent[0], D = op.u.extent[1], N = op.A.extent[0];
  const Index group = begin / (D / op.B.extent[1]);
  HWY_ALIGN float step[kTokens * kMaxLanes];
  HWY_ALIGN float input[kTokens * kMaxLanes];
  HWY_ALIGN float sum[kTokens * kMaxLanes];
  const Buffer<float> A(N * lanes), h(N * lanes);
  const Vec log2e = hn::Set(d, 1.44269504088896340736f);
  Vec steepest = hn::Zero(d);
  for (Index i = 0; i < N; ++i) {
    const Vec a = hn::Mul(load_lanes(d, op.A.row(i) + begin, n), log2e);
    steepest = hn::Max(steepest, hn::Abs(a));
    hn::Store(a, d, A.data() + i * lanes);
    hn::Store(load_lanes(d, op.h.row(i) + begin, n), d, h.data() + i * lanes);
  }
  const Vec bias = op.dt_bias.empty() ? hn::Zero(d) : load_lanes(d, op.dt_bias.data + begin, n);
  const Vec skip = op.skip.empty() ? hn::Zero(d) : load_lanes(d, op.skip.data + begin, n);
  for (Index start = 0; start < L; start += kTokens) {
    const Index tokens = std::min(kTokens, L - start);
    Vec longest = hn::Zero(d);
    for (Index t = 0; t < tokens; ++t) {
      Vec dt = hn::Add(load_lanes(d, op.dt.row(start + t) + begin, n), bias);
      if (op.softplus) dt = softplus(d, dt);
      longest = hn::Max(longest, hn::Abs(dt));
      hn::Store(dt, d, step + t * lanes);
      hn::Store(hn::Mul(dt, load_lanes(d, op.u.row(start + t) + begin, n)), d, input + t * lanes);
    }
    const bool safe = hn::AllTrue(d, hn::Lt(hn::Mul(longest, steepest), hn::Set(d, 125.0f)));
    scan_pass({step, input, sum, op.B.row(start) + group * op.B.stride[1],
               op.C.row(start) + group * op.C.stride[1], op.B.stride[0], op.C.stride[0], A.data(),
               h.data(), tokens},
              N, safe);
    for (Index t = 0; t < tokens; ++t) {
      const Vec u = load_lanes(d, op.u.row(start + t) + begin, n);
      Vec y = hn::MulAdd(skip, u, hn::Load(d, sum + t * lanes));
      if (!op.z.empty()) y = hn::Mul(y, silu(d, load_lanes(d, op.z.row(start + t) + begin, n)));
      float* out = op.y.row(start + t) + begin;
      if (op.accumulate) y = hn::Add(load_lanes(d, out, n), y);
      store_lanes(d, y, out, n);
    }
  }
  for (Index i = 0; i < N; ++i) store_lanes(d, hn::Load(d, h.data() + i * lanes), op.h.row(i) + begin, n);
}

void scan_cpu(Cpu& cpu, const SelectiveScan& op) {
  const Index lanes = static_cast<Index>(hn::Lanes(F32()));
  const Index D = op.u.extent[1], G = op.B.extent[1], per_group = D / G;
  const Index blocks = (per_group + lanes - 1) / lanes;
  const auto body = [&](Index i) {
    const Index begin = i / blocks * per_group + i % blocks * lanes;
    scan_channels(op, begin, std::min(lanes, (i / blocks + 1) * per_group - begin));
  };
  // Below this a task costs more than it saves.
  if (op.u.extent[0] * D < 16'384) {
    for (Index i = 0; i < G * blocks; ++i) body(i);
  } else {
    cpu.for_each(G * blocks, body);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace genossm
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace genossm {

HWY_EXPORT(scan_cpu);

void run(Cpu& cpu, const SelectiveScan& op) { HWY_DYNAMIC_DISPATCH(scan_cpu)(cpu, op); }

}  // namespace genossm
#endif
