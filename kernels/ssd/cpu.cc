// Lanes run across the channels of a head; a block of states of one or two vectors of channels
// stays in registers over a tile of tokens. One exp a head and token, computed before.
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

// What one or two vectors of channels of one head work on during one pass.
struct Pass {
  const float* decay;  // [T] exp(d A)
  const float* input;  // [T, channels] d * x, contiguous vectors
  float* y;            // [T, channels] sum over the states so far
  const float* B;
  const float* C;
  Index B_stride, C_stride;
  float* h;  // [states, channels]
  Index h_stride;
  Index tokens;
};

// States [0, kStates) of kVectors vectors of channels over all tokens of the pass.
template <int kStates, int kVectors>
HWY_NOINLINE void scan_states(const Pass& pass, bool first) {
  const F32 d;
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  Vec h[kVectors][kStates];
#pragma GCC unroll 16
  for (int n = 0; n < kStates; ++n) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v)
      h[v][n] = hn::LoadU(d, pass.h + n * pass.h_stride + v * lanes);
  }
  const float* HWY_RESTRICT B = pass.B;
  const float* HWY_RESTRICT C = pass.C;
  for (Index t = 0; t < pass.tokens; ++t) {
    const Vec decay = hn::Set(d, pass.decay[t]);
    Vec x[kVectors], y0[kVectors], y1[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      const Index at = (t * kVectors + v) * lanes;
      x[v] = hn::Load(d, pass.input + at);
      y0[v] = first ? hn::Zero(d) : hn::Load(d, pass.y + at);
      y1[v] = hn::Zero(d);
    }
#pragma GCC unroll 16
    for (int n = 0; n < kStates; ++n) {
      const Vec b = hn::Set(d, B[n]), c = hn::Set(d, C[n]);
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) {
        h[v][n] = hn::MulAdd(decay, h[v][n], hn::Mul(x[v], b));
        if (n % 2 == 0) {
          y0[v] = hn::MulAdd(h[v][n], c, y0[v]);
        } else {
          y1[v] = hn::MulAdd(h[v][n], c, y1[v]);
        }
      }
    }
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      hn::Store(hn::Add(y0[v], y1[v]), d, pass.y + (t * kVectors + v) * lanes);
    }
    B += pass.B_stride;
    C += pass.C_stride;
  }
#pragma GCC unroll 16
  for (int n = 0; n < kStates; ++n) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v)
      hn::StoreU(h[v][n], d, pass.h + n * pass.h_stride + v * lanes);
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
  while (N >= 8) scan_states<8, kVectors>(pass, first), advance(8);
  while (N >= 2) scan_states<2, kVectors>(pass, first), advance(2);
  if (N >= 1) scan_states<1, kVectors>(pass, first), advance(1);
}

// Channels [begin, begin + n) of one head, n at most kVectors vectors.
template <int kVectors>
void scan_channels(const Ssd& op, Index head, Index begin, Index n, Index start, Index tokens,
                   const float* step, const float* decay, float* h) {
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
    const Vec s = hn::Set(d, step[t]);
    const float* row = op.x.row(start + t) + channel;
#pragma GCC unroll 2
    for (Index v = 0; v < kVectors; ++v) {
      const Vec x = load_of_group<kVectors>(d, row + v * lanes, n - v * lanes);
      hn::Store(hn::Mul(s, x), d, input + (t * kVectors + v) * lanes);
    }
  }
  scan_pass<kVectors>({decay, input, sum, op.B.row(start) + group * op.B.stride[1],
                       op.C.row(start) + group * op.C.stride[1], op.B.stride[0], op.C.stride[0], h,
                       kVectors * lanes, tokens},
                      N);
  for (Index t = 0; t < tokens; ++t) {
    const float* row = op.x.row(start + t) + channel;
    float* out = op.y.row(start + t) + channel;
    Vec y[kVectors];
#pragma GCC unroll 2
    for (Index v = 0; v < kVectors; ++v) {
      const Vec x = load_of_group<kVectors>(d, row + v * lanes, n - v * lanes);
      y[v] = hn::MulAdd(skip[v], x, hn::Load(d, sum + (t * kVectors + v) * lanes));
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

void scan_head(const Ssd& op, Index head) {
  const F32 d;
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  const Index L = op.x.extent[0], H = op.A.extent[0], P = op.x.extent[1] / H, N = op.B.extent[2];
  HWY_ALIGN float step[kTokens + kMaxLanes], decay[kTokens + kMaxLanes];
  // The state with whole vectors of channels, block by block: [block][N][channels of the block].
  const Index width = 2 * lanes, pairs = P / width;
  const Index rest = P - pairs * width;
  const Index blocks = pairs + (rest + lanes - 1) / lanes;
  Buffer<float> state(N * (pairs * width + (blocks - pairs) * lanes));
  const auto block_begin = [&](Index b) {
    return b < pairs ? b * width : pairs * width + (b - pairs) * lanes;
  };
  const auto copy_state = [&](bool in) {
    for (Index b = 0; b < blocks; ++b) {
      const Index begin = block_begin(b), vectors = b < pairs ? 2 : 1;
      for (Index n = 0; n < N; ++n) {
        float* outside = op.h.row(head) + n * op.h.stride[1] + begin;
        float* inside = state.data() + N * begin + n * vectors * lanes;
        for (Index v = 0; v < vectors; ++v) {
          const Index left = P - begin - v * lanes;
          if (in) {
            hn::Store(load_lanes(d, outside + v * lanes, left), d, inside + v * lanes);
          } else {
            store_lanes(d, hn::Load(d, inside + v * lanes), outside + v * lanes, left);
          }
        }
      }
    }
  };
  copy_state(true);
  const Vec bias = hn::Set(d, op.dt_bias.empty() ? 0.0f : op.dt_bias.data[head]);
  const Vec A = hn::Set(d, op.A.data[head]);
  for (Index start = 0; start < L; start += kTokens) {
    const Index tokens = std::min(kTokens, L - start);
    for (Index t = 0; t < tokens; ++t) step[t] = op.dt.row(start + t)[head];
    for (Index t = tokens; t < (tokens + lanes - 1) / lanes * lanes; ++t) step[t] = 0;
    for (Index t = 0; t < tokens; t += lanes) {
      Vec raw = hn::Add(hn::Load(d, step + t), bias);
      if (op.softplus) raw = softplus(d, raw);
      const Vec held = hn::Min(hn::Max(raw, hn::Set(d, op.dt_min)), hn::Set(d, op.dt_max));
      const Vec s = hn::IfThenElse(hn::IsNaN(raw), raw, held);
      hn::Store(s, d, step + t);
      hn::Store(exp(d, hn::Mul(s, A)), d, decay + t);
    }
    for (Index b = 0; b < blocks; ++b) {
      const Index begin = block_begin(b);
      float* h = state.data() + N * begin;
      if (b < pairs) {
        scan_channels<2>(op, head, begin, width, start, tokens, step, decay, h);
      } else {
        scan_channels<1>(op, head, begin, std::min(lanes, P - begin), start, tokens, step, decay,
                         h);
      }
    }
  }
  copy_state(false);
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
