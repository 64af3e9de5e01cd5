#include "kernels/activation/activation.h"
#include "kernels/core/cuda/device.cuh"
#include "kernels/core/cuda/impl.h"

namespace genossm {
namespace {

constexpr int kWarps = 8;

template <class T>
__device__ float value_of(ActivationKind kind, float v) {
  switch (kind) {
    case ActivationKind::identity:
      return v;
    case ActivationKind::silu:
      return silu_of<T>(v);
    case ActivationKind::gelu_erf:
      return 0.5f * v * erfcf(-0.70710678f * v);  // keeps the digits of small results
    case ActivationKind::gelu_tanh:
      // 1/2 (1 + tanh w) is the sigmoid of 2 w.
      return v * sigmoid_of<float>(1.59576912f * fmaf(0.044715f * v * v, v, v));
    case ActivationKind::relu_squared:
      return v < 0 ? 0.0f : v * v;  // NaN stays
    case ActivationKind::sigmoid:
      return sigmoid_of<T>(v);
    case ActivationKind::softplus:
      return softplus_of<T>(v);
  }
  return v;
}

// One warp a row.
template <class T, int V>
__global__ void __launch_bounds__(kWarps * 32) activation_kernel(BasicActivation<T> op) {
  const Index t = static_cast<Index>(blockIdx.x) * kWarps + threadIdx.x / 32;
  const auto [L, D] = op.x.extent;
  if (t >= L) return;
  for (Index d = threadIdx.x % 32 * V; d < D; d += 32 * V) {
    float x[V], y[V];
    load_pack<T, V>(op.x.row(t) + d, x);
    if (op.gate.empty()) {
#pragma unroll
      for (int k = 0; k < V; ++k) y[k] = value_of<T>(op.kind, x[k]);
    } else {
      load_pack<T, V>(op.gate.row(t) + d, y);
#pragma unroll
      for (int k = 0; k < V; ++k) y[k] = x[k] * value_of<T>(op.kind, y[k]);
    }
    if (op.accumulate) {
      float before[V];
      load_pack<T, V>(op.y.row(t) + d, before);
#pragma unroll
      for (int k = 0; k < V; ++k) y[k] += before[k];
    }
    store_pack<T, V>(op.y.row(t) + d, y);
  }
}

template <class T, int V>
void start(Cuda& cuda, const BasicActivation<T>& op) {
  if (op.x.size() == 0) return;
  const auto blocks = static_cast<unsigned>(div_up(op.x.extent[0], kWarps));
  activation_kernel<T, V><<<blocks, kWarps * 32, 0, stream_of(cuda)>>>(op);
  ok_launch();
}

template <class T>
void run_any(Cuda& cuda, const BasicActivation<T>& op) {
  constexpr int V = 16 / sizeof(T);
  const auto fits = [&](const auto& view) {
    return view.empty() || aligned_for(view.data, view.stride[0], V);
  };
  if (op.x.extent[1] % V == 0 && fits(op.x) && fits(op.gate) && fits(op.y)) {
    start<T, V>(cuda, op);
  } else {
    start<T, 1>(cuda, op);
  }
}

}  // namespace

void run(Cuda& cuda, const Activation& op) { run_any(cuda, op); }
void run(Cuda& cuda, const BasicActivation<bf16>& op) { run_any(cuda, op); }

}  // namespace genossm
