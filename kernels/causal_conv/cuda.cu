// A thread walks a strip of tokens with the last W - 1 inputs of a few channels in registers, so
// that every input is read once, also where both directions are wanted.
#include "kernels/causal_conv/causal_conv.h"
#include "kernels/core/cuda/device.cuh"
#include "kernels/core/cuda/impl.h"

namespace genossm {
namespace {

constexpr int kThreads = 128;
constexpr int kStrip = 64;  // tokens; divides kCudaSegment
constexpr int kStripsASegment = static_cast<int>(kCudaSegment) / kStrip;

// One sequence whose rows run downwards or upwards, or a table of sequences that run downwards.
template <class T>
struct Strips {
  CausalConvSet<T> op;
  bool table = true;
  SequenceRows one;  // without a table
  float* tail = nullptr;
  Index tail_stride = 0;
  int taps = 0;  // W
};

// Those of 8 taps serve fewer, too: the first `unused` ones are then left out.
template <class T, int V, int W>
struct Taps {
  float w[W][V], bias[V];
  __device__ void load(const typename CausalConvSet<T>::Direction& d, Index c, int unused) {
#pragma unroll
    for (int k = 0; k < W; ++k) {
      if (k >= unused) load_pack<float, V>(d.w.row(k - unused) + c, w[k]);
    }
#pragma unroll
    for (int i = 0; i < V; ++i) bias[i] = d.bias.empty() ? 0.0f : d.bias.data[c + i];
  }
};

// Into shared memory behind the thread's back.
template <int kBytes>
__device__ __forceinline__ void copy_later(void* to, const void* from) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], %2;" ::"r"(
                   static_cast<unsigned>(__cvta_generic_to_shared(to))),
               "l"(from), "n"(kBytes));
}

template <class T, int V, int W, bool kForward, bool kReverse>
__global__ void __launch_bounds__(kThreads) conv_kernel(Strips<T> strips) {
  const auto& op = strips.op;
  const Index D = op.x.extent[1];
  const int unused = W == 8 ? W - strips.taps : 0;
  const int lanes = static_cast<int>((D + V - 1) / V);
  // A block's threads are dealt over channels first, then over strips.
  const Index flat = static_cast<Index>(blockIdx.x) * kThreads + threadIdx.x;
  const Index strip = flat / lanes;
  const Index c = flat % lanes * V;
  SequenceRows sequence = strips.one;
  Index in_sequence = strip;  // which strip of its sequence
  if (strips.table) {
    const Index segment = strip / kStripsASegment;
    if (segment >= op.sequences.segments()) return;
    sequence = op.sequences.rows.data[op.sequences.of_segment.data[segment]];
    in_sequence = (segment - sequence.first_segment) * kStripsASegment + strip % kStripsASegment;
  }
  const Index L = sequence.end - sequence.begin;
  const Index t0 = in_sequence * kStrip;
  if (t0 >= L) return;
  const Index t1 = t0 + kStrip < L ? t0 + kStrip : L;
  const float* tail = strips.tail;
  if (strips.table) {
    tail = op.tails != nullptr && sequence.state >= 0 && !sequence.fresh ? op.tails + sequence.state
                                                                         : nullptr;
  }
  const auto input = [&](Index t, float(&out)[V]) {
    if (t >= 0 && t < L) {
      load_pack<T, V>(op.x.row(sequence.begin + t) + c, out);
    } else if (t < 0 && t + W - 1 >= unused && tail != nullptr) {
      const Index stride = strips.table ? D : strips.tail_stride;
#pragma unroll
      for (int i = 0; i < V; ++i) out[i] = tail[(t + W - 1 - unused) * stride + c + i];
    } else {
#pragma unroll
      for (int i = 0; i < V; ++i) out[i] = 0.0f;
    }
  };
  Taps<T, V, W> forward, reverse;
  if constexpr (kForward) forward.load(op.forward, c, unused);
  if constexpr (kReverse) reverse.load(op.reverse, c, unused);
  // x[0 .. kWindow - 1] is x[t - kBack .. t + kAhead] of the first of kAtOnce tokens; the others'
  // lie behind it, and only once for all of them does the window move.
  constexpr int kBack = kForward ? W - 1 : 0, kAhead = kReverse ? W - 1 : 0;
  constexpr int kWindow = kBack + kAhead + 1, kAtOnce = 4;
  float x[kWindow - 1 + kAtOnce][V];
#pragma unroll
  for (int k = 0; k < kWindow - 1; ++k) input(t0 - kBack + k, x[k]);
  const auto put = [&](View<T, 2> y, Index t, float(&sum)[V]) {
    if (op.silu) {
#pragma unroll
      for (int i = 0; i < V; ++i) sum[i] = silu_of<T>(sum[i]);
    }
    store_pack<T, V>(y.row(sequence.begin + t) + c, sum);
  };
  // Inputs come some groups of tokens ahead, into a thread's own places in shared memory where they
  // are wide enough for that: registers would not hold as many.
  using Raw = Pack<T, V>;
  constexpr bool kShared = sizeof(Raw) >= 4;
  constexpr int kRing = kShared ? 5 : 1;
  __shared__ Raw ring[kRing][kAtOnce][kShared ? kThreads : 1];
  Raw next[kAtOnce];
  const T* from = op.x.row(sequence.begin + t0 + kAhead) + c;
  const Index step = op.x.stride[0];
  const auto fetch = [&](Index t, int slot) {  // the inputs that token t and the next ones add
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j) {
      if (t < t1 && t + kAhead + j < L) {
        if constexpr (kShared) {
          copy_later<sizeof(Raw)>(&ring[slot][j][threadIdx.x], from + j * step);
        } else {
          next[j] = *reinterpret_cast<const Raw*>(from + j * step);
        }
      }
    }
    from += kAtOnce * step;
    if constexpr (kShared) asm volatile("cp.async.commit_group;");
  };
  constexpr int kEarly = kShared ? kRing - 1 : 1;  // groups on their way
