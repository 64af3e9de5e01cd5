// Lanes run across the channels of a head; a block of states of one or two vectors of channels
// stays in registers over a tile of tokens. One exp a head and token, computed before.
//
// The decay is one number for all states of a head, so it is kept apart: with the running product
// s[t] of the decays, the states g = h / s grow by (d x / s) (outer) B alone, and y = s C . g. That
// takes two operations a state and token instead of three. Where s leaves a safe range, g takes it
// over and s starts at 1 again. When that happens depends on the decays since the start of the
// sequence and on nothing else; so a run that is cut anywhere gives the same bits.
#include <algorithm>

#include "kernels/core/buffer.h"
#include "kernels/ssd/ssd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/ssd/cpu.cc"
#include "hwy/foreach_target.h"
//
#include "kernels/core/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace genossm {
namespace HWY_NAMESPACE {
namespace {

constexpr Index kTokens = 64;  // of one pass with the states in registers
constexpr Index kMaxLanes = HWY_MAX_BYTES / sizeof(float);

// Bounds of s: wide enough to be met seldom, and sums of B C d x / s stay finite up to 2^63 s.
constexpr float kLeast = 0x1p-64f, kMost = 0x1p64f;

// States in registers at a time, beside what else two vectors of channels need.
constexpr int kBlock = HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM_A64 ? 8 : 4;

// The tokens of one pass for one head.
struct Steps {
  HWY_ALIGN float input[kTokens + kMaxLanes];   // d / s
  HWY_ALIGN float factor[kTokens + kMaxLanes];  // of g before the token: s where it starts again
  HWY_ALIGN float scale[kTokens + kMaxLanes];   // s
  // Stretches of tokens of which only the first may have a factor that is not 1: where each ends.
  Index end[kTokens];
  Index stretches;
};

// What one or two vectors of channels of one head work on during one pass.
struct Pass {
  const Steps& steps;
  const float* input;  // [T, channels] d x / s, contiguous vectors
  float* y;            // [T, channels] sum over the states so far
  const float* B;
  const float* C;
  Index B_stride, C_stride;
  float* h;  // [states, channels]
  Index h_stride;
};

// States [0, kStates) of kVectors vectors of channels over all tokens of the pass.
template <int kStates, int kVectors>
HWY_NOINLINE void scan_states(const Pass& pass, bool first) {
  const F32 d;
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  Vec g[kVectors][kStates];
#pragma GCC unroll 16
  for (int n = 0; n < kStates; ++n) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v)
      g[v][n] = hn::LoadU(d, pass.h + n * pass.h_stride + v * lanes);
  }
  const float* HWY_RESTRICT B = pass.B;
  const float* HWY_RESTRICT C = pass.C;
  const float* HWY_RESTRICT input = pass.input;
  float* HWY_RESTRICT sum = pass.y;
  const Index B_stride = pass.B_stride, C_stride = pass.C_stride;
  Index t = 0;
  for (Index stretch = 0; stretch < pass.steps.stretches; ++stretch) {
    const Vec factor = hn::Set(d, pass.steps.factor[t]);
#pragma GCC unroll 16
    for (int n = 0; n < kStates; ++n) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) g[v][n] = hn::Mul(g[v][n], factor);
    }
    for (const Index end = pass.steps.end[stretch]; t < end; ++t) {
      Vec x[kVectors], y[kVectors];
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) {
        x[v] = hn::Load(d, input + v * lanes);
        y[v] = first ? hn::Zero(d) : hn::Load(d, sum + v * lanes);
      }
#pragma GCC unroll 16
      for (int n = 0; n < kStates; ++n) {
        const Vec b = hn::Set(d, B[n]), c = hn::Set(d, C[n]);
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) {
          g[v][n] = hn::MulAdd(x[v], b, g[v][n]);
          y[v] = hn::MulAdd(g[v][n], c, y[v]);
        }
      }
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) hn::Store(y[v], d, sum + v * lanes);
      input += kVectors * lanes;
      sum += kVectors * lanes;
      B += B_stride;
      C += C_stride;
    }
  }
#pragma GCC unroll 16
  for (int n = 0; n < kStates; ++n) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v)
      hn::StoreU(g[v][n], d, pass.h + n * pass.h_stride + v * lanes);
  }
}

