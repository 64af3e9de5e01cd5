// Lanes run across channels; a few states of one vector of channels stay in registers over a tile
// of tokens. Token order is kept, so that nothing depends on how a sequence is cut: the products
// around this op cost a hundred times as much, and there is nothing to gain from a parallel form.
#include <algorithm>

#include "kernels/core/buffer.h"
#include "kernels/diagonal_scan/diagonal_scan.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/diagonal_scan/cpu.cc"
#include "hwy/foreach_target.h"
//
#include "kernels/core/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace genossm {
namespace HWY_NAMESPACE {
namespace {

constexpr Index kMaxLanes = HWY_MAX_BYTES / sizeof(float);
constexpr Index kTokens = 128;  // of one pass with the states in registers

// What one vector of channels works on during one pass. Numbers of a state are Q vectors.
struct Pass {
  const float* u;          // [tokens, lanes]
  float* y;                // [tokens, lanes] sum over the states so far
  const float* poles;      // [states, Q, lanes]
  const float* poles_low;  // [states, Q, lanes], if there are any
  const float* residues;   // [states, Q, lanes]
  float* h;                // [states, Q, lanes]
  Index tokens;
};

template <int kStates, bool kLow>
HWY_NOINLINE void scan_real(const Pass& pass, bool first) {
  const F32 d;
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  const float* HWY_RESTRICT poles = pass.poles;
  const float* HWY_RESTRICT low = pass.poles_low;
  const float* HWY_RESTRICT residues = pass.residues;
  float* HWY_RESTRICT sum = pass.y;
  Vec h[kStates];
#pragma GCC unroll 8
  for (int n = 0; n < kStates; ++n) h[n] = hn::Load(d, pass.h + n * lanes);
  for (Index t = 0; t < pass.tokens; ++t) {
    const Vec u = hn::Load(d, pass.u + t * lanes);
    Vec y[2] = {first ? hn::Zero(d) : hn::Load(d, sum + t * lanes), hn::Zero(d)};
#pragma GCC unroll 8
    for (int n = 0; n < kStates; ++n) {
      const Vec more = kLow ? hn::MulAdd(hn::Load(d, low + n * lanes), h[n], u) : u;
      h[n] = hn::MulAdd(hn::Load(d, poles + n * lanes), h[n], more);
      y[n % 2] = hn::MulAdd(hn::Load(d, residues + n * lanes), h[n], y[n % 2]);
    }
    hn::Store(hn::Add(y[0], y[1]), d, sum + t * lanes);
  }
#pragma GCC unroll 8
  for (int n = 0; n < kStates; ++n) hn::Store(h[n], d, pass.h + n * lanes);
}

template <int kStates, bool kLow>
HWY_NOINLINE void scan_complex(const Pass& pass, bool first) {
  const F32 d;
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  const float* HWY_RESTRICT poles = pass.poles;
  const float* HWY_RESTRICT low = pass.poles_low;
  const float* HWY_RESTRICT residues = pass.residues;
  float* HWY_RESTRICT sum = pass.y;
  Vec re[kStates], im[kStates];
#pragma GCC unroll 4
  for (int n = 0; n < kStates; ++n) {
    re[n] = hn::Load(d, pass.h + 2 * n * lanes);
    im[n] = hn::Load(d, pass.h + (2 * n + 1) * lanes);
  }
  for (Index t = 0; t < pass.tokens; ++t) {
    const Vec u = hn::Load(d, pass.u + t * lanes);
    Vec y[2] = {first ? hn::Zero(d) : hn::Load(d, sum + t * lanes), hn::Zero(d)};
#pragma GCC unroll 4
    for (int n = 0; n < kStates; ++n) {
      const auto part = [&](const float* from, int i)
                            HWY_ATTR { return hn::Load(d, from + (2 * n + i) * lanes); };
      Vec more_re = u, more_im = hn::Zero(d);
      if (kLow) {
        more_re = hn::MulAdd(part(low, 0), re[n], hn::NegMulAdd(part(low, 1), im[n], u));
        more_im = hn::MulAdd(part(low, 0), im[n], hn::Mul(part(low, 1), re[n]));
      }
      const Vec p_re = part(poles, 0), p_im = part(poles, 1);
      const Vec next = hn::MulAdd(p_re, re[n], hn::NegMulAdd(p_im, im[n], more_re));
      im[n] = kLow ? hn::MulAdd(p_re, im[n], hn::MulAdd(p_im, re[n], more_im))
                   : hn::MulAdd(p_re, im[n], hn::Mul(p_im, re[n]));
      re[n] = next;
      y[0] = hn::MulAdd(part(residues, 0), re[n], y[0]);
      y[1] = hn::NegMulAdd(part(residues, 1), im[n], y[1]);
    }
    hn::Store(hn::Add(y[0], y[1]), d, sum + t * lanes);
  }
#pragma GCC unroll 4
  for (int n = 0; n < kStates; ++n) {
    hn::Store(re[n], d, pass.h + 2 * n * lanes);
    hn::Store(im[n], d, pass.h + (2 * n + 1) * lanes);
  }
}

// All states of the pass, in fixed blocks: eight numbers in registers, then what is left.
template <int Q, bool kLow>
void scan_pass(Pass pass, Index N) {
  const Index lanes = static_cast<Index>(hn::Lanes(F32()));
  bool first = true;
  const auto advance = [&](Index states) {
    const Index floats = states * Q * lanes;
    pass.poles += floats;
    if (kLow) pass.poles_low += floats;
    pass.residues += floats;
    pass.h += floats;
    N -= states;
    first = false;
  };
  if constexpr (Q == 1) {
    while (N >= 8) scan_real<8, kLow>(pass, first), advance(8);
    if (N >= 4) scan_real<4, kLow>(pass, first), advance(4);
    while (N >= 1) scan_real<1, kLow>(pass, first), advance(1);
  } else {
    while (N >= 4) scan_complex<4, kLow>(pass, first), advance(4);
    while (N >= 1) scan_complex<1, kLow>(pass, first), advance(1);
  }
}

// Channels [begin, begin + n) of one vector, which may be short.
void scan_channels(const DiagonalScan& op, Index begin, Index n) {
  const F32 d;
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  const Index L = op.u.extent[0], N = op.poles.extent[0], Q = op.poles.extent[1];
  const bool low = !op.poles_low.empty();
  HWY_ALIGN float u[kTokens * kMaxLanes];
  HWY_ALIGN float sum[kTokens * kMaxLanes];
  const Index floats = N * Q * lanes;
  const Buffer<float> local(4 * floats);
  const auto copy_in = [&](View<const float, 3> from, float* to) HWY_ATTR {
    for (Index i = 0; i < N * Q; ++i) {
      hn::Store(load_lanes(d, from.row(i / Q) + i % Q * from.stride[1] + begin, n), d,
                to + i * lanes);
    }
    return to;
  };
  Pass pass{.u = u,
            .y = sum,
            .poles = copy_in(op.poles, local.data()),
            .poles_low = low ? copy_in(op.poles_low, local.data() + floats) : nullptr,
            .residues = copy_in(op.residues, local.data() + 2 * floats),
            .h = copy_in(op.h, local.data() + 3 * floats),
            .tokens = 0};
  const Vec skip = op.skip.empty() ? hn::Zero(d) : load_lanes(d, op.skip.data + begin, n);
  for (Index start = 0; start < L; start += kTokens) {
    pass.tokens = std::min(kTokens, L - start);
    for (Index t = 0; t < pass.tokens; ++t) {
      const float* row = op.u.row(start + t) + begin;
      fetch_ahead(row, op.u.stride[0], 8, lanes);
      if (!op.gate.empty()) fetch_ahead(op.gate.row(start + t) + begin, 0, 0, lanes);
      hn::Store(load_lanes(d, row, n), d, u + t * lanes);
    }
    if (Q == 1) {
      low ? scan_pass<1, true>(pass, N) : scan_pass<1, false>(pass, N);
    } else {
      low ? scan_pass<2, true>(pass, N) : scan_pass<2, false>(pass, N);
    }
    for (Index t = 0; t < pass.tokens; ++t) {
      Vec y = hn::MulAdd(skip, hn::Load(d, u + t * lanes), hn::Load(d, sum + t * lanes));
      if (!op.gate.empty()) y = hn::Mul(y, load_lanes(d, op.gate.row(start + t) + begin, n));
      store_lanes(d, y, op.y.row(start + t) + begin, n);
    }
  }
  for (Index i = 0; i < N * Q; ++i) {
    store_lanes(d, hn::Load(d, pass.h + i * lanes),
                op.h.row(i / Q) + i % Q * op.h.stride[1] + begin, n);
  }
}

void scan_cpu(Cpu& cpu, const DiagonalScan& op) {
  const Index lanes = static_cast<Index>(hn::Lanes(F32()));
  const auto [L, D] = op.u.extent;
  const Index blocks = (D + lanes - 1) / lanes;
  const auto body = [&](Index i) { scan_channels(op, i * lanes, std::min(lanes, D - i * lanes)); };
  // Below this a task costs more than it saves.
  if (L * D * op.poles.extent[0] < 65'536) {
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

HWY_EXPORT(scan_cpu);

void run(Cpu& cpu, const DiagonalScan& op) { HWY_DYNAMIC_DISPATCH(scan_cpu)(cpu, op); }

}  // namespace genossm
#endif
