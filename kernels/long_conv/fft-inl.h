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
HWY_INLINE Complex turned(F32 d, Complex a, const float* w) {
  const Complex b{hn::Set(d, w[0]), hn::Set(d, kConjugate ? -w[1] : w[1])};
  return product(a, b);
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

// Stages from s on over one block. Blocks that fit the first-level cache go through all their
// stages there; larger ones are split first.
template <bool kInverse>
void transform(const FftPlan& plan, std::size_t s, float* x) {
  if (s == plan.stages.size()) return;
  const FftPlan::Stage& stage = plan.stages[s];
  const Index element = 2 * static_cast<Index>(hn::Lanes(F32()));
  constexpr Index kCached = 16'384 / sizeof(float);
  if (stage.radix * stage.quotient * element <= kCached) {
    if (kInverse) {
      Index count = stage.radix * stage.quotient;
      for (std::size_t i = plan.stages.size(); i-- > s;) {
        const Index size = plan.stages[i].radix * plan.stages[i].quotient;
        run_stage<true>(plan, i, x, count / size);
      }
    } else {
      const Index total = stage.radix * stage.quotient;
      for (std::size_t i = s; i < plan.stages.size(); ++i) {
        const Index size = plan.stages[i].radix * plan.stages[i].quotient;
        run_stage<false>(plan, i, x, total / size);
      }
    }
    return;
  }
  if (!kInverse) run_stage<false>(plan, s, x, 1);
  for (Index r = 0; r < stage.radix; ++r) {
    transform<kInverse>(plan, s + 1, x + r * stage.quotient * element);
  }
  if (kInverse) run_stage<true>(plan, s, x, 1);
}

}  // namespace HWY_NAMESPACE
}  // namespace genossm
HWY_AFTER_NAMESPACE();

#endif
