// A thread walks a strip of tokens with the last W - 1 inputs of a few channels in registers: of
// one gate that is kept, or of v and of the gate that it is multiplied by.
#include "kernels/causal_conv/causal_conv.h"
#include "kernels/core/cuda/device.cuh"
#include "kernels/core/cuda/impl.h"

namespace genossm {
namespace {

constexpr int kThreads = 128;
constexpr int kStrip = 64;  // tokens; divides kCudaSegment
constexpr int kStripsASegment = static_cast<int>(kCudaSegment) / kStrip;
constexpr int kAtOnce = 4;  // tokens whose inputs are on their way together

// V channels from column c on of the convolution; the first `unused` of W taps are left out.
template <int V, int W>
struct Channels {
  const float* from;
  Index stride;
  int unused;
  float w[W][V], bias[V];
  float x[W - 1 + kAtOnce][V];  // before token t, then tokens t, t + 1, ..

  __device__ Channels(const GatedConvSet& op, Index first_row, Index c, int left_out)
      : from(op.x.row(first_row) + c), stride(op.x.stride[0]), unused(left_out) {
#pragma unroll
    for (int k = 0; k < W; ++k) {
      if (k >= unused) load_pack<float, V>(op.w.row(k - unused) + c, w[k]);
    }
#pragma unroll
    for (int i = 0; i < V; ++i) bias[i] = op.bias.empty() ? 0.0f : op.bias.data[c + i];
  }
  __device__ __forceinline__ void input(int slot, Index t, bool there) {
    if (there) {
      load_pack<float, V>(from + t * stride, x[slot]);
    } else {
#pragma unroll
      for (int i = 0; i < V; ++i) x[slot][i] = 0.0f;
    }
  }
  __device__ __forceinline__ void begin(Index t) {
#pragma unroll
    for (int k = 0; k < W - 1; ++k) input(k, t - (W - 1) + k, k >= unused && t + k >= W - 1);
  }
  __device__ __forceinline__ void take(Index t, Index end) {
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j) input(W - 1 + j, t + j, t + j < end);
  }
  __device__ __forceinline__ void sum(int j, float (&out)[V]) const {
#pragma unroll
    for (int i = 0; i < V; ++i) {
      out[i] = bias[i];
#pragma unroll
      for (int k = 0; k < W; ++k) {
        if (k >= unused) out[i] = fmaf(w[k][i], x[j + k][i], out[i]);
      }
    }
  }
  __device__ __forceinline__ void move_on() {
#pragma unroll
    for (int k = 0; k < W - 1; ++k) {
#pragma unroll
      for (int i = 0; i < V; ++i) x[k][i] = x[k + kAtOnce][i];
    }
  }
};

template <int V, int W>
__global__ void __launch_bounds__(kThreads) gated_kernel(GatedConvSet op) {
  const Index D = op.v.extent[1], kept = op.x.extent[1] - 2 * D;
  const Index lanes = (kept + D) / V;
  const Index flat = static_cast<Index>(blockIdx.x) * kThreads + threadIdx.x;
  const Index strip = flat / lanes, c = flat % lanes * V;
  const Index segment = strip / kStripsASegment;
  if (segment >= op.sequences.segments()) return;
  const SequenceRows sequence = op.sequences.rows.data[op.sequences.of_segment.data[segment]];
  const Index L = sequence.end - sequence.begin;
  const Index t0 =
      ((segment - sequence.first_segment) * kStripsASegment + strip % kStripsASegment) * kStrip;
  if (t0 >= L) return;
  const Index t1 = t0 + kStrip < L ? t0 + kStrip : L;
  const int unused = W == 3 ? 0 : W - static_cast<int>(op.w.extent[0]);
  // A gate is as it is; behind the gates stand the last one and v.
  const bool product = c >= kept;
  Channels<V, W> a(op, sequence.begin, c, unused);
  Channels<V, W> b(op, sequence.begin, product ? c + D : c, unused);
  a.begin(t0);
  if (product) b.begin(t0);
  for (Index t = t0; t < t1; t += kAtOnce) {
    a.take(t, t1);
    if (product) b.take(t, t1);
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j) {
      if (t + j >= t1) break;
      const Index row = sequence.begin + t + j;
      float gate[V];
      a.sum(j, gate);
      if (product) {
        float v[V];
        b.sum(j, v);
#pragma unroll
        for (int i = 0; i < V; ++i) v[i] *= gate[i];
        store_pack<float, V>(op.v.row(row) + c - kept, v);
      } else {
        store_pack<float, V>(op.gates.row(row) + c, gate);
      }
    }
    a.move_on();
    if (product) b.move_on();
  }
}

}  // namespace

void run(Cuda& cuda, const GatedConvSet& op) {
  const Index D = op.v.extent[1], kept = op.x.extent[1] - 2 * D;
  const Index strips = op.sequences.segments() * kStripsASegment;
  if (strips == 0 || D == 0) return;
  constexpr int V = 4;
  const auto fits = [](const auto& view) {
    return view.empty() || aligned_for(view.data, view.stride[0], V);
  };
  const bool wide = op.w.extent[0] == 3 && D % V == 0 && kept % V == 0 && fits(op.x) &&
                    fits(op.w) && fits(op.gates) && fits(op.v);
  const Index n = strips * ((kept + D) / (wide ? V : 1));
  const auto blocks = static_cast<unsigned>(div_up(n, kThreads));
  if (wide) {
    gated_kernel<V, 3><<<blocks, kThreads, 0, stream_of(cuda)>>>(op);
  } else {
    gated_kernel<1, 8><<<blocks, kThreads, 0, stream_of(cuda)>>>(op);
  }
  ok_launch();
}

}  // namespace genossm
