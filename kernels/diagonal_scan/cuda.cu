// Three phases: what each segment leaves behind of a start from zeros, the carry over the segments,
// the outputs. A thread takes a segment of a channel with some states in registers; of many states
// the sums go through scratch memory.
#include "kernels/core/cuda/device.cuh"
#include "kernels/core/cuda/impl.h"
#include "kernels/diagonal_scan/diagonal_scan.h"

namespace genossm {
namespace {

constexpr int kThreads = 64;
constexpr int kNumbers = 16;  // of states in a thread's registers; a complex one is two

template <class T>
struct Scan {
  BasicDiagonalScan<T> op;
  float* S = nullptr;    // [segments, N, Q, D] ends, after the carry starts
  float* sum = nullptr;  // [L, D] of the states so far, where one pass does not take all
  Index segments = 0;

  __device__ float* at(Index segment, Index n, Index q, Index c) const {
    const Index N = op.poles.extent[0], Q = op.poles.extent[1], D = op.poles.extent[2];
    return S + ((segment * N + n) * Q + q) * D + c;
  }
};

__device__ __forceinline__ float part(View<const float, 3> v, Index n, Index q, Index c) {
  return v.empty() ? 0.0f : v.row(n)[q * v.stride[1] + c];
}

// States [first, first + kStates) of one channel; those beyond N are zeros.
template <int Q>
struct States {
  static constexpr int kStates = kNumbers / Q;
  float p[kStates][Q], low[kStates][Q], h[kStates][Q];

