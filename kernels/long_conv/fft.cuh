// Complex transforms inside a block of threads. An element is `lanes` complex numbers side by side,
// one a channel; no lane ever meets another. Between stages elements lie in shared memory; the
// first stage takes them from where `in` says, the last one gives them to `out`.
//
// forward() leaves its result in the order that decimation in frequency gives (frequency_of()),
// inverse() takes that order and gives the natural one: a convolution needs no other.
//
// `in` and `out` have load<R>(first, q, lane, a) and store<R>(first, q, lane, a) for elements
// first, first + q, .. first + (R - 1) q of a lane; store() may change a.
//
// Turned transforms (Turned) are of samples e that were turned by exp(i pi e / 2N): by
// turn_of(r, R) = exp(i pi r / 2R) in load() for the R-th of the input that they are in, by the
// rest in the twiddles of the first stage; and back.
#pragma once

#include <type_traits>
#include <utility>

#include "kernels/core/cuda/device.cuh"

namespace genossm {

__device__ __forceinline__ float2 operator+(float2 a, float2 b) {
  return make_float2(a.x + b.x, a.y + b.y);
}
__device__ __forceinline__ float2 operator-(float2 a, float2 b) {
  return make_float2(a.x - b.x, a.y - b.y);
}
__device__ __forceinline__ float2 times(float s, float2 a) { return make_float2(s * a.x, s * a.y); }
__device__ __forceinline__ float2 plus(float2 a, float s, float2 b) {
  return make_float2(fmaf(s, b.x, a.x), fmaf(s, b.y, a.y));
}
// a w, or a times the conjugate of w.
template <bool kConjugate>
__device__ __forceinline__ float2 turned(float2 a, float2 w) {
  if constexpr (kConjugate) {
    return make_float2(fmaf(a.y, w.y, a.x * w.x), fmaf(-a.x, w.y, a.y * w.x));
  }
  return make_float2(fmaf(-a.y, w.y, a.x * w.x), fmaf(a.x, w.y, a.y * w.x));
}
// -i a forward, i a backward.
template <bool kInverse>
__device__ __forceinline__ float2 quarter(float2 a) {
  return kInverse ? make_float2(-a.y, a.x) : make_float2(a.y, -a.x);
}
// exp(-2 pi i e / 16) for e of 0 to 9; `e` is known when it is compiled.
__device__ __forceinline__ float2 sixteenth(int e) {
  constexpr float c1 = 0.92387953251128674f, s1 = 0.38268343236508977f, h = 0.70710678118654752f;
  switch (e) {
    case 0:
      return make_float2(1, 0);
    case 1:
      return make_float2(c1, -s1);
    case 2:
      return make_float2(h, -h);
    case 3:
      return make_float2(s1, -c1);
    case 4:
      return make_float2(0, -1);
    case 6:
      return make_float2(-h, -h);
    default:
      return make_float2(-c1, s1);  // 9
  }
}

// The transform of R elements, in place.
template <int R, bool kInverse>
__device__ __forceinline__ void small_transform(float2 (&a)[R]) {
  if constexpr (R == 2) {
    const float2 sum = a[0] + a[1];
    a[1] = a[0] - a[1];
    a[0] = sum;
  } else if constexpr (R == 3) {
    const float2 sum = a[1] + a[2];
    const float2 cross = times(0.86602540378443865f, quarter<kInverse>(a[1] - a[2]));
    const float2 mid = plus(a[0], -0.5f, sum);
    a[0] = a[0] + sum;
    a[1] = mid + cross;
    a[2] = mid - cross;
  } else if constexpr (R == 4) {
    const float2 even = a[0] + a[2], odd = a[1] + a[3];
    const float2 even_rest = a[0] - a[2], odd_rest = quarter<kInverse>(a[1] - a[3]);
    a[0] = even + odd;
    a[1] = even_rest + odd_rest;
    a[2] = even - odd;
    a[3] = even_rest - odd_rest;
  } else if constexpr (R == 5) {
    constexpr float c1 = 0.30901699437494742f, c2 = -0.80901699437494742f;
    constexpr float s1 = 0.95105651629515357f, s2 = 0.58778525229247313f;
    const float2 p = a[1] + a[4], q = a[2] + a[3];
    const float2 r = quarter<kInverse>(a[1] - a[4]), s = quarter<kInverse>(a[2] - a[3]);
    const float2 near = plus(plus(a[0], c1, p), c2, q), far = plus(plus(a[0], c2, p), c1, q);
    const float2 near_cross = plus(times(s1, r), s2, s), far_cross = plus(times(s2, r), -s1, s);
    a[0] = a[0] + p + q;
    a[1] = near + near_cross;
    a[2] = far + far_cross;
    a[3] = far - far_cross;
    a[4] = near - near_cross;
  } else {
    // R = 4 S: transforms of 4 elements that lie S apart, a turn, transforms of S elements.
    static_assert(R == 8 || R == 16);
    constexpr int S = R / 4;
    float2 b[S][4];
#pragma unroll
    for (int n = 0; n < S; ++n) {
#pragma unroll
      for (int m = 0; m < 4; ++m) b[n][m] = a[S * m + n];
      small_transform<4, kInverse>(b[n]);
    }
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      float2 c[S];
#pragma unroll
      for (int n = 0; n < S; ++n) {
        const int e = n * k * (16 / R);
        c[n] = e == 0   ? b[n][k]
               : e == 4 ? quarter<kInverse>(b[n][k])
                        : turned<kInverse>(b[n][k], sixteenth(e));
      }
      small_transform<S, kInverse>(c);
#pragma unroll
      for (int n = 0; n < S; ++n) a[k + 4 * n] = c[n];
    }
  }
}

