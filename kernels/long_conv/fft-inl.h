// Complex transforms whose elements are vectors of channels: element i is the lanes of its real
// part, then those of its imaginary part. No lane ever meets another.
//
// forward() leaves its result in the order that decimation in frequency gives (order()), inverse()
// takes that order and gives the natural one: a convolution needs no other.
#if defined(GENOSSM_KERNELS_LONG_CONV_FFT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GENOSSM_KERNELS_LONG_CONV_FFT_INL_H_
#undef GENOSSM_KERNELS_LONG_CONV_FFT_INL_H_
#else
#define GENOSSM_KERNELS_LONG_CONV_FFT_INL_H_
#endif

#include "kernels/core/simd-inl.h"
#include "kernels/long_conv/fft_plan.h"

HWY_BEFORE_NAMESPACE();
namespace genossm {
namespace HWY_NAMESPACE {

struct Complex {
  Vec re, im;
};

HWY_INLINE Complex load_complex(F32 d, const float* x) {
  return {hn::Load(d, x), hn::Load(d, x + hn::Lanes(d))};
}
HWY_INLINE void store_complex(F32 d, Complex v, float* x) {
  hn::Store(v.re, d, x);
  hn::Store(v.im, d, x + hn::Lanes(d));
}
HWY_INLINE Complex operator+(Complex a, Complex b) {
  return {hn::Add(a.re, b.re), hn::Add(a.im, b.im)};
}
HWY_INLINE Complex operator-(Complex a, Complex b) {
  return {hn::Sub(a.re, b.re), hn::Sub(a.im, b.im)};
}
HWY_INLINE Complex product(Complex a, Complex b) {
  return {hn::NegMulAdd(a.im, b.im, hn::Mul(a.re, b.re)),
          hn::MulAdd(a.im, b.re, hn::Mul(a.re, b.im))};
}
// a times w, or times its conjugate.
template <bool kConjugate>
HWY_INLINE Complex turned(Complex a, Vec re, Vec im) {
  if constexpr (kConjugate) {
    return {hn::MulAdd(a.im, im, hn::Mul(a.re, re)), hn::NegMulAdd(a.re, im, hn::Mul(a.im, re))};
  }
  return product(a, {re, im});
}
template <bool kConjugate>
HWY_INLINE Complex turned(F32 d, Complex a, const float* w) {
  return turned<kConjugate>(a, hn::Set(d, w[0]), hn::Set(d, w[1]));
}
// -i a forward, i a backward.
template <bool kInverse>
HWY_INLINE Complex quarter(Complex a) {
  return kInverse ? Complex{hn::Neg(a.im), a.re} : Complex{a.im, hn::Neg(a.re)};
}
// a + s b for a number s.
HWY_INLINE Complex plus(F32 d, Complex a, float s, Complex b) {
  const Vec f = hn::Set(d, s);
  return {hn::MulAdd(f, b.re, a.re), hn::MulAdd(f, b.im, a.im)};
}
HWY_INLINE Complex times(F32 d, float s, Complex b) {
  const Vec f = hn::Set(d, s);
  return {hn::Mul(f, b.re), hn::Mul(f, b.im)};
}

// The transform of R elements, in place.
template <int R, bool kInverse>
HWY_INLINE void small_transform(F32 d, Complex (&a)[R]) {
  if constexpr (R == 2) {
    const Complex sum = a[0] + a[1];
    a[1] = a[0] - a[1];
    a[0] = sum;
  } else if constexpr (R == 3) {
    const Complex sum = a[1] + a[2];
    const Complex cross = times(d, 0.86602540378443865f, quarter<kInverse>(a[1] - a[2]));
    const Complex mid = plus(d, a[0], -0.5f, sum);
    a[0] = a[0] + sum;
    a[1] = mid + cross;
    a[2] = mid - cross;
  } else if constexpr (R == 4) {
    const Complex even = a[0] + a[2], odd = a[1] + a[3];
    const Complex even_rest = a[0] - a[2], odd_rest = quarter<kInverse>(a[1] - a[3]);
    a[0] = even + odd;
    a[1] = even_rest + odd_rest;
    a[2] = even - odd;
    a[3] = even_rest - odd_rest;
  } else {
    static_assert(R == 5);
    constexpr float c1 = 0.30901699437494742f, c2 = -0.80901699437494742f;
    constexpr float s1 = 0.95105651629515357f, s2 = 0.58778525229247313f;
    const Complex p = a[1] + a[4], q = a[2] + a[3];
    const Complex r = quarter<kInverse>(a[1] - a[4]), s = quarter<kInverse>(a[2] - a[3]);
    const Complex near = plus(d, plus(d, a[0], c1, p), c2, q);
    const Complex far = plus(d, plus(d, a[0], c2, p), c1, q);
    const Complex near_cross = plus(d, times(d, s1, r), s2, s);
    const Complex far_cross = plus(d, times(d, s2, r), -s1, s);
    a[0] = a[0] + p + q;
    a[1] = near + near_cross;
    a[2] = far + far_cross;
    a[3] = far - far_cross;
    a[4] = near - near_cross;
  }
}

// One stage over a block of R * q elements; q == 1 needs no twiddles.
template <int R, bool kInverse, bool kTwiddles>
HWY_INLINE void butterflies(float* x, Index q, const float* w) {
  const F32 d;
  const Index step = 2 * static_cast<Index>(hn::Lanes(d));
  for (Index j = 0; j < q; ++j, x += step, w += 2 * (R - 1)) {
    Complex a[R];
#pragma GCC unroll 5
    for (int r = 0; r < R; ++r) {
      a[r] = load_complex(d, x + r * q * step);
      if (kInverse && kTwiddles && r > 0) a[r] = turned<true>(d, a[r], w + 2 * (r - 1));
    }
    small_transform<R, kInverse>(d, a);
#pragma GCC unroll 5
    for (int r = 0; r < R; ++r) {
      if (!kInverse && kTwiddles && r > 0) a[r] = turned<false>(d, a[r], w + 2 * (r - 1));
      store_complex(d, a[r], x + r * q * step);
    }
  }
}

// One stage over `count` blocks one after the other.
template <int R, bool kInverse>
HWY_INLINE void stage_of(float* x, Index count, Index q, const float* w) {
  const Index block = R * q * 2 * static_cast<Index>(hn::Lanes(F32()));
  if (q == 1) {
    for (Index b = 0; b < count; ++b) butterflies<R, kInverse, false>(x + b * block, 1, w);
  } else {
    for (Index b = 0; b < count; ++b) butterflies<R, kInverse, true>(x + b * block, q, w);
  }
}

template <bool kInverse>
void run_stage(const FftPlan& plan, std::size_t s, float* x, Index count) {
  const FftPlan::Stage& stage = plan.stages[s];
  const float* w = plan.twiddles.data() + stage.twiddles;
  switch (stage.radix) {
    case 2:
      return stage_of<2, kInverse>(x, count, stage.quotient, w);
    case 3:
      return stage_of<3, kInverse>(x, count, stage.quotient, w);
    case 4:
      return stage_of<4, kInverse>(x, count, stage.quotient, w);
    default:
      return stage_of<5, kInverse>(x, count, stage.quotient, w);
  }
}

// The first stage of a transform of turned real samples: sample(i) gives the lanes of sample i.
// Turning by a sample's place in its R-th of the input is left to the twiddles of the result.
template <int R, class Sample>
HWY_INLINE void first_stage_of(const FftPlan& plan, Sample sample, float* x) {
  const F32 d;
  const Index step = 2 * static_cast<Index>(hn::Lanes(d)), q = plan.stages[0].quotient;
  const float* turn = plan.turns.data();
  const float* w = plan.first.data();
  for (Index j = 0; j < q; ++j, x += step, w += 2 * R) {
    Complex a[R];
    const Vec first = sample(j);
    a[0] = {first, hn::Zero(d)};
#pragma GCC unroll 5
    for (int r = 1; r < R; ++r) {
      const Vec v = sample(j + r * q);
      a[r] = {hn::Mul(v, hn::Set(d, turn[2 * r])), hn::Mul(v, hn::Set(d, turn[2 * r + 1]))};
    }
    small_transform<R, false>(d, a);
#pragma GCC unroll 5
    for (int r = 0; r < R; ++r)
      store_complex(d, turned<false>(d, a[r], w + 2 * r), x + r * q * step);
  }
}

// The last stage of the way back: result(i, y) takes the real part of sample i, turned back.
template <int R, class Result>
HWY_INLINE void last_stage_of(const FftPlan& plan, const float* x, float scale, Result result) {
  const F32 d;
  const Index step = 2 * static_cast<Index>(hn::Lanes(d)), q = plan.stages[0].quotient;
  const float* w = plan.first.data();
  float turn[2 * R];
  for (int i = 0; i < 2 * R; ++i) turn[i] = plan.turns[static_cast<std::size_t>(i)] * scale;
  for (Index j = 0; j < q; ++j, x += step, w += 2 * R) {
    Complex a[R];
#pragma GCC unroll 5
    for (int r = 0; r < R; ++r) {
      a[r] = turned<true>(d, load_complex(d, x + r * q * step), w + 2 * r);
    }
    small_transform<R, true>(d, a);
    result(j, hn::Mul(a[0].re, hn::Set(d, turn[0])));
#pragma GCC unroll 5
    for (int r = 1; r < R; ++r) {
      result(j + r * q, hn::MulAdd(a[r].im, hn::Set(d, turn[2 * r + 1]),
                                   hn::Mul(a[r].re, hn::Set(d, turn[2 * r]))));
    }
  }
}

// The last stage of the transforms of u and k, their product, and the first stage of its way back.
template <int R>
HWY_INLINE void product_stage_of(float* u, const float* k, Index count) {
  const F32 d;
  const Index step = 2 * static_cast<Index>(hn::Lanes(d));
  for (Index b = 0; b < count; ++b, u += R * step, k += R * step) {
    Complex x[R], y[R];
#pragma GCC unroll 5
    for (int r = 0; r < R; ++r) y[r] = load_complex(d, k + r * step);
    small_transform<R, false>(d, y);
#pragma GCC unroll 5
    for (int r = 0; r < R; ++r) x[r] = load_complex(d, u + r * step);
    small_transform<R, false>(d, x);
#pragma GCC unroll 5
    for (int r = 0; r < R; ++r) x[r] = product(x[r], y[r]);
    small_transform<R, true>(d, x);
#pragma GCC unroll 5
    for (int r = 0; r < R; ++r) store_complex(d, x[r], u + r * step);
  }
}

// body(std::integral_constant<int, radix>()).
template <class Body>
HWY_INLINE void with_radix(Index radix, Body body) {
  switch (radix) {
    case 2:
      return body(std::integral_constant<int, 2>());
    case 3:
      return body(std::integral_constant<int, 3>());
    case 4:
      return body(std::integral_constant<int, 4>());
    default:
      return body(std::integral_constant<int, 5>());
  }
}

// Stages [begin, end) over `total` elements that are whole blocks of stage `begin`, there or back.
template <bool kInverse>
void run_stages(const FftPlan& plan, std::size_t begin, std::size_t end, float* x, Index total) {
  for (std::size_t n = begin; n < end; ++n) {
    const std::size_t i = kInverse ? end - 1 - (n - begin) : n;
    run_stage<kInverse>(plan, i, x, total / (plan.stages[i].radix * plan.stages[i].quotient));
  }
}

// u = back(forward(u) forward(k)) over a block of stage s; k is lost. A block that fits the
// first-level cache goes there and back in it; a larger one is split, and its parts are finished
// one after the other.
inline void convolve(const FftPlan& plan, std::size_t s, float* u, float* k) {
  const std::size_t last = plan.stages.size() - 1;
  const FftPlan::Stage& stage = plan.stages[s];
  const Index size = stage.radix * stage.quotient;
  const Index element = 2 * static_cast<Index>(hn::Lanes(F32()));
  constexpr Index kCached = 16'384 / sizeof(float);
  if (s == last || size * element <= kCached) {
    run_stages<false>(plan, s, last, u, size);
    run_stages<false>(plan, s, last, k, size);
    with_radix(plan.stages[last].radix, [&](auto R) { product_stage_of<R()>(u, k, size / R()); });
    run_stages<true>(plan, s, last, u, size);
    return;
  }
  run_stage<false>(plan, s, u, 1);
  run_stage<false>(plan, s, k, 1);
  for (Index r = 0; r < stage.radix; ++r) {
    const Index at = r * stage.quotient * element;
    convolve(plan, s + 1, u + at, k + at);
  }
  run_stage<true>(plan, s, u, 1);
}

}  // namespace HWY_NAMESPACE
}  // namespace genossm
HWY_AFTER_NAMESPACE();

#endif