  template <class T>
  __device__ __forceinline__ void load(const BasicDiagonalScan<T>& op, Index first, Index c) {
    const Index N = op.poles.extent[0];
#pragma unroll
    for (int i = 0; i < kStates; ++i) {
#pragma unroll
      for (int q = 0; q < Q; ++q) {
        const bool there = first + i < N;
        p[i][q] = there ? part(op.poles, first + i, q, c) : 0.0f;
        low[i][q] = there ? part(op.poles_low, first + i, q, c) : 0.0f;
        h[i][q] = 0.0f;
      }
    }
  }
  __device__ __forceinline__ void step(float u) {
#pragma unroll
    for (int i = 0; i < kStates; ++i) {
      if constexpr (Q == 1) {
        h[i][0] = fmaf(p[i][0], h[i][0], fmaf(low[i][0], h[i][0], u));
      } else {
        const float re = h[i][0], im = h[i][1];
        h[i][0] =
            fmaf(p[i][0], re, fmaf(-p[i][1], im, fmaf(low[i][0], re, fmaf(-low[i][1], im, u))));
        h[i][1] = fmaf(p[i][0], im, fmaf(p[i][1], re, fmaf(low[i][0], im, low[i][1] * re)));
      }
    }
  }
};

struct Tokens {
  Index begin, end;
};
__device__ __forceinline__ Tokens tokens_of(Index segment, Index L) {
  const Index begin = segment * kCudaSegment;
  return {begin, begin + kCudaSegment < L ? begin + kCudaSegment : L};
}

template <class T, int Q>
__global__ void __launch_bounds__(kThreads) ends_kernel(Scan<T> scan) {
  const auto& op = scan.op;
  const Index c = static_cast<Index>(blockIdx.y) * kThreads + threadIdx.x;
  if (c >= op.u.extent[1]) return;
  const Index segment = blockIdx.x, N = op.poles.extent[0];
  const Index first = static_cast<Index>(blockIdx.z) * States<Q>::kStates;
  States<Q> s;
  s.load(op, first, c);
  const Tokens tokens = tokens_of(segment, op.u.extent[0]);
  for (Index t = tokens.begin; t < tokens.end; ++t) s.step(to_float(op.u.row(t)[c]));
#pragma unroll
  for (int i = 0; i < States<Q>::kStates; ++i) {
#pragma unroll
    for (int q = 0; q < Q; ++q) {
      if (first + i < N) *scan.at(segment, first + i, q, c) = s.h[i][q];
    }
  }
}

struct Pair {
  double re, im;
};
__device__ __forceinline__ Pair times(Pair a, Pair b) {
  return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}
__device__ inline Pair power(Pair p, Index n) {
  Pair result{1, 0};
  for (; n > 0; n >>= 1, p = times(p, p)) {
    if (n & 1) result = times(result, p);
  }
  return result;
}

// A thread a state of a channel.
template <class T, int Q>
__global__ void __launch_bounds__(kThreads) carry_kernel(Scan<T> scan) {
  const auto& op = scan.op;
  const Index c = static_cast<Index>(blockIdx.x) * kThreads + threadIdx.x, n = blockIdx.y;
  const auto [L, D] = op.u.extent;
  if (c >= D) return;
  const auto pole = [&](Index q) {
    return static_cast<double>(part(op.poles, n, q, c)) +
           static_cast<double>(part(op.poles_low, n, q, c));
  };
  const Pair p{pole(0), Q == 2 ? pole(1) : 0.0};
  const Pair whole = power(p, kCudaSegment);
  float* out = op.h.row(n) + c;
  float re = out[0], im = Q == 2 ? out[op.h.stride[1]] : 0.0f;
  for (Index segment = 0; segment < scan.segments; ++segment) {
    const Tokens tokens = tokens_of(segment, L);
    const Pair decay =
        tokens.end - tokens.begin == kCudaSegment ? whole : power(p, tokens.end - tokens.begin);
    float* at = scan.at(segment, n, 0, c);
    const Pair moved = times(decay, {re, im});
    const float end_re = at[0];
    at[0] = re;
    re = static_cast<float>(moved.re + end_re);
    if constexpr (Q == 2) {
      const float end_im = at[D];
      at[D] = im;
      im = static_cast<float>(moved.im + end_im);
    }
  }
  out[0] = re;
  if constexpr (Q == 2) out[op.h.stride[1]] = im;
}

template <class T, int Q>
__global__ void __launch_bounds__(kThreads) outputs_kernel(Scan<T> scan, Index first) {
  const auto& op = scan.op;
  const auto [L, D] = op.u.extent;
  const Index c = static_cast<Index>(blockIdx.y) * kThreads + threadIdx.x, N = op.poles.extent[0];
  if (c >= D) return;
  const Index segment = blockIdx.x;
  States<Q> s;
  s.load(op, first, c);
  float r[States<Q>::kStates][Q];
#pragma unroll
  for (int i = 0; i < States<Q>::kStates; ++i) {
#pragma unroll
    for (int q = 0; q < Q; ++q) {
      const bool there = first + i < N;
      r[i][q] = there ? part(op.residues, first + i, q, c) : 0.0f;
      if (there) s.h[i][q] = *scan.at(segment, first + i, q, c);
    }
  }
  const bool begins = first == 0, ends = first + States<Q>::kStates >= N;
  const float skip = op.skip.empty() ? 0.0f : op.skip.data[c];
  const Tokens tokens = tokens_of(segment, L);
  for (Index t = tokens.begin; t < tokens.end; ++t) {
    const float u = to_float(op.u.row(t)[c]);
    s.step(u);
    float y = begins ? 0.0f : scan.sum[t * D + c];
#pragma unroll
    for (int i = 0; i < States<Q>::kStates; ++i) {
      y = fmaf(r[i][0], s.h[i][0], y);
      if constexpr (Q == 2) y = fmaf(-r[i][1], s.h[i][1], y);
    }
    if (!ends) {
      scan.sum[t * D + c] = y;
      continue;
    }
    y = fmaf(skip, u, y);
    if (!op.gate.empty()) y *= to_float(op.gate.row(t)[c]);
    op.y.row(t)[c] = from_float<T>(y);
  }
}

template <class T, int Q>
void phases(Cuda& cuda, const BasicDiagonalScan<T>& op) {
  const auto [L, D] = op.u.extent;
  const Index N = op.poles.extent[0], passes = div_up(N, States<Q>::kStates);
  Scan<T> scan{.op = op, .segments = div_up(L, kCudaSegment)};
  ScratchParts parts;
  const Index S = parts.add<float>(scan.segments * N * Q * D);
  const Index sum = parts.add<float>(passes > 1 ? L * D : 0);
  parts.take(cuda);
  scan.S = parts.at<float>(S), scan.sum = parts.at<float>(sum);
  const auto blocks = static_cast<unsigned>(div_up(D, kThreads));
  const auto segments = static_cast<unsigned>(scan.segments);
  ends_kernel<T, Q>
      <<<dim3(segments, blocks, static_cast<unsigned>(passes)), kThreads, 0, stream_of(cuda)>>>(
          scan);
  ok_launch();
  carry_kernel<T, Q>
      <<<dim3(blocks, static_cast<unsigned>(N)), kThreads, 0, stream_of(cuda)>>>(scan);
  ok_launch();
  for (Index pass = 0; pass < passes; ++pass) {
    outputs_kernel<T, Q>
        <<<dim3(blocks, segments), kThreads, 0, stream_of(cuda)>>>(scan, pass * States<Q>::kStates);
    ok_launch();
  }
}

template <class T>
void run_any(Cuda& cuda, const BasicDiagonalScan<T>& op) {
  const auto [L, D] = op.u.extent;
  if (L == 0 || D == 0) return;
  op.poles.extent[1] == 1 ? phases<T, 1>(cuda, op) : phases<T, 2>(cuda, op);
}

}  // namespace

void run(Cuda& cuda, const DiagonalScan& op) { run_any(cuda, op); }
void run(Cuda& cuda, const BasicDiagonalScan<bf16>& op) { run_any(cuda, op); }

}  // namespace genossm
