// Lanes run across channels. The inputs of a few vectors of channels are laid side by side first:
// rows of wide matrices lie in the same few sets of the cache. Then every tap is loaded once for
// several tokens, whose sums stay in registers.
#include <algorithm>
#include <cstring>

#include "kernels/core/buffer.h"
#include "kernels/fir/fir.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/fir/cpu.cc"
#include "hwy/foreach_target.h"
//
#include "kernels/core/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace genossm {
namespace HWY_NAMESPACE {
namespace {

constexpr int kTokens = 6;  // whose sums are formed at once: 12 registers with two vectors

// kCount tokens from t on: x holds token t - (W-1) first, rows of kVectors vectors.
template <int kCount, int kVectors>
HWY_INLINE void sums(const Fir& op, const float* x, const float* taps, Index t, Index begin,
                     Index n) {
  const F32 d;
  const Index lanes = static_cast<Index>(hn::Lanes(d)), pitch = kVectors * lanes;
  const Index W = op.taps.extent[1];
  Vec sum[kCount][kVectors];
#pragma GCC unroll 8
  for (int i = 0; i < kCount; ++i) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) sum[i][v] = hn::Zero(d);
  }
  for (Index k = 0; k < W; ++k) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      const Vec tap = hn::Load(d, taps + k * pitch + v * lanes);
#pragma GCC unroll 8
      for (int i = 0; i < kCount; ++i) {
        sum[i][v] = hn::MulAdd(tap, hn::Load(d, x + (k + i) * pitch + v * lanes), sum[i][v]);
      }
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kCount; ++i) {
#pragma GCC unroll 2
    for (Index v = 0; v < kVectors; ++v) {
      const Index at = begin + v * lanes, left = n - v * lanes;
      Vec y = sum[i][v];
      if (!op.skip.empty()) {
        y = hn::MulAdd(load_of_group<kVectors>(d, op.skip.data + at, left),
                       hn::Load(d, x + (W - 1 + i) * pitch + v * lanes), y);
      }
      if (!op.gate.empty()) {
        y = hn::Mul(y, load_of_group<kVectors>(d, op.gate.row(t + i) + at, left));
      }
      store_of_group<kVectors>(d, y, op.y.row(t + i) + at, left);
    }
  }
}

// Channels [begin, begin + n): kVectors whole vectors; a single one may be short.
template <int kVectors>
void fir_channels(const Fir& op, Index begin, Index n) {
  const F32 d;
  const Index lanes = static_cast<Index>(hn::Lanes(d)), pitch = kVectors * lanes;
  const Index L = op.x.extent[0], D = op.x.extent[1];
  const auto [G, W] = op.taps.extent;
  const Index past = W - 1, at_once = std::min(L, std::max<Index>(192, W));
  const Buffer<float> taps(W * pitch), x((past + at_once) * pitch);
  // The tap of the oldest input first.
  const bool last = op.order == TapOrder::current_last;
  for (Index c = 0; c < pitch; ++c) {
    const float* from = op.taps.row(std::min(begin + c, D - 1) / (D / G));
    for (Index k = 0; k < W; ++k) taps[k * pitch + c] = from[last ? k : W - 1 - k];
  }
  const auto copy_in = [&](const float* row, float* to) HWY_ATTR {
#pragma GCC unroll 2
    for (Index v = 0; v < kVectors; ++v) {
      hn::Store(load_of_group<kVectors>(d, row + begin + v * lanes, n - v * lanes), d,
                to + v * lanes);
    }
  };
  for (Index k = 0; k < past; ++k) copy_in(op.tail.row(k), x.data() + k * pitch);
  for (Index start = 0; start < L; start += at_once) {
    const Index tokens = std::min(at_once, L - start);
    for (Index t = 0; t < tokens; ++t) {
      const float* row = op.x.row(start + t);
      fetch_ahead(row + begin, op.x.stride[0], 8, pitch);
      copy_in(row, x.data() + (past + t) * pitch);
    }
    Index t = 0;
    for (; t + kTokens <= tokens; t += kTokens) {
      sums<kTokens, kVectors>(op, x.data() + t * pitch, taps.data(), start + t, begin, n);
    }
    for (; t < tokens; ++t) {
      sums<1, kVectors>(op, x.data() + t * pitch, taps.data(), start + t, begin, n);
    }
    std::memmove(x.data(), x.data() + tokens * pitch,
                 static_cast<std::size_t>(past * pitch) * sizeof(float));
  }
  for (Index k = 0; k < past; ++k) {
#pragma GCC unroll 2
    for (Index v = 0; v < kVectors; ++v) {
      store_of_group<kVectors>(d, hn::Load(d, x.data() + k * pitch + v * lanes),
                               op.tail.row(k) + begin + v * lanes, n - v * lanes);
    }
  }
}

void fir_cpu(Cpu& cpu, const Fir& op) {
  const Index lanes = static_cast<Index>(hn::Lanes(F32()));
  const auto [L, D] = op.x.extent;
  if (L == 0) return;
  // Two vectors of channels at a time, where that leaves work for every thread.
  const Index width = (D >= 2 * lanes * cpu.threads() ? 2 : 1) * lanes;
  const auto body = [&](Index i) {
    Index begin = i * width;
    const Index end = std::min(begin + width, D);
    if (end - begin == 2 * lanes) {
      fir_channels<2>(op, begin, 2 * lanes);
    } else {
      for (; begin < end; begin += lanes) fir_channels<1>(op, begin, std::min(lanes, end - begin));
    }
  };
  const Index blocks = (D + width - 1) / width;
  // Below this a task costs more than it saves.
  if (L * D * op.taps.extent[1] < 262'144) {
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

HWY_EXPORT(fir_cpu);

void run(Cpu& cpu, const Fir& op) { HWY_DYNAMIC_DISPATCH(fir_cpu)(cpu, op); }

}  // namespace genossm
#endif