struct BlockFft {
  static constexpr int kMostStages = 6;
  int N = 1;
  int log_lanes = 0;
  int pad = 31;  // an element of space behind every 2^pad of them
  int stages = 0;
  int radix[kMostStages] = {};
  const float2* roots = nullptr;  // [N] exp(-2 pi i k / N)
  const float2* twist = nullptr;  // [N] exp(i pi e / 2N), of turned transforms

  // Elements of shared memory.
  constexpr int padded(int e) const { return e + (e >> pad); }
  Index bytes() const { return Index{padded(N)} * (Index{8} << log_lanes); }

  // The frequency that stands at place p of the result of forward().
  __device__ int frequency_of(int p) const {
    int frequency = 0, step = 1, q = N;
    for (int s = 0; s < stages; ++s) {
      q /= radix[s];
      frequency += step * (p / q);
      p %= q;
      step *= radix[s];
    }
    return frequency;
  }
};

// a[r] times start * w^r, or its conjugate; w4 = w^4. Four powers at a time are at hand.
template <bool kConjugate, bool kStart, int R>
__device__ __forceinline__ void turn_all(float2 (&a)[R], float2 start, float2 w, float2 w4) {
  constexpr int kSome = R < 4 ? R : 4;
  float2 p[kSome];
  p[0] = start;
  p[1] = kStart ? turned<false>(start, w) : w;
  if constexpr (R > 2) {
    const float2 w2 = turned<false>(w, w);
    p[2] = kStart ? turned<false>(start, w2) : w2;
    if constexpr (R > 3) p[3] = turned<false>(p[1], w2);
  }
#pragma unroll
  for (int r = 0; r < R; ++r) {
    if (r > 0 && r % 4 == 0) {
#pragma unroll
      for (int k = 0; k < kSome; ++k) {
        p[k] = !kStart && r == 4 && k == 0 ? w4 : turned<false>(p[k], w4);
      }
    }
    if (kStart || r > 0) a[r] = turned<kConjugate>(a[r], p[r % 4]);
  }
}