// All states, in blocks that depend on N alone.
template <int kVectors>
void scan_pass(Pass pass, Index N) {
  bool first = true;
  const auto advance = [&](Index states) {
    pass.h += states * pass.h_stride;
    pass.B += states;
    pass.C += states;
    N -= states;
    first = false;
  };
  while (N >= kBlock) scan_states<kBlock, kVectors>(pass, first), advance(kBlock);
  while (N >= 2) scan_states<2, kVectors>(pass, first), advance(2);
  if (N >= 1) scan_states<1, kVectors>(pass, first), advance(1);
}

// Channels [begin, begin + n) of one head, n at most kVectors vectors.
template <int kVectors>
void scan_channels(const Ssd& op, Index head, Index begin, Index n, Index start, Index tokens,
                   const Steps& steps, float* h, Index h_stride) {
  const F32 d;
  const Index lanes = static_cast<Index>(hn::Lanes(d)), N = op.B.extent[2];
  const Index P = op.x.extent[1] / op.A.extent[0];
  const Index group = head / (op.A.extent[0] / op.B.extent[1]);
  const Index channel = head * P + begin;
  HWY_ALIGN float input[kTokens * kMaxLanes * kVectors];
  HWY_ALIGN float sum[kTokens * kMaxLanes * kVectors];
  Vec skip[kVectors];
#pragma GCC unroll 2
  for (Index v = 0; v < kVectors; ++v) {
    const Index at = channel + v * lanes;
    skip[v] = op.skip.empty() ? hn::Zero(d)
                              : load_of_group<kVectors>(d, op.skip.data + at, n - v * lanes);
  }
  for (Index t = 0; t < tokens; ++t) {
    const Vec s = hn::Set(d, steps.input[t]);
    const float* row = op.x.row(start + t) + channel;
#pragma GCC unroll 2
    for (Index v = 0; v < kVectors; ++v) {
      const Vec x = load_of_group<kVectors>(d, row + v * lanes, n - v * lanes);
      hn::Store(hn::Mul(s, x), d, input + (t * kVectors + v) * lanes);
    }
  }
  scan_pass<kVectors>(
      {steps, input, sum, op.B.row(start) + group * op.B.stride[1],
       op.C.row(start) + group * op.C.stride[1], op.B.stride[0], op.C.stride[0], h, h_stride},
      N);
  for (Index t = 0; t < tokens; ++t) {
    const float* row = op.x.row(start + t) + channel;
    float* out = op.y.row(start + t) + channel;
    const Vec scale = hn::Set(d, steps.scale[t]);
    Vec y[kVectors];
#pragma GCC unroll 2
    for (Index v = 0; v < kVectors; ++v) {
      const Vec x = load_of_group<kVectors>(d, row + v * lanes, n - v * lanes);
      y[v] = hn::Mul(scale, hn::Load(d, sum + (t * kVectors + v) * lanes));
      y[v] = hn::MulAdd(skip[v], x, y[v]);
    }
    if (!op.z.empty()) {
      const float* z = op.z.row(start + t) + channel;
      Vec gate[kVectors];
#pragma GCC unroll 2
      for (Index v = 0; v < kVectors; ++v) {
        gate[v] = load_of_group<kVectors>(d, z + v * lanes, n - v * lanes);
      }
      silu(d, gate);
#pragma GCC unroll 2
      for (Index v = 0; v < kVectors; ++v) y[v] = hn::Mul(y[v], gate[v]);
    }
#pragma GCC unroll 2
    for (Index v = 0; v < kVectors; ++v) {
      const Index left = n - v * lanes;
      if (op.accumulate) {
        y[v] = hn::Add(load_of_group<kVectors>(d, out + v * lanes, left), y[v]);
      }
      store_of_group<kVectors>(d, y[v], out + v * lanes, left);
    }
  }
}

