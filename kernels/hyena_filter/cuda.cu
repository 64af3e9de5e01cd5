// A block takes kRows rows. Columns of a product are taken 64 at a time: a thread holds 4 rows of 4
// columns, and the sum over the inputs is one chain of multiply-adds in their order, wherever a row
// or a column stands.
#include <algorithm>

#include "kernels/core/cuda/device.cuh"
#include "kernels/core/cuda/impl.h"
#include "kernels/hyena_filter/hyena_filter.h"

namespace genossm {
namespace {

constexpr int kThreads = 256, kRows = 64, kColumns = 64, kDepth = 16;
// Rows of a column of activations in shared memory, a multiple of 4 so that four are read at once.
constexpr int kPitch = kRows + 4;
constexpr Index kWidest = 96;  // layers that the trunk's rows in shared memory may have

// sin(x) for |x| < 2^21, as on the Cpu: x = n pi + r with |r| <= pi/2, r from pi in three parts;
// then the series to r^13, whose next term is below 1e-9.
__device__ __forceinline__ float sine(float x) {
  const float n = rintf(x * 0.318309886183790672f);
  float r = fmaf(-n, 3.140625f, x);
  r = fmaf(-n, 9.67502593994140625e-4f, r);
  r = fmaf(-n, 1.5099579909783765e-7f, r);
  const float square = r * r;
  float p = 1.6059043836821613e-10f;
  p = fmaf(p, square, -2.5052108385441720e-8f);
  p = fmaf(p, square, 2.7557319223985893e-6f);
  p = fmaf(p, square, -1.9841269841269841e-4f);
  p = fmaf(p, square, 8.3333333333333333e-3f);
  p = fmaf(p, square, -1.6666666666666667e-1f);
  const float s = fmaf(p * square, r, r);
  // An odd n turns the sign.
  return __uint_as_float(__float_as_uint(s) ^ (static_cast<unsigned>(static_cast<int>(n)) << 31));
}

// finish(row, column, sums, n) of sum_k x(k, row) w[k, column] for all rows of the block and all
// columns, n <= 4 of them side by side at a time. x lies in shared memory, element (k, row) at x[k
// * kPitch + row]; `chunk` has room for kDepth rows of weights. Begins and ends with the threads
// together.
template <class Start, class Finish>
__device__ __forceinline__ void dense(const float* x, View<const float, 2> w, float* chunk,
                                      const Start& bias, const Finish& finish) {
  const int K = static_cast<int>(w.extent[0]), N = static_cast<int>(w.extent[1]);
  const int row = static_cast<int>(threadIdx.x) / 16 * 4;
  const int side = static_cast<int>(threadIdx.x) % 16 * 4;
  for (int first = 0; first < N; first += kColumns) {
    float sum[4][4];
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const float b = first + side + j < N ? bias(first + side + j) : 0.0f;
#pragma unroll
      for (int i = 0; i < 4; ++i) sum[i][j] = b;
    }
    for (int begin = 0; begin < K; begin += kDepth) {
      const int depth = min(kDepth, K - begin);
      __syncthreads();
      for (int i = static_cast<int>(threadIdx.x); i < depth * kColumns; i += kThreads) {
        const int column = first + i % kColumns;
        chunk[i] = column < N ? __ldg(w.row(begin + i / kColumns) + column) : 0.0f;
      }
      __syncthreads();
      for (int k = 0; k < depth; ++k) {
        const float4 a = *reinterpret_cast<const float4*>(x + (begin + k) * kPitch + row);
        const float4 b = *reinterpret_cast<const float4*>(chunk + k * kColumns + side);
        const float rows[4] = {a.x, a.y, a.z, a.w}, columns[4] = {b.x, b.y, b.z, b.w};
#pragma unroll
        for (int i = 0; i < 4; ++i) {
#pragma unroll
          for (int j = 0; j < 4; ++j) sum[i][j] = fmaf(rows[i], columns[j], sum[i][j]);
        }
      }
    }
    const int n = min(4, N - first - side);
    if (n > 0) {
#pragma unroll
      for (int i = 0; i < 4; ++i) finish(row + i, first + side, sum[i], n);
    }
  }
  __syncthreads();
}

// Rows [begin, ...) of a matrix into shared memory, column by column; zeros where it ends.
__device__ __forceinline__ void take_rows(View<const float, 2> from, Index begin, float* x) {
  const int K = static_cast<int>(from.extent[1]);
  for (int i = static_cast<int>(threadIdx.x); i < kRows * K; i += kThreads) {
    const Index t = begin + i / K;
    x[i % K * kPitch + i / K] = t < from.extent[0] ? from.row(t)[i % K] : 0.0f;
  }
  __syncthreads();
}

// Side by side where they all are there and may be written at once.
__device__ __forceinline__ void store_some(float* to, const float (&v)[4], int n, bool aligned) {
  if (n == 4 && aligned) {
    *reinterpret_cast<float4*>(to) = make_float4(v[0], v[1], v[2], v[3]);
    return;
  }
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    if (j < n) to[j] = v[j];
  }
}

