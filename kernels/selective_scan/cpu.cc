// Lanes run across channels; the states of one vector of channels stay in registers over a tile of
// tokens. One exp2 a channel, state and token.
#include <algorithm>
#include <cmath>
#include <cstdint>

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
namespace {

constexpr Index kMaxLanes = HWY_MAX_BYTES / sizeof(float);
// Tokens of one pass with the states in registers: what is kept of them fills three quarters of a
// first-level cache of 32 KiB.
constexpr Index kTokens = std::min<Index>(64, 512 / kMaxLanes);

// What one vector of channels works on during one pass. Vectors lie `pitch` apart.
struct Pass {
  const float* step;   // [T, lanes] softplus(dt)
  const float* input;  // [T, lanes] step * u
  float* y;            // [T, lanes] sum over the states so far
  Index pitch;
  const float* B;  // first token, first state of this group
  const float* C;
  Index B_stride, C_stride;
  const float* A;  // [states, lanes] times kUnits log2(e)
  float* h;        // [states, lanes]
  Index tokens;
};

// The decays of several states are computed side by side: one after the other, the chains of
// dependent operations would leave the processor waiting.
constexpr int kSideBySide = 4;

// 2^(step * A / kUnits) for K states whose A lie `lanes` apart, inside the range of normal numbers.
#if HWY_TARGET == HWY_AVX2
// In eighths: 2^(j / 8) comes from a table that one instruction looks up, and the rest of the
// exponent is so small that a cubic will do. Products are what this processor is short of.
constexpr float kUnits = 8;

// 2^(j / 8) less the j that the shifted exponent adds; ldexp(2^(j / 8)) = table[j] + (8 w + j <<
// 20).
alignas(32) constexpr std::int32_t kEighths[8] = {0x3f800000, 0x3f7b95c2, 0x3f7837f0, 0x3f75fed7,
                                                  0x3f7504f3, 0x3f75672a, 0x3f7744fd, 0x3f7ac0c7};

template <int K>
HWY_INLINE void decays(F32 d, Vec step, const float* A, Vec (&p)[K]) {
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  const I32 di;
  const __m256 table = _mm256_castsi256_ps(hn::Load(di, kEighths).raw);
  Vec f[K];
  __m256i whole[K];
#pragma GCC unroll 16
  for (int i = 0; i < K; ++i) {
    const Vec x = hn::Mul(step, hn::Load(d, A + i * lanes));
    const Vec rounded = hn::Add(x, hn::Set(d, kRound));
    whole[i] = _mm256_castps_si256(rounded.raw);
    f[i] = hn::Sub(x, hn::Sub(rounded, hn::Set(d, kRound)));
  }
  // 2^(f / 8) for |f| <= 1/2, the constant exactly 1; relative error below 3e-8.
#pragma GCC unroll 16
  for (int i = 0; i < K; ++i) {
    p[i] = hn::MulAdd(f[i], hn::Set(d, 1.0840646e-4f), hn::Set(d, 3.7540255e-3f));
  }
#pragma GCC unroll 16
  for (int i = 0; i < K; ++i) p[i] = hn::MulAdd(p[i], f[i], hn::Set(d, 8.6643398e-2f));
#pragma GCC unroll 16
  for (int i = 0; i < K; ++i) p[i] = hn::MulAdd(p[i], f[i], hn::Set(d, 1.0f));
#pragma GCC unroll 16
  for (int i = 0; i < K; ++i) {
    const __m256i eighth = _mm256_castps_si256(_mm256_permutevar8x32_ps(table, whole[i]));
    const __m256i power = _mm256_add_epi32(eighth, _mm256_slli_epi32(whole[i], 20));
    p[i] = hn::Mul(p[i], Vec{_mm256_castsi256_ps(power)});
  }
}
#else
constexpr float kUnits = 1;

template <int K>
HWY_INLINE void decays(F32 d, Vec step, const float* A, Vec (&p)[K]) {
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  Split x[K];
#pragma GCC unroll 16
  for (int i = 0; i < K; ++i) x[i] = split_product(d, step, hn::Load(d, A + i * lanes));
  exp2_of_fractions(d, x, p);
#pragma GCC unroll 16
  for (int i = 0; i < K; ++i) p[i] = scale(d, p[i], x[i].whole);
}
#endif

// States [0, kStates) over all tokens of the pass. kSafe: no exponent is below -126 or above 127
// anywhere in it, so that the limits may be left out; the arithmetic is otherwise the same.
template <int kStates, bool kSafe>
HWY_NOINLINE void scan_states(const Pass& pass, bool first) {
  constexpr int kGroup = std::min(kStates, kSideBySide);
  const F32 d;
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  const float* HWY_RESTRICT A = pass.A;
  const float* HWY_RESTRICT B = pass.B;
  const float* HWY_RESTRICT C = pass.C;
  const float* HWY_RESTRICT steps = pass.step;
  const float* HWY_RESTRICT inputs = pass.input;
  float* HWY_RESTRICT sum = pass.y;
  const Index B_stride = pass.B_stride, C_stride = pass.C_stride;
  const Index pitch = pass.pitch, tokens = pass.tokens;
  Vec h[kStates];
#pragma GCC unroll 16
  for (int n = 0; n < kStates; ++n) h[n] = hn::Load(d, pass.h + n * lanes);
  for (Index t = 0; t < tokens; ++t) {
    const Vec step = hn::Load(d, steps);
    const Vec input = hn::Load(d, inputs);
    Vec y[2] = {first ? hn::Zero(d) : hn::Load(d, sum), hn::Zero(d)};
#pragma GCC unroll 16
    for (int n = 0; n < kStates; n += kGroup) {
      Vec p[kGroup];
      decays(d, step, A + n * lanes, p);
      if constexpr (!kSafe) {
#pragma GCC unroll 16
        for (int i = 0; i < kGroup; ++i) {
          const Vec exponent = hn::Mul(step, hn::Load(d, A + (n + i) * lanes));
          p[i] = with_limits(d, exponent, hn::Set(d, -126 * kUnits), hn::Set(d, 127.5f * kUnits),
                             p[i]);
        }
      }
#pragma GCC unroll 16
      for (int i = 0; i < kGroup; ++i) {
        h[n + i] = hn::MulAdd(p[i], h[n + i], hn::Mul(input, hn::Set(d, B[n + i])));
      }
#pragma GCC unroll 16
      for (int i = 0; i < kGroup; ++i) {
        y[(n + i) % 2] = hn::MulAdd(h[n + i], hn::Set(d, C[n + i]), y[(n + i) % 2]);
      }
    }
    hn::Store(hn::Add(y[0], y[1]), d, sum);
    steps += pitch;
    inputs += pitch;
    sum += pitch;
    B += B_stride;
    C += C_stride;
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

// A vector of |x| as integers: they order like the numbers, infinity and NaN above all.
HWY_INLINE auto magnitude(Vec x) { return hn::BitCast(I32(), hn::Abs(x)); }

// Channels [begin, begin + n) of one group, kVectors whole vectors; a single one may be short.
template <int kVectors>
void scan_channels(const SelectiveScan& op, Index begin, Index n) {
  const F32 d;
  const Index lanes = static_cast<Index>(hn::Lanes(d)), pitch = kVectors * lanes;
  const Index L = op.u.extent[0], D = op.u.extent[1], N = op.A.extent[0];
  const Index group = begin / (D / op.B.extent[1]);
  HWY_ALIGN float step[kTokens * kVectors * kMaxLanes];
  HWY_ALIGN float input[kTokens * kVectors * kMaxLanes];
  HWY_ALIGN float sum[kTokens * kVectors * kMaxLanes];
  const Buffer<float> A(N * pitch), h(N * pitch);
  Vec bias[kVectors], skip[kVectors];
  auto steepest = hn::Zero(I32());
  for (Index v = 0; v < kVectors; ++v) {
    const Index at = begin + v * lanes, left = n - v * lanes;
    for (Index i = 0; i < N; ++i) {
      const Vec a = hn::Mul(load_of_group<kVectors>(d, op.A.row(i) + at, left),
                            hn::Set(d, 1.44269504f * kUnits));
      steepest = hn::Max(steepest, magnitude(a));
      hn::Store(a, d, A.data() + (v * N + i) * lanes);
      hn::Store(load_of_group<kVectors>(d, op.h.row(i) + at, left), d,
                h.data() + (v * N + i) * lanes);
    }
    bias[v] =
        op.dt_bias.empty() ? hn::Zero(d) : load_of_group<kVectors>(d, op.dt_bias.data + at, left);
    skip[v] = op.skip.empty() ? hn::Zero(d) : load_of_group<kVectors>(d, op.skip.data + at, left);
  }
  for (Index start = 0; start < L; start += kTokens) {
    const Index tokens = std::min(kTokens, L - start);
    auto longest = hn::Zero(I32());
    for (Index t = 0; t < tokens; ++t) {
      const float* dt = op.dt.row(start + t) + begin;
      const float* u = op.u.row(start + t) + begin;
      fetch_ahead(dt, op.dt.stride[0], 8, pitch);
      fetch_ahead(u, op.u.stride[0], 8, pitch);
      // Wanted after the states have gone over these tokens.
      if (op.accumulate) fetch_ahead(op.y.row(start + t) + begin, 0, 0, pitch);
      if (!op.z.empty()) fetch_ahead(op.z.row(start + t) + begin, 0, 0, pitch);
      Vec s[kVectors];
#pragma GCC unroll 4
      for (Index v = 0; v < kVectors; ++v) {
        s[v] = hn::Add(load_of_group<kVectors>(d, dt + v * lanes, n - v * lanes), bias[v]);
      }
      if (op.softplus) softplus(d, s);
#pragma GCC unroll 4
      for (Index v = 0; v < kVectors; ++v) {
        longest = hn::Max(longest, magnitude(s[v]));
        const Vec x = hn::Mul(s[v], load_of_group<kVectors>(d, u + v * lanes, n - v * lanes));
        hn::Store(s[v], d, step + t * pitch + v * lanes);
        hn::Store(x, d, input + t * pitch + v * lanes);
      }
    }
    const Vec reach = hn::Mul(hn::BitCast(d, longest), hn::BitCast(d, steepest));
    const bool safe = hn::AllTrue(d, hn::Lt(reach, hn::Set(d, 125 * kUnits)));
    for (Index v = 0; v < kVectors; ++v) {
      scan_pass({step + v * lanes, input + v * lanes, sum + v * lanes, pitch,
                 op.B.row(start) + group * op.B.stride[1], op.C.row(start) + group * op.C.stride[1],
                 op.B.stride[0], op.C.stride[0], A.data() + v * N * lanes, h.data() + v * N * lanes,
                 tokens},
                N, safe);
    }
    for (Index t = 0; t < tokens; ++t) {
      const float* u = op.u.row(start + t) + begin;
      float* out = op.y.row(start + t) + begin;
      Vec y[kVectors];
#pragma GCC unroll 4
      for (Index v = 0; v < kVectors; ++v) {
        const Vec x = load_of_group<kVectors>(d, u + v * lanes, n - v * lanes);
        y[v] = hn::MulAdd(skip[v], x, hn::Load(d, sum + t * pitch + v * lanes));
      }
      const auto add = [&]() HWY_ATTR {
#pragma GCC unroll 4
        for (Index v = 0; v < kVectors; ++v) {
          const Vec before = load_of_group<kVectors>(d, out + v * lanes, n - v * lanes);
          y[v] = hn::Add(before, y[v]);
        }
      };
      if (op.accumulate && op.gate_sum) add();
      if (!op.z.empty()) {
        const float* z = op.z.row(start + t) + begin;
        Vec gate[kVectors];
#pragma GCC unroll 4
        for (Index v = 0; v < kVectors; ++v) {
          gate[v] = load_of_group<kVectors>(d, z + v * lanes, n - v * lanes);
        }
        silu(d, gate);
#pragma GCC unroll 4
        for (Index v = 0; v < kVectors; ++v) y[v] = hn::Mul(y[v], gate[v]);
      }
      if (op.accumulate && !op.gate_sum) add();
#pragma GCC unroll 4
      for (Index v = 0; v < kVectors; ++v) {
        store_of_group<kVectors>(d, y[v], out + v * lanes, n - v * lanes);
      }
    }
  }
  for (Index v = 0; v < kVectors; ++v) {
    for (Index i = 0; i < N; ++i) {
      const Vec last = hn::Load(d, h.data() + (v * N + i) * lanes);
      store_of_group<kVectors>(d, last, op.h.row(i) + begin + v * lanes, n - v * lanes);
    }
  }
}

void scan_cpu(Cpu& cpu, const SelectiveScan& op) {
  const Index lanes = static_cast<Index>(hn::Lanes(F32()));
  const Index D = op.u.extent[1], G = op.B.extent[1], per_group = D / G;
  // Four vectors of channels at a time, where that leaves work for every thread.
  const Index width = (per_group >= 4 * lanes && D >= 4 * lanes * cpu.threads() ? 4 : 1) * lanes;
  const Index blocks = (per_group + width - 1) / width;
  const auto body = [&](Index i) {
    Index begin = i / blocks * per_group + i % blocks * width;
    const Index end = std::min(begin + width, (i / blocks + 1) * per_group);
    if (end - begin == 4 * lanes) {
      scan_channels<4>(op, begin, 4 * lanes);
    } else {
      for (; begin < end; begin += lanes) {
        scan_channels<1>(op, begin, std::min(lanes, end - begin));
      }
    }
  };
  // Below this a task costs more than it saves.
  if (op.u.extent[0] * D < 16'384) {
    for (Index i = 0; i < G * blocks; ++i) body(i);
  } else {
    cpu.for_each(G * blocks, body);
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace genossm
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace genossm {

HWY_EXPORT(scan_cpu);

void run(Cpu& cpu, const SelectiveScan& op) { HWY_DYNAMIC_DISPATCH(scan_cpu)(cpu, op); }

}  // namespace genossm
#endif