// cos(pi r / 2R) as a number that is known when it is compiled.
constexpr double quarter_cosine(int r, int R) {
  const double x = 1.5707963267948966192 * r / R, square = x * x;
  double sum = 1, term = 1;
  for (int k = 1; k <= 14; ++k) {
    term *= -square / ((2 * k - 1) * (2 * k));
    sum += term;
  }
  return sum;
}
template <int r, int R>
struct Turn {
  static constexpr float re = static_cast<float>(quarter_cosine(r, R));
  static constexpr float im = r == 0 ? 0.0f : static_cast<float>(quarter_cosine(R - r, R));
};
template <int R, class Body, int... r>
__device__ __forceinline__ void for_each_of(const Body& body, std::integer_sequence<int, r...>) {
  (body(std::integral_constant<int, r>()), ...);
}
// body(std::integral_constant<int, r>()) for r of 0 to R - 1.
template <int R, class Body>
__device__ __forceinline__ void for_each_of(const Body& body) {
  for_each_of<R>(body, std::make_integer_sequence<int, R>());
}

// Elements of shared memory as a stage reads and writes them. Threads that work side by side meet
// elements q, or 1, apart, or the blocks of the last stage: the space between these puts them into
// different banks. Radices that are no powers of two come first, so that q is a whole number of
// such blocks or 1.
struct BlockMemory {
  const BlockFft& fft;
  float2* x;
  template <int R>
  __device__ __forceinline__ void load(int first, int q, int lane, float2 (&a)[R]) const {
    const float2* at = x + (fft.padded(first) << fft.log_lanes) + lane;
    const int step = fft.padded(q) << fft.log_lanes;
#pragma unroll
    for (int r = 0; r < R; ++r) a[r] = at[r * step];
  }
  template <int R>
  __device__ __forceinline__ void store(int first, int q, int lane, float2 (&a)[R]) const {
    float2* at = x + (fft.padded(first) << fft.log_lanes) + lane;
    const int step = fft.padded(q) << fft.log_lanes;
#pragma unroll
    for (int r = 0; r < R; ++r) at[r * step] = a[r];
  }
};

// One stage on blocks of R q elements: q is a power of two, or there is one block.
template <int R, bool kInverse, bool kTurned, class In, class Out>
__device__ __forceinline__ void stage_of(const BlockFft& fft, int q, const In& in, const Out& out) {
  const int lane = static_cast<int>(threadIdx.x) & ((1 << fft.log_lanes) - 1);
  const int count = fft.N / R, step = count / q;
  const int log_q = step == 1 ? 31 : 31 - __clz(q);
  const int threads = static_cast<int>(blockDim.x) >> fft.log_lanes;
  for (int b = static_cast<int>(threadIdx.x) >> fft.log_lanes; b < count; b += threads) {
    const int block = step == 1 ? 0 : b >> log_q;
    const int j = b - block * q, first = block * R * q + j;
    float2 a[R];
    in.template load<R>(first, q, lane, a);
    if constexpr (!kInverse) small_transform<R, false>(a);
    if (q > 1) {
      turn_all<kInverse, kTurned>(a, kTurned ? __ldg(fft.twist + j) : make_float2(1, 0),
                                  __ldg(fft.roots + j * step),
                                  R > 4 ? __ldg(fft.roots + 4 * j * step) : make_float2(0, 0));
    }
    if constexpr (kInverse) small_transform<R, true>(a);
    out.template store<R>(first, q, lane, a);
  }
}

// The last stage of forward(), the product with the spectrum, the first stage of inverse().
template <int R, class In, class Spectrum, class Out>
__device__ __forceinline__ void product_of(const BlockFft& fft, const In& in,
                                           const Spectrum& spectrum, const Out& out) {
  const int lane = static_cast<int>(threadIdx.x) & ((1 << fft.log_lanes) - 1);
  const int count = fft.N / R;
  const int threads = static_cast<int>(blockDim.x) >> fft.log_lanes;
  for (int b = static_cast<int>(threadIdx.x) >> fft.log_lanes; b < count; b += threads) {
    float2 a[R], k[R];
    spectrum.template load<R>(b * R, 1, lane, k);
    in.template load<R>(b * R, 1, lane, a);
    small_transform<R, false>(a);
#pragma unroll
    for (int r = 0; r < R; ++r) a[r] = turned<false>(a[r], k[r]);
    small_transform<R, true>(a);
    out.template store<R>(b * R, 1, lane, a);
  }
}