#pragma unroll
  for (int g = 0; g < kEarly; ++g) fetch(t0 + g * kAtOnce, g);
  int slot = 0, free = kEarly % kRing;
  for (Index t = t0; t < t1; t += kAtOnce) {
    const bool inside = t + kAtOnce + kAhead <= L;
    if constexpr (kShared) asm volatile("cp.async.wait_group %0;" ::"n"(kEarly - 1) : "memory");
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j) {
      if constexpr (kShared) next[j] = ring[slot][j][threadIdx.x];
#pragma unroll
      for (int i = 0; i < V; ++i) {
        x[kWindow - 1 + j][i] = inside || t + j + kAhead < L ? to_float(next[j].v[i]) : 0.0f;
      }
    }
    fetch(t + kEarly * kAtOnce, free);
    slot = slot + 1 == kRing ? 0 : slot + 1, free = free + 1 == kRing ? 0 : free + 1;
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j) {
      if (t + j >= t1) break;
      if constexpr (kForward) {
        float sum[V];
#pragma unroll
        for (int i = 0; i < V; ++i) {
          sum[i] = forward.bias[i];
#pragma unroll
          for (int k = 0; k < W; ++k) {
            if (k >= unused) sum[i] = fmaf(forward.w[k][i], x[j + k][i], sum[i]);
          }
        }
        put(op.forward.y, t + j, sum);
      }
      if constexpr (kReverse) {
        float sum[V];
#pragma unroll
        for (int i = 0; i < V; ++i) {
          sum[i] = reverse.bias[i];
#pragma unroll
          for (int k = 0; k < W; ++k) {
            if (k >= unused) sum[i] = fmaf(reverse.w[k][i], x[j + kWindow - 1 - k][i], sum[i]);
          }
        }
        put(op.reverse.y, t + j, sum);
      }
    }
#pragma unroll
    for (int k = 0; k < kWindow - 1; ++k) {
#pragma unroll
      for (int i = 0; i < V; ++i) x[k][i] = x[k + kAtOnce][i];
    }
  }
}

// The last W - 1 inputs, after the outputs: the strips of one launch would still read the old tail.
template <class T>
__global__ void tail_kernel(Strips<T> strips, int W, int blocks_a_sequence) {
  const auto& op = strips.op;
  const Index D = op.x.extent[1];
  const Index c = static_cast<Index>(blockIdx.x % blocks_a_sequence) * blockDim.x + threadIdx.x;
  if (c >= D) return;
  SequenceRows sequence = strips.one;
  float* tail = strips.tail;
  Index stride = strips.tail_stride;
  bool fresh = false;
  if (strips.table) {
    sequence = op.sequences.rows.data[blockIdx.x / blocks_a_sequence];
    if (sequence.state < 0) return;
    tail = op.tails + sequence.state;
    stride = D;
    fresh = sequence.fresh;
  }
  const Index L = sequence.end - sequence.begin;
  float last[7];
#pragma unroll
  for (int k = 0; k < 7; ++k) {
    if (k >= W - 1) break;
    const Index t = L - (W - 1) + k;
    last[k] = t >= 0  ? to_float(op.x.row(sequence.begin + t)[c])
              : fresh ? 0.0f
                      : tail[(t + W - 1) * stride + c];
  }
#pragma unroll
  for (int k = 0; k < 7; ++k) {
    if (k < W - 1) tail[k * stride + c] = last[k];
  }
}

