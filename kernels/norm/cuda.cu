// One warp a row. The order of every sum depends on D (or the group) alone.
#include "kernels/core/cuda/device.cuh"
#include "kernels/core/cuda/impl.h"
#include "kernels/norm/norm.h"

namespace genossm {
namespace {

constexpr int kWarps = 8;
constexpr int V = 4;  // columns that a lane holds side by side

__device__ __forceinline__ float scale_of(NormKind kind, float mean_of_squares, float eps) {
  return kind == NormKind::rms_plus ? 1.0f / (sqrtf(mean_of_squares) + eps)
                                    : 1.0f / sqrtf(mean_of_squares + eps);
}

// One mean over all D channels, D a multiple of V and at most 32 * V * kPacks: a row is read once
// and stays in registers.
template <class X, class Y, int kPacks>
__global__ void __launch_bounds__(kWarps * 32) norm_kernel(BasicNorm<X, Y> op) {
  const Index t = static_cast<Index>(blockIdx.x) * kWarps + threadIdx.x / 32;
  const int lane = threadIdx.x % 32;
  const Index L = op.x.extent[0];
  const int D = static_cast<int>(op.x.extent[1]);
  if (t >= L) return;
  float v[kPacks][V], z[kPacks][V];
  float sum = 0;
#pragma unroll
  for (int k = 0; k < kPacks; ++k) {
    const int d = (k * 32 + lane) * V;
    if (d >= D) break;
    load_pack<X, V>(op.x.row(t) + d, v[k]);
    if (!op.residual.empty()) {
      float r[V];
      load_pack<float, V>(op.residual.row(t) + d, r);
#pragma unroll
      for (int i = 0; i < V; ++i) v[k][i] += r[i];
      store_pack<float, V>(op.residual.row(t) + d, v[k]);
    }
    if (op.gate != NormGate::none) {
      load_pack<Y, V>(op.z.row(t) + d, z[k]);
#pragma unroll
      for (int i = 0; i < V; ++i) z[k][i] = silu_of<Y>(z[k][i]);
      if (op.gate == NormGate::before) {
#pragma unroll
        for (int i = 0; i < V; ++i) v[k][i] *= z[k][i];
      }
    }
    if (op.kind == NormKind::layer) {
#pragma unroll
      for (int i = 0; i < V; ++i) sum += v[k][i];
    }
  }
  const float count = static_cast<float>(D);
  const float mean = op.kind == NormKind::layer ? warp_sum(sum) / count : 0.0f;
  float squares = 0;
#pragma unroll
  for (int k = 0; k < kPacks; ++k) {
    if ((k * 32 + lane) * V >= D) break;
#pragma unroll
    for (int i = 0; i < V; ++i) {
      v[k][i] -= mean;
      squares = fmaf(v[k][i], v[k][i], squares);
    }
  }
  const float scale = scale_of(op.kind, warp_sum(squares) / count, op.eps);
#pragma unroll
  for (int k = 0; k < kPacks; ++k) {
    const int d = (k * 32 + lane) * V;
    if (d >= D) break;
    float w[V], b[V] = {};
    load_pack<float, V>(op.weight.data + d, w);
    if (!op.bias.empty()) load_pack<float, V>(op.bias.data + d, b);
#pragma unroll
    for (int i = 0; i < V; ++i) {
      v[k][i] = fmaf(v[k][i] * scale, w[i], b[i]);
      if (op.gate == NormGate::after) v[k][i] *= z[k][i];
    }
    if (op.accumulate) {
      float before[V];
      load_pack<Y, V>(op.y.row(t) + d, before);
#pragma unroll
      for (int i = 0; i < V; ++i) v[k][i] += before[i];
    }
    store_pack<Y, V>(op.y.row(t) + d, v[k]);
  }
}

// D of exactly 32 * kWide * kPacks, the usual widths: 16-byte loads, all of a row's on their way
// before the first is used. No residual.
constexpr int kWide = 8;

template <class X, class Y, int kPacks, NormGate kGate>
__global__ void __launch_bounds__(kWarps * 32) norm_wide_kernel(BasicNorm<X, Y> op) {
  const Index t = static_cast<Index>(blockIdx.x) * kWarps + threadIdx.x / 32;
  const int first = static_cast<int>(threadIdx.x) % 32 * kWide;
  if (t >= op.x.extent[0]) return;
  const X* x = op.x.row(t) + first;
  const Y* z = op.z.row(t) + first;
  float v[kPacks][kWide], gate[kPacks][kWide];
#pragma unroll
  for (int k = 0; k < kPacks; ++k) load_pack<X, kWide>(x + k * 32 * kWide, v[k]);
  if constexpr (kGate != NormGate::none) {
#pragma unroll
    for (int k = 0; k < kPacks; ++k) load_pack<Y, kWide>(z + k * 32 * kWide, gate[k]);
  }
  float sum = 0;
#pragma unroll
  for (int k = 0; k < kPacks; ++k) {
#pragma unroll
    for (int i = 0; i < kWide; ++i) {
      if constexpr (kGate != NormGate::none) gate[k][i] = silu_of<Y>(gate[k][i]);
      if constexpr (kGate == NormGate::before) v[k][i] *= gate[k][i];
      sum += v[k][i];
    }
  }
  constexpr float kShare = 1.0f / (32 * kWide * kPacks);
  const float mean = op.kind == NormKind::layer ? warp_sum(sum) * kShare : 0.0f;
  float squares = 0;
#pragma unroll
  for (int k = 0; k < kPacks; ++k) {
#pragma unroll
    for (int i = 0; i < kWide; ++i) {
      v[k][i] -= mean;
      squares = fmaf(v[k][i], v[k][i], squares);
    }
  }
  const float scale = scale_of(op.kind, warp_sum(squares) * kShare, op.eps);
  Y* y = op.y.row(t) + first;
#pragma unroll
  for (int k = 0; k < kPacks; ++k) {
    const int d = first + k * 32 * kWide;
    float w[kWide], b[kWide] = {};
    load_pack<float, kWide>(op.weight.data + d, w);
    if (!op.bias.empty()) load_pack<float, kWide>(op.bias.data + d, b);
#pragma unroll
    for (int i = 0; i < kWide; ++i) {
      v[k][i] = fmaf(v[k][i] * scale, w[i], b[i]);
      if constexpr (kGate == NormGate::after) v[k][i] *= gate[k][i];
    }
    if (op.accumulate) {
      float before[kWide];
      load_pack<Y, kWide>(y + k * 32 * kWide, before);
#pragma unroll
      for (int i = 0; i < kWide; ++i) v[k][i] += before[i];
    }
    store_pack<Y, kWide>(y + k * 32 * kWide, v[k]);
  }
}

template <class X, class Y, int kPacks>
void start_wide(Cuda& cuda, const BasicNorm<X, Y>& op, unsigned blocks) {
  constexpr int kThreads = kWarps * 32;
  switch (op.gate) {
    case NormGate::none:
      norm_wide_kernel<X, Y, kPacks, NormGate::none><<<blocks, kThreads, 0, stream_of(cuda)>>>(op);
      break;
    case NormGate::before:
      norm_wide_kernel<X, Y, kPacks, NormGate::before>
          <<<blocks, kThreads, 0, stream_of(cuda)>>>(op);
      break;
    case NormGate::after:
      norm_wide_kernel<X, Y, kPacks, NormGate::after><<<blocks, kThreads, 0, stream_of(cuda)>>>(op);
      break;
  }
}

// Any D, any group, any alignment: every pass reads the row again.
template <class X, class Y>
__global__ void __launch_bounds__(kWarps * 32) norm_any_kernel(BasicNorm<X, Y> op) {
  const Index t = static_cast<Index>(blockIdx.x) * kWarps + threadIdx.x / 32;
  const int lane = threadIdx.x % 32;
  const auto [L, D] = op.x.extent;
  if (t >= L) return;
  const Index G = op.group > 0 ? op.group : D;
  float* residual = op.residual.empty() ? nullptr : op.residual.row(t);
  if (residual != nullptr) {
    for (Index d = lane; d < D; d += 32) residual[d] += to_float(op.x.row(t)[d]);
  }
  const auto value = [&](Index d) {
    const float r = residual != nullptr ? residual[d] : to_float(op.x.row(t)[d]);
    return op.gate == NormGate::before ? r * silu_of<Y>(to_float(op.z.row(t)[d])) : r;
  };
  const float count = static_cast<float>(G);
  for (Index begin = 0; begin < D; begin += G) {
    float sum = 0, squares = 0;
    if (op.kind == NormKind::layer) {
      for (Index d = begin + lane; d < begin + G; d += 32) sum += value(d);
    }
    const float mean = op.kind == NormKind::layer ? warp_sum(sum) / count : 0.0f;
    for (Index d = begin + lane; d < begin + G; d += 32) {
      const float c = value(d) - mean;
      squares = fmaf(c, c, squares);
    }
    const float scale = scale_of(op.kind, warp_sum(squares) / count, op.eps);
    for (Index d = begin + lane; d < begin + G; d += 32) {
      float n = (value(d) - mean) * scale * op.weight.data[d];
      if (!op.bias.empty()) n += op.bias.data[d];
      if (op.gate == NormGate::after) n *= silu_of<Y>(to_float(op.z.row(t)[d]));
      Y& y = op.y.row(t)[d];
      y = from_float<Y>(op.accumulate ? to_float(y) + n : n);
    }
  }
}

template <class X, class Y>
void run_any(Cuda& cuda, const BasicNorm<X, Y>& op) {
  const auto [L, D] = op.x.extent;
  if (L == 0 || D == 0) return;
  const auto blocks = static_cast<unsigned>(div_up(L, kWarps));
  const auto fits = [](const auto& view, int pack) {
    return view.empty() || aligned_for(view.data, view.stride[0], pack);
  };
  const bool whole = op.group == 0 || op.group == D;
  if (whole && op.residual.empty() && (D == 256 || D == 512 || D == 1024) && fits(op.x, kWide) &&
      fits(op.z, kWide) && fits(op.y, kWide) && aligned_for(op.weight.data, 0, kWide) &&
      aligned_for(op.bias.data, 0, kWide)) {
    D == 256   ? start_wide<X, Y, 1>(cuda, op, blocks)
    : D == 512 ? start_wide<X, Y, 2>(cuda, op, blocks)
               : start_wide<X, Y, 4>(cuda, op, blocks);
  } else if (whole && D % V == 0 && D <= 32 * V * 16 && fits(op.x, V) && fits(op.residual, V) &&
             fits(op.z, V) && fits(op.y, V) && aligned_for(op.weight.data, 0, V) &&
             aligned_for(op.bias.data, 0, V)) {
    if (D <= 32 * V * 2) {
      norm_kernel<X, Y, 2><<<blocks, kWarps * 32, 0, stream_of(cuda)>>>(op);
    } else if (D <= 32 * V * 8) {
      norm_kernel<X, Y, 8><<<blocks, kWarps * 32, 0, stream_of(cuda)>>>(op);
    } else {
      norm_kernel<X, Y, 16><<<blocks, kWarps * 32, 0, stream_of(cuda)>>>(op);
    }
  } else {
    norm_any_kernel<X, Y><<<blocks, kWarps * 32, 0, stream_of(cuda)>>>(op);
  }
  ok_launch();
}

}  // namespace

void run(Cuda& cuda, const Norm& op) { run_any(cuda, op); }
void run(Cuda& cuda, const BasicNorm<float, bf16>& op) { run_any(cuda, op); }
void run(Cuda& cuda, const BasicNorm<bf16, bf16>& op) { run_any(cuda, op); }

}  // namespace genossm
