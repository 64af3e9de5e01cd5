// Device-side pieces shared by the ops: element types, vector loads, exponentials.
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "kernels/core/dtype.h"
#include "kernels/core/view.h"

namespace genossm {

__device__ __forceinline__ float to_float(float v) { return v; }
__device__ __forceinline__ float to_float(bf16 v) {
  return __uint_as_float(static_cast<unsigned>(v.bits) << 16);
}
template <class T>
__device__ __forceinline__ T from_float(float v);
template <>
__device__ __forceinline__ float from_float<float>(float v) {
  return v;
}
template <>
__device__ __forceinline__ bf16 from_float<bf16>(float v) {
  return bf16{__bfloat16_as_ushort(__float2bfloat16_rn(v))};
}

// V elements that lie side by side and are loaded and stored at once; V * sizeof(T) is 2 to 16.
template <class T, int V>
struct alignas(V * sizeof(T)) Pack {
  T v[V];
};

template <class T, int V>
__device__ __forceinline__ void load_pack(const T* p, float (&out)[V]) {
  if constexpr (sizeof(T) * V == 32) {
    const Pack<T, V / 2> a = *reinterpret_cast<const Pack<T, V / 2>*>(p);
    const Pack<T, V / 2> b = *reinterpret_cast<const Pack<T, V / 2>*>(p + V / 2);
#pragma unroll
    for (int i = 0; i < V / 2; ++i) out[i] = to_float(a.v[i]), out[V / 2 + i] = to_float(b.v[i]);
  } else {
    const Pack<T, V> a = *reinterpret_cast<const Pack<T, V>*>(p);
#pragma unroll
    for (int i = 0; i < V; ++i) out[i] = to_float(a.v[i]);
  }
}

template <class T, int V>
__device__ __forceinline__ void store_pack(T* p, const float (&in)[V]) {
  if constexpr (sizeof(T) * V == 32) {
    Pack<T, V / 2> a, b;
#pragma unroll
    for (int i = 0; i < V / 2; ++i) a.v[i] = from_float<T>(in[i]), b.v[i] = from_float<T>(in[V / 2 + i]);
    *reinterpret_cast<Pack<T, V / 2>*>(p) = a;
    *reinterpret_cast<Pack<T, V / 2>*>(p + V / 2) = b;
  } else {
    Pack<T, V> a;
#pragma unroll
    for (int i = 0; i < V; ++i) a.v[i] = from_float<T>(in[i]);
    *reinterpret_cast<Pack<T, V>*>(p) = a;
  }
}

// Whether a matrix of T may be read V elements at a time from column 0 on.
template <class T>
bool aligned_for(const T* data, Index row_stride, int V) {
  const auto bytes = static_cast<std::uintptr_t>(V) * sizeof(T) > 16 ? 16 : V * sizeof(T);
  return reinterpret_cast<std::uintptr_t>(data) % bytes == 0 &&
         static_cast<std::uintptr_t>(row_stride < 0 ? -row_stride : row_stride) * sizeof(T) % bytes == 0;
}

// 2^x, 1/x on the special function unit: about 2 units in the last place.
__device__ __forceinline__ float ex2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
__device__ __forceinline__ float rcp(float x) {
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
// 11 bits: fit for values that are stored as bf16.
__device__ __forceinline__ float tanh_bf16(float x) {
  float y;
  asm("tanh.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

inline constexpr float kLog2e = 1.44269504f;
inline constexpr float kLn2 = 0.69314718f;

// To float32's accuracy for T = float, to bf16's for T = bf16.
template <class T>
__device__ __forceinline__ float sigmoid_of(float x) {
  if constexpr (sizeof(T) == 2) return fmaf(0.5f, tanh_bf16(0.5f * x), 0.5f);
  // Beyond +-80 the exponential would overflow; the result is 0 or 1 to 1e-35.
  const float held = fminf(fmaxf(x, -80.0f), 80.0f);
  return x != x ? x : rcp(1.0f + ex2(-kLog2e * held));
}
template <class T>
__device__ __forceinline__ float silu_of(float x) {
  if constexpr (sizeof(T) == 2) {
    const float h = 0.5f * x;
    return fmaf(h, tanh_bf16(h), h);
  }
  return x * sigmoid_of<T>(x);
}

// ln(1 + e^x); x above 20, as upstream.
template <class T>
__device__ __forceinline__ float softplus_of(float x) {
  const float t = ex2(-kLog2e * fabsf(x));
  if constexpr (sizeof(T) == 2) {
    // ln(1 + t) / t on [0, 1] to 7e-5; one special function where the logarithm would be a second.
    float p = 0.040663438f;
    p = fmaf(p, t, -0.156029527f);
    p = fmaf(p, t, 0.305399977f);
    p = fmaf(p, t, -0.496788748f);
    p = fmaf(p, t, 0.999936822f);
    return fmaf(p, t, fmaxf(x, 0.0f));
  }
  // max(x, 0) + 2 atanh(t / (2 + t)) with t = e^-|x|: a relative error below 5e-7 everywhere.
  const float s = t * rcp(2.0f + t), s2 = s * s;
  float p = 0.28011987f;
  p = fmaf(p, s2, 0.28001806f);
  p = fmaf(p, s2, 0.40021527f);
  p = fmaf(p, s2, 0.66666418f);
  p = fmaf(p, s2, 2.0f);
  const float y = fmaf(p, s, fmaxf(x, 0.0f));
  return x != x ? x : x > 20.0f ? x : y;
}

// The sum over the lanes of a warp, the same in each.
__device__ __forceinline__ float warp_sum(float v) {
#pragma unroll
  for (int step = 16; step >= 1; step >>= 1) v += __shfl_xor_sync(0xffffffffu, v, step);
  return v;
}

}  // namespace genossm