template <class T, int V, int W>
void start(Cuda& cuda, const Strips<T>& strips, Index count) {
  const Index n = count * div_up(strips.op.x.extent[1], V);
  const auto blocks = static_cast<unsigned>(div_up(n, kThreads));
  const bool forward = !strips.op.forward.y.empty(), reverse = !strips.op.reverse.y.empty();
  if (forward && reverse) {
    conv_kernel<T, V, W, true, true><<<blocks, kThreads, 0, stream_of(cuda)>>>(strips);
  } else if (forward) {
    conv_kernel<T, V, W, true, false><<<blocks, kThreads, 0, stream_of(cuda)>>>(strips);
  } else {
    conv_kernel<T, V, W, false, true><<<blocks, kThreads, 0, stream_of(cuda)>>>(strips);
  }
  ok_launch();
}

template <class T>
void run_strips(Cuda& cuda, Strips<T>& strips, Index count) {
  if (count == 0) return;
  const auto& op = strips.op;
  const auto& some = op.forward.y.empty() ? op.reverse : op.forward;
  strips.taps = static_cast<int>(some.w.extent[0]);
  constexpr int V = 4;
  bool fits = op.x.extent[1] % V == 0 && aligned_for(op.x.data, op.x.stride[0], V);
  for (const auto* d : {&op.forward, &op.reverse}) {
    fits = fits && (d->y.empty() || (aligned_for(d->y.data, d->y.stride[0], V) &&
                                     aligned_for(d->w.data, d->w.stride[0], V)));
  }
  if (fits && strips.taps == 4) {
    start<T, V, 4>(cuda, strips, count);
  } else if (fits && strips.taps == 3) {
    start<T, V, 3>(cuda, strips, count);
  } else {
    start<T, 1, 8>(cuda, strips, count);
  }
}

template <class T>
void run_one(Cuda& cuda, const BasicCausalConv<T>& op) {
  const auto [L, D] = op.x.extent;
  if (L == 0 || D == 0) return;
  const int W = static_cast<int>(op.w.extent[0]);
  Strips<T> strips;
  strips.op.x = op.x;
  strips.op.silu = op.silu;
  strips.op.forward = {op.w, op.bias, op.y};
  strips.table = false;
  strips.one = {0, L, 0, false, 0};
  strips.tail = op.tail.data;
  strips.tail_stride = op.tail.stride[0];
  run_strips(cuda, strips, div_up(L, kStrip));
  const auto blocks = static_cast<unsigned>(div_up(D, 128));
  tail_kernel<T><<<blocks, 128, 0, stream_of(cuda)>>>(strips, W, static_cast<int>(blocks));
  ok_launch();
}

template <class T>
void run_set(Cuda& cuda, const CausalConvSet<T>& op) {
  if (op.x.size() == 0) return;
  Strips<T> strips;
  strips.op = op;
  run_strips(cuda, strips, op.sequences.segments() * kStripsASegment);
  if (op.tails == nullptr) return;
  const Index blocks = div_up(op.x.extent[1], 128);
  const auto grid = static_cast<unsigned>(blocks * op.sequences.rows.extent[0]);
  tail_kernel<T><<<grid, 128, 0, stream_of(cuda)>>>(
      strips, static_cast<int>(op.forward.w.extent[0]), static_cast<int>(blocks));
  ok_launch();
}

}  // namespace

void run(Cuda& cuda, const CausalConv& op) { run_one(cuda, op); }
void run(Cuda& cuda, const BasicCausalConv<bf16>& op) { run_one(cuda, op); }
void run(Cuda& cuda, const CausalConvSet<float>& op) { run_set(cuda, op); }
void run(Cuda& cuda, const CausalConvSet<bf16>& op) { run_set(cuda, op); }

}  // namespace genossm