// Tokens [start, start + tokens) of one head; `running` is s, in and out.
void prepare(const Ssd& op, Index head, Index start, Index tokens, float& running, Steps& steps) {
  const F32 d;
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  const Index padded = (tokens + lanes - 1) / lanes * lanes;
  const Vec bias = hn::Set(d, op.dt_bias.empty() ? 0.0f : op.dt_bias.data[head]);
  const Vec A = hn::Set(d, op.A.data[head]);
  for (Index t = 0; t < tokens; ++t) steps.input[t] = op.dt.row(start + t)[head];
  std::fill(steps.input + tokens, steps.input + padded, 0.0f);
  for (Index t = 0; t < tokens; t += lanes) {
    Vec raw = hn::Add(hn::Load(d, steps.input + t), bias);
    if (op.softplus) raw = softplus(d, raw);
    const Vec held = hn::Min(hn::Max(raw, hn::Set(d, op.dt_min)), hn::Set(d, op.dt_max));
    const Vec s = hn::IfThenElse(hn::IsNaN(raw), raw, held);
    hn::Store(s, d, steps.input + t);
    hn::Store(exp(d, hn::Mul(s, A)), d, steps.scale + t);
  }
  steps.stretches = 0;
  float s = running;
  for (Index t = 0; t < tokens; ++t) {
    s *= steps.scale[t];
    steps.factor[t] = 1;
    if (!(s >= kLeast && s <= kMost)) {  // also for NaN
      steps.factor[t] = s;
      if (t > 0) steps.end[steps.stretches++] = t;
      s = 1;
    }
    steps.scale[t] = s;
  }
  running = s;
  steps.end[steps.stretches++] = tokens;
  for (Index t = 0; t < tokens; t += lanes) {
    const Vec scale = hn::Load(d, steps.scale + t);
    hn::Store(hn::Div(hn::Load(d, steps.input + t), scale), d, steps.input + t);
  }
}

void scan_head(const Ssd& op, Index head) {
  const F32 d;
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  const Index L = op.x.extent[0], H = op.A.extent[0], P = op.x.extent[1] / H, N = op.B.extent[2];
  Steps steps;
  // Pairs of vectors of channels work on the state where it is; the channels that are left over, on
  // a copy with whole vectors.
  const Index width = 2 * lanes, whole = P / width * width, rest = P - whole;
  const Index padded = (rest + lanes - 1) / lanes * lanes;
  const Buffer<float> copy(N * padded);
  float* const h = op.h.row(head);
  const Index h_stride = op.h.stride[1];
  for (Index n = 0; n < N; ++n) {
    for (Index i = 0; i < padded; i += lanes) {
      hn::Store(load_lanes(d, h + n * h_stride + whole + i, rest - i), d,
                copy.data() + n * padded + i);
    }
  }
  float running = op.scale.empty() ? 1.0f : op.scale.data[head];
  for (Index start = 0; start < L; start += kTokens) {
    const Index tokens = std::min(kTokens, L - start);
    prepare(op, head, start, tokens, running, steps);
    for (Index at = 0; at < whole; at += width) {
      scan_channels<2>(op, head, at, width, start, tokens, steps, h + at, h_stride);
    }
    for (Index i = 0; i < padded; i += lanes) {
      scan_channels<1>(op, head, whole + i, std::min(lanes, rest - i), start, tokens, steps,
                       copy.data() + i, padded);
    }
  }
  for (Index n = 0; n < N; ++n) {
    for (Index i = 0; i < padded; i += lanes) {
      store_lanes(d, hn::Load(d, copy.data() + n * padded + i), h + n * h_stride + whole + i,
                  rest - i);
    }
  }
  if (!op.scale.empty()) {
    op.scale.data[head] = running;
    return;
  }
  const Vec last = hn::Set(d, running);
  for (Index n = 0; n < N; ++n) {
    for (Index i = 0; i < P; i += lanes) {
      float* at = h + n * h_stride + i;
      store_lanes(d, hn::Mul(load_lanes(d, at, P - i), last), at, P - i);
    }
  }
}

void ssd_cpu(Cpu& cpu, const Ssd& op) {
  const Index H = op.A.extent[0];
  if (op.x.extent[0] == 0) return;
  // Below this a task costs more than it saves.
  if (op.x.extent[0] * op.x.extent[1] < 16'384) {
    for (Index head = 0; head < H; ++head) scan_head(op, head);
  } else {
    cpu.for_each(H, [&](Index head) { scan_head(op, head); });
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace genossm
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace genossm {

HWY_EXPORT(ssd_cpu);

void run(Cpu& cpu, const Ssd& op) { HWY_DYNAMIC_DISPATCH(ssd_cpu)(cpu, op); }

}  // namespace genossm
#endif