__global__ void __launch_bounds__(kThreads) trunk_kernel(HyenaTrunk op, bool aligned) {
  extern __shared__ float4 shared[];
  const Index L = op.z.extent[0], E = op.z.extent[1], H = op.freq.extent[0], M = op.w.extent[0];
  const Index begin = static_cast<Index>(blockIdx.x) * kRows;
  float* chunk = reinterpret_cast<float*>(shared);
  float* x = chunk + kDepth * kColumns;
  float* y = x + max(E, H) * kPitch;
  take_rows(op.z, begin, x);
  for (Index layer = 0; layer <= M; ++layer) {
    const View<const float, 2> w =
        layer == 0 ? op.w0 : View<const float, 2>(op.w.row(layer - 1), {H, H}, {op.w.stride[1], 1});
    const float* b = layer == 0 ? op.b0.data : op.b.row(layer - 1);
    dense(
        x, w, chunk, [&](int column) { return __ldg(b + column); },
        [&](int row, int column, const float(&sums)[4], int n) {
          float v[4];
#pragma unroll
          for (int j = 0; j < 4; ++j) {
            if (j < n) v[j] = sine(__ldg(op.freq.data + column + j) * sums[j]);
          }
          if (layer == M) {
            if (begin + row < L) store_some(op.a.row(begin + row) + column, v, n, aligned);
            return;
          }
#pragma unroll
          for (int j = 0; j < 4; ++j) {
            if (j < n) y[(column + j) * kPitch + row] = v[j];
          }
        });
    float* const last = x;
    x = y;
    y = last;
  }
}

// Layers of any width: a thread does an output after the other, rows one by one.
__global__ void __launch_bounds__(kThreads) wide_trunk_kernel(HyenaTrunk op) {
  extern __shared__ float4 shared[];
  const Index E = op.z.extent[1], H = op.freq.extent[0], M = op.w.extent[0];
  float* x = reinterpret_cast<float*>(shared);
  float* y = x + max(E, H);
  const Index t = blockIdx.x;
  for (Index i = threadIdx.x; i < E; i += kThreads) x[i] = op.z.row(t)[i];
  for (Index layer = 0; layer <= M; ++layer) {
    __syncthreads();
    const View<const float, 2> w =
        layer == 0 ? op.w0 : View<const float, 2>(op.w.row(layer - 1), {H, H}, {op.w.stride[1], 1});
    const float* b = layer == 0 ? op.b0.data : op.b.row(layer - 1);
    float* to = layer == M ? op.a.row(t) : y;
    for (Index h = threadIdx.x; h < H; h += kThreads) {
      float sum = b[h];
      for (Index k = 0; k < w.extent[0]; ++k) sum = fmaf(x[k], w.row(k)[h], sum);
      to[h] = sine(op.freq.data[h] * sum);
    }
    float* const last = x;
    x = y;
    y = last;
  }
}

__device__ __forceinline__ float decay_of(const HyenaTaps& op, float time, Index d) {
  return expf(-time * fabsf(op.deltas.data[d]));
}

// A block takes kRows rows of 64 channels.
__global__ void __launch_bounds__(kThreads) taps_kernel(HyenaTaps op, bool aligned) {
  extern __shared__ float4 shared[];
  const Index L = op.a.extent[0], D = op.deltas.extent[0];
  const Index begin = static_cast<Index>(blockIdx.x) * kRows;
  const Index first = static_cast<Index>(blockIdx.y) * kColumns;
  float* chunk = reinterpret_cast<float*>(shared);
  float* x = chunk + kDepth * kColumns;
  take_rows(op.a, begin, x);
  dense(
      x, cols(op.w, first, min(first + kColumns, D)), chunk, [](int) { return 0.0f; },
      [&](int row, int column, const float(&sums)[4], int n) {
        const Index t = begin + row, d = first + column;
        if (t >= L) return;
        const float time = op.time.data[t * op.time.stride[0]];
        float v[4];
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          if (j < n) v[j] = sums[j] * (decay_of(op, time, d + j) + op.shift);
        }
        store_some(op.h.row(t) + d, v, n, aligned);
      });
}

__global__ void __launch_bounds__(kThreads) wide_taps_kernel(HyenaTaps op) {
  const Index t = blockIdx.x;
  const float time = op.time.data[t * op.time.stride[0]];
  for (Index d = threadIdx.x; d < op.deltas.extent[0]; d += kThreads) {
    float sum = 0;
    for (Index k = 0; k < op.w.extent[0]; ++k) sum = fmaf(op.a.row(t)[k], op.w.row(k)[d], sum);
    op.h.row(t)[d] = sum * (decay_of(op, time, d) + op.shift);
  }
}

template <class Op, class... P, class... A>
void start(Cuda& cuda, void (*kernel)(Op, P...), dim3 grid, Index floats, const Op& op,
           const A&... arguments) {
  const Index bytes = floats * Index{sizeof(float)};
  ok(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                          static_cast<int>(bytes)));
  kernel<<<grid, kThreads, static_cast<std::size_t>(bytes), stream_of(cuda)>>>(op, arguments...);
  ok_launch();
}

}  // namespace

void run(Cuda& cuda, const HyenaTrunk& op) {
  const Index L = op.z.extent[0], widest = std::max(op.z.extent[1], op.freq.extent[0]);
  if (L == 0 || op.freq.extent[0] == 0) return;
  if (widest <= kWidest) {
    start(cuda, trunk_kernel, dim3(static_cast<unsigned>(div_up(L, kRows))),
          kDepth * kColumns + 2 * widest * kPitch, op, aligned_for(op.a.data, op.a.stride[0], 4));
  } else {
    start(cuda, wide_trunk_kernel, dim3(static_cast<unsigned>(L)), 2 * widest, op);
  }
}

void run(Cuda& cuda, const HyenaTaps& op) {
  const Index L = op.a.extent[0], H = op.a.extent[1], D = op.deltas.extent[0];
  if (L == 0 || D == 0) return;
  if (H <= kWidest) {
    start(cuda, taps_kernel,
          dim3(static_cast<unsigned>(div_up(L, kRows)), static_cast<unsigned>(div_up(D, kColumns))),
          kDepth * kColumns + H * kPitch, op, aligned_for(op.h.data, op.h.stride[0], 4));
  } else {
    start(cuda, wide_taps_kernel, dim3(static_cast<unsigned>(L)), 0, op);
  }
}

}  // namespace genossm
