// A block takes a strip of tokens of 32 channels; a thread sums eight tokens that follow each other
// side by side. Inputs and taps come through shared memory, some taps at a time, the oldest inputs
// first: the order of every sum is the same wherever a strip begins.
#include "kernels/core/cuda/device.cuh"
#include "kernels/core/cuda/impl.h"
#include "kernels/fir/fir.h"

namespace genossm {
namespace {

constexpr int kChannels = 32;
constexpr int kTokens = 8;  // of a thread
constexpr int kGroups = 8;  // of such tokens
constexpr int kStrip = kTokens * kGroups;
constexpr int kTaps = 32;  // at a time; a multiple of kTokens

template <class T>
__global__ void __launch_bounds__(kChannels* kGroups) fir_kernel(BasicFir<T> op) {
  __shared__ float inputs[kStrip + kTaps][kChannels];
  __shared__ float taps[kTaps][kChannels];
  const auto [L, D] = op.x.extent;
  const Index W = op.taps.extent[1], shared = D / op.taps.extent[0];
  const int lane = static_cast<int>(threadIdx.x) % kChannels;
  const int group = static_cast<int>(threadIdx.x) / kChannels;
  const Index c = static_cast<Index>(blockIdx.y) * kChannels + lane;
  const Index t0 = static_cast<Index>(blockIdx.x) * kStrip;
  const bool there = c < D, last = op.order == TapOrder::current_last;
  const auto input = [&](Index t) {
    if (!there || t >= L || t + W - 1 < 0) return 0.0f;
    return t >= 0 ? to_float(op.x.row(t)[c]) : op.tail.row(t + W - 1)[c];
  };
  float sum[kTokens] = {};
  for (Index k0 = 0; k0 < W; k0 += kTaps) {
    const int n = static_cast<int>(W - k0 < kTaps ? W - k0 : kTaps);
    for (int i = group; i < kStrip + kTaps; i += kGroups) {
      inputs[i][lane] = input(t0 + k0 - (W - 1) + i);
    }
    for (int k = group; k < n; k += kGroups) {
      const Index at = last ? k0 + k : W - 1 - k0 - k;
      taps[k][lane] = there ? op.taps.row(c / shared)[at] : 0.0f;
    }
    __syncthreads();
    // x[i] is the input that tap k meets for token i; each step takes in one more.
    float x[2 * kTokens];
#pragma unroll
    for (int i = 0; i < kTokens; ++i) x[i] = inputs[group * kTokens + i][lane];
    for (int k = 0; k < n; k += kTokens) {
#pragma unroll
      for (int i = 0; i < kTokens; ++i) {
        x[kTokens + i] = inputs[group * kTokens + k + kTokens + i][lane];
      }
#pragma unroll
      for (int j = 0; j < kTokens; ++j) {
        if (k + j >= n) break;
        const float tap = taps[k + j][lane];
#pragma unroll
        for (int i = 0; i < kTokens; ++i) sum[i] = fmaf(tap, x[i + j], sum[i]);
      }
#pragma unroll
      for (int i = 0; i < kTokens; ++i) x[i] = x[kTokens + i];
    }
    __syncthreads();
  }
  if (!there) return;
  const float skip = op.skip.empty() ? 0.0f : op.skip.data[c];
#pragma unroll
  for (int i = 0; i < kTokens; ++i) {
    const Index t = t0 + group * kTokens + i;
    if (t >= L) return;
    float y = sum[i];
    if (!op.skip.empty()) y = fmaf(skip, to_float(op.x.row(t)[c]), y);
    if (!op.gate.empty()) y *= to_float(op.gate.row(t)[c]);
    op.y.row(t)[c] = from_float<T>(y);
  }
}

// The last W - 1 inputs, after the outputs: the strips would still read the old tail. A thread
// moves those of a channel, oldest first, so that none is overwritten before it has moved.
template <class T>
__global__ void tail_kernel(BasicFir<T> op) {
  const auto [L, D] = op.x.extent;
  const Index past = op.taps.extent[1] - 1;
  const Index c = static_cast<Index>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (c >= D) return;
  for (Index k = 0; k < past; ++k) {
    const Index t = L - past + k;
    op.tail.row(k)[c] = t >= 0 ? to_float(op.x.row(t)[c]) : op.tail.row(k + L)[c];
  }
}

template <class T>
void run_any(Cuda& cuda, const BasicFir<T>& op) {
  const auto [L, D] = op.x.extent;
  if (L == 0 || D == 0) return;
  const dim3 grid(static_cast<unsigned>(div_up(L, kStrip)),
                  static_cast<unsigned>(div_up(D, kChannels)));
  fir_kernel<T><<<grid, kChannels * kGroups, 0, stream_of(cuda)>>>(op);
  ok_launch();
  if (op.taps.extent[1] == 1) return;
  tail_kernel<T><<<static_cast<unsigned>(div_up(D, 128)), 128, 0, stream_of(cuda)>>>(op);
  ok_launch();
}

}  // namespace

void run(Cuda& cuda, const Fir& op) { run_any(cuda, op); }
void run(Cuda& cuda, const BasicFir<bf16>& op) { run_any(cuda, op); }

}  // namespace genossm