// body(std::integral_constant<int, radix>()).
template <class Body>
__device__ __forceinline__ void with_radix(int radix, const Body& body) {
  switch (radix) {
    case 2:
      return body(std::integral_constant<int, 2>());
    case 3:
      return body(std::integral_constant<int, 3>());
    case 4:
      return body(std::integral_constant<int, 4>());
    case 5:
      return body(std::integral_constant<int, 5>());
    case 8:
      return body(std::integral_constant<int, 8>());
    default:
      return body(std::integral_constant<int, 16>());
  }
}

template <bool kInverse, bool kTurned, class In, class Out>
__device__ __forceinline__ void run_stage(const BlockFft& fft, int s, int q, const In& in,
                                          const Out& out) {
  with_radix(fft.radix[s], [&](auto R) { stage_of<R(), kInverse, kTurned>(fft, q, in, out); });
}

template <bool kTurned, class In, class Out>
__device__ __forceinline__ void forward(const BlockFft& fft, float2* shared, const In& in,
                                        const Out& out) {
  const BlockMemory memory{fft, shared};
  const int last = fft.stages - 1;
  int q = fft.N / fft.radix[0];
  if (last == 0) {
    run_stage<false, kTurned>(fft, 0, q, in, out);
    return;
  }
  run_stage<false, kTurned>(fft, 0, q, in, memory);
  for (int s = 1; s < last; ++s) {
    __syncthreads();
    q /= fft.radix[s];
    run_stage<false, false>(fft, s, q, memory, memory);
  }
  __syncthreads();
  run_stage<false, false>(fft, last, 1, memory, out);
}

template <bool kTurned, class In, class Out>
__device__ __forceinline__ void inverse(const BlockFft& fft, float2* shared, const In& in,
                                        const Out& out) {
  const BlockMemory memory{fft, shared};
  const int last = fft.stages - 1;
  if (last == 0) {
    run_stage<true, kTurned>(fft, 0, 1, in, out);
    return;
  }
  run_stage<true, false>(fft, last, 1, in, memory);
  int q = fft.radix[last];
  for (int s = last - 1; s > 0; --s) {
    __syncthreads();
    run_stage<true, false>(fft, s, q, memory, memory);
    q *= fft.radix[s];
  }
  __syncthreads();
  run_stage<true, kTurned>(fft, 0, q, memory, out);
}

// There, times the spectrum, and back.
template <bool kTurned, class In, class Spectrum, class Out>
__device__ __forceinline__ void convolve(const BlockFft& fft, float2* shared, const In& in,
                                         const Spectrum& spectrum, const Out& out) {
  const BlockMemory memory{fft, shared};
  const int last = fft.stages - 1;
  if (last == 0) {
    with_radix(fft.radix[0], [&](auto R) { product_of<R()>(fft, in, spectrum, out); });
    return;
  }
  int q = fft.N / fft.radix[0];
  run_stage<false, kTurned>(fft, 0, q, in, memory);
  for (int s = 1; s < last; ++s) {
    __syncthreads();
    q /= fft.radix[s];
    run_stage<false, false>(fft, s, q, memory, memory);
  }
  __syncthreads();
  with_radix(fft.radix[last], [&](auto R) { product_of<R()>(fft, memory, spectrum, memory); });
  q = fft.radix[last];
  for (int s = last - 1; s > 0; --s) {
    __syncthreads();
    run_stage<true, false>(fft, s, q, memory, memory);
    q *= fft.radix[s];
  }
  __syncthreads();
  run_stage<true, kTurned>(fft, 0, q, memory, out);
}

}  // namespace genossm
