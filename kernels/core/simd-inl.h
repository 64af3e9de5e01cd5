// Vector pieces that the cpu.cc files share. Included once per instruction set by Highway's
// self-inclusion, hence the toggling guard and no #pragma once.
//
// Everything here is element-wise: a value's bits never depend on the lane it sits in.
#if defined(GENOSSM_KERNELS_CORE_SIMD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GENOSSM_KERNELS_CORE_SIMD_INL_H_
#undef GENOSSM_KERNELS_CORE_SIMD_INL_H_
#else
#define GENOSSM_KERNELS_CORE_SIMD_INL_H_
#endif

#include <cstring>
#include <limits>

#include "hwy/highway.h"
#include "kernels/core/view.h"

HWY_BEFORE_NAMESPACE();
namespace genossm {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using F32 = hn::ScalableTag<float>;
using I32 = hn::RebindToSigned<F32>;
using Vec = hn::Vec<F32>;

// The first n lanes of p, zeros above; n may exceed the number of lanes.
HWY_INLINE Vec load_lanes(F32 d, const float* HWY_RESTRICT p, Index n) {
  if (HWY_LIKELY(n >= static_cast<Index>(hn::Lanes(d)))) return hn::LoadU(d, p);
#if HWY_TARGET <= HWY_AVX2  // masked loads and stores do not touch what they leave out
  return hn::MaskedLoad(hn::FirstN(d, static_cast<std::size_t>(n)), d, p);
#else
  HWY_ALIGN float tail[HWY_MAX_BYTES / sizeof(float)] = {};
  std::memcpy(tail, p, static_cast<std::size_t>(n) * sizeof(float));
  return hn::Load(d, tail);
#endif
}

HWY_INLINE void store_lanes(F32 d, Vec v, float* HWY_RESTRICT p, Index n) {
  if (HWY_LIKELY(n >= static_cast<Index>(hn::Lanes(d)))) {
    hn::StoreU(v, d, p);
    return;
  }
#if HWY_TARGET <= HWY_AVX2
  hn::BlendedStore(v, hn::FirstN(d, static_cast<std::size_t>(n)), d, p);
#else
  HWY_ALIGN float tail[HWY_MAX_BYTES / sizeof(float)];
  hn::Store(v, d, tail);
  std::memcpy(p, tail, static_cast<std::size_t>(n) * sizeof(float));
#endif
}

// Ahead of its time, the row that comes `rows` after p in an op that runs down a few columns: no
// two of its reads lie in one page, so the processor foresees none of them. Beyond the end it reads
// nothing: a prefetch never faults.
HWY_INLINE void fetch_ahead(const float* p, Index stride, Index rows, Index floats) {
  const float* ahead = p + stride * rows;
  for (Index i = 0; i < floats; i += 16) __builtin_prefetch(ahead + i);
}

// A vector of a group of K: those of a group of several are all whole, and no branch stands between
// them; a single one may be short.
template <int K>
HWY_INLINE Vec load_of_group(F32 d, const float* p, Index n) {
  return K > 1 ? hn::LoadU(d, p) : load_lanes(d, p, n);
}

template <int K>
HWY_INLINE void store_of_group(F32 d, Vec v, float* p, Index n) {
  if (K > 1) {
    hn::StoreU(v, d, p);
  } else {
    store_lanes(d, v, p, n);
  }
}

// Adding it to |x| < 2^22 rounds x to an integer, which then stands in the low bits.
inline constexpr float kRound = 12582912.0f;  // 1.5 * 2^23

// x = whole + fraction with |fraction| <= 1/2. `whole` is the integer itself where the processor
// scales by powers of two (AVX-512), else the integer in the low bits.
struct Split {
  Vec whole, fraction;
};

#if HWY_TARGET <= HWY_AVX3
HWY_INLINE Vec fraction_of(Vec x) {
  return Vec{_mm512_reduce_ps(x.raw, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
#endif

// a * b, split. Generic targets want |a * b| < 2^22; a product that is not finite gives rubbish.
HWY_INLINE Split split_product(F32 d, Vec a, Vec b) {
#if HWY_TARGET <= HWY_AVX3
  (void)d;
  const Vec x = hn::Mul(a, b);
  const Vec fraction = fraction_of(x);
  return {hn::Sub(x, fraction), fraction};
#else
  const Vec whole = hn::MulAdd(a, b, hn::Set(d, kRound));
  return {whole, hn::MulSub(a, b, hn::Sub(whole, hn::Set(d, kRound)))};
#endif
}

// x * log2(e), split. The constant is kept in two parts, so that the error stays that of 2^f.
HWY_INLINE Split split_exponent(F32 d, Vec x) {
  const Vec log2e = hn::Set(d, 1.44269504f), rest = hn::Set(d, 1.925963033e-8f);
  const Split s = split_product(d, x, log2e);
#if HWY_TARGET <= HWY_AVX3
  const Vec integer = s.whole;
#else
  const Vec integer = hn::Sub(s.whole, hn::Set(d, kRound));
#endif
  return {s.whole, hn::MulAdd(x, rest, hn::MulSub(x, log2e, integer))};
}

// 2^f for |f| <= 1/2: a polynomial whose constant term is exactly 1, so that decays near 1 have no
// systematic error. kExp2[i] multiplies f^(5-i); relative error below 1.2e-7.
inline constexpr float kExp2[] = {0.001326472731307149f, 0.009671512991189957f,
                                  0.05550733581185341f,  0.24022242426872253f,
                                  0.6931470036506653f,   1.0f};

// K vectors side by side, here and below: one after the other, the long chains of dependent
// operations would leave the processor waiting.
template <int K>
HWY_INLINE void exp2_of_fractions(F32 d, const Split (&x)[K], Vec (&p)[K]) {
#pragma GCC unroll 8
  for (int i = 0; i < K; ++i) p[i] = hn::Set(d, kExp2[0]);
#pragma GCC unroll 8
  for (int k = 1; k < 6; ++k) {
#pragma GCC unroll 8
    for (int i = 0; i < K; ++i) p[i] = hn::MulAdd(p[i], x[i].fraction, hn::Set(d, kExp2[k]));
  }
}

HWY_INLINE Vec exp2_of_fraction(F32 d, Vec fraction) {
  Vec p[1];
  exp2_of_fractions<1>(d, {{fraction, fraction}}, p);
  return p[0];
}

// p * 2^whole; generic targets want a result in the normal range.
HWY_INLINE Vec scale(F32 d, Vec p, Vec whole) {
#if HWY_TARGET <= HWY_AVX3
  (void)d;
  return Vec{_mm512_scalef_ps(p.raw, whole.raw)};
#else
  const I32 di;
  return hn::BitCast(d, hn::Add(hn::BitCast(di, p), hn::ShiftLeft<23>(hn::BitCast(di, whole))));
#endif
}

// What lies beyond the range of a power with exponent x: 0 below `low`, infinity above `high`, NaN.
HWY_INLINE Vec with_limits(F32 d, Vec x, Vec low, Vec high, Vec power) {
  Vec y = hn::IfThenElse(hn::Lt(x, low), hn::Zero(d), power);
  y = hn::IfThenElse(hn::Gt(x, high), hn::Set(d, std::numeric_limits<float>::infinity()), y);
  return hn::IfThenElse(hn::IsNaN(x), x, y);
}

// 2^x; 0 below -126, infinity from 128 on, NaN for NaN.
HWY_INLINE Vec exp2(F32 d, Vec x) {
  const Vec low = hn::Set(d, -126.0f), high = hn::Set(d, 127.99999f);
  const Split s = split_product(d, hn::Min(hn::Max(x, low), high), hn::Set(d, 1.0f));
  return with_limits(d, x, low, high, scale(d, exp2_of_fraction(d, s.fraction), s.whole));
}

// e^x for -87.3 <= x <= 88.7.
template <int K>
HWY_INLINE void exp_in_range(F32 d, Vec (&x)[K]) {
  Split s[K];
#pragma GCC unroll 8
  for (int i = 0; i < K; ++i) s[i] = split_exponent(d, x[i]);
  exp2_of_fractions(d, s, x);
#pragma GCC unroll 8
  for (int i = 0; i < K; ++i) x[i] = scale(d, x[i], s[i].whole);
}

// e^x; 0 below -87.3, infinity above 88.7, NaN for NaN.
HWY_INLINE Vec exp(F32 d, Vec x) {
  const Vec low = hn::Set(d, -87.3f), high = hn::Set(d, 88.7f);
  Vec e[1] = {hn::Min(hn::Max(x, low), high)};
  exp_in_range(d, e);
  return with_limits(d, x, low, high, e[0]);
}

// 1 / x to about one unit in the last place, for finite x well inside the range.
HWY_INLINE Vec reciprocal(F32 d, Vec x) {
#if HWY_TARGET <= HWY_AVX3
  // 14 bits and one Newton step; a division would take as long as the rest of silu together.
  const Vec r = hn::ApproximateReciprocal(x);
  return hn::MulAdd(r, hn::NegMulAdd(x, r, hn::Set(d, 1.0f)), r);
#else
  return hn::Div(hn::Set(d, 1.0f), x);
#endif
}

// 1 / (1 + e^-x), the exponential held beyond +-80: there it is below 1e-32 or above 1e32. Not for
// NaN, which may come out as a number.
template <int K>
HWY_INLINE void sigmoid_of_numbers(F32 d, Vec (&x)[K]) {
#pragma GCC unroll 8
  for (int i = 0; i < K; ++i) {
    x[i] = hn::Neg(hn::Min(hn::Max(x[i], hn::Set(d, -80.0f)), hn::Set(d, 80.0f)));
  }
  exp_in_range(d, x);
#pragma GCC unroll 8
  for (int i = 0; i < K; ++i) x[i] = reciprocal(d, hn::Add(hn::Set(d, 1.0f), x[i]));
}

HWY_INLINE Vec sigmoid(F32 d, Vec x) {
  Vec y[1] = {x};
  sigmoid_of_numbers(d, y);
  return hn::IfThenElse(hn::IsNaN(x), x, y[0]);
}

// x / (1 + e^-x); the product hands NaN on.
template <int K>
HWY_INLINE void silu(F32 d, Vec (&x)[K]) {
  Vec y[K];
#pragma GCC unroll 8
  for (int i = 0; i < K; ++i) y[i] = x[i];
  sigmoid_of_numbers(d, y);
#pragma GCC unroll 8
  for (int i = 0; i < K; ++i) x[i] = hn::Mul(x[i], y[i]);
}

HWY_INLINE Vec silu(F32 d, Vec x) {
  Vec y[1] = {x};
  silu(d, y);
  return y[0];
}

// ln(m) for m in [sqrt(1/2), sqrt(2)), in x = m - 1; the coefficients are those of Cephes' logf.
HWY_INLINE Vec log_mantissa(F32 d, Vec x) {
  Vec p = hn::Set(d, 7.0376836292e-2f);
  p = hn::MulAdd(p, x, hn::Set(d, -1.1514610310e-1f));
  p = hn::MulAdd(p, x, hn::Set(d, 1.1676998740e-1f));
  p = hn::MulAdd(p, x, hn::Set(d, -1.2420140846e-1f));
  p = hn::MulAdd(p, x, hn::Set(d, 1.4249322787e-1f));
  p = hn::MulAdd(p, x, hn::Set(d, -1.6668057665e-1f));
  p = hn::MulAdd(p, x, hn::Set(d, 2.0000714765e-1f));
  p = hn::MulAdd(p, x, hn::Set(d, -2.4999993993e-1f));
  p = hn::MulAdd(p, x, hn::Set(d, 3.3333331174e-1f));
  const Vec x2 = hn::Mul(x, x);
  return hn::Add(x, hn::MulAdd(hn::Mul(x2, x), p, hn::Mul(x2, hn::Set(d, -0.5f))));
}

// ln(x) for normal x > 0; -infinity for 0, NaN for negative values.
HWY_INLINE Vec log(F32 d, Vec x) {
  const Vec one = hn::Set(d, 1.0f);
  const I32 di;
  const auto bits = hn::BitCast(di, x);
  const auto e = hn::ShiftRight<23>(hn::Sub(bits, hn::Set(di, 0x3f3504f3)));
  const Vec m = hn::BitCast(d, hn::Sub(bits, hn::ShiftLeft<23>(e)));
  const Vec ln_m = log_mantissa(d, hn::Sub(m, one));
  Vec y = hn::MulAdd(hn::ConvertTo(d, e), hn::Set(d, 0.693147182464599609375f), ln_m);
  const Vec inf = hn::Set(d, std::numeric_limits<float>::infinity());
  y = hn::IfThenElse(hn::Eq(x, hn::Zero(d)), hn::Neg(inf), y);
  y = hn::IfThenElse(hn::Lt(x, hn::Zero(d)), hn::NaN(d), y);
  return hn::IfThenElse(hn::Or(hn::IsNaN(x), hn::Eq(x, inf)), x, y);
}

// ln(1 + e^x) = max(x, 0) + ln(1 + t) with t = e^-|x| and ln(1 + t) = 2 atanh(t / (2 + t)):
// relative error below 4e-7 also where the result is tiny; 0 below -87.3. Above 20 it is x, as
// upstream: what is added there is below half a unit in the last place. NaN for NaN. kAtanh[i]
// multiplies s^(8-2i) in 2 atanh(s) / s for s in [0, 1/3].
inline constexpr float kAtanh[] = {0.28011987f, 0.28001806f, 0.40021527f, 0.66666418f, 2.0f};

template <int K>
HWY_INLINE void softplus(F32 d, Vec (&x)[K]) {
  const Vec low = hn::Set(d, -87.3f);
  Vec t[K], s[K], p[K];
#pragma GCC unroll 8
  for (int i = 0; i < K; ++i) t[i] = hn::Max(hn::Neg(hn::Abs(x[i])), low);
  exp_in_range(d, t);
#pragma GCC unroll 8
  for (int i = 0; i < K; ++i) {
    t[i] = hn::IfThenElse(hn::Lt(hn::Abs(x[i]), hn::Neg(low)), t[i], hn::Zero(d));
    s[i] = hn::Mul(t[i], reciprocal(d, hn::Add(t[i], hn::Set(d, 2.0f))));
    t[i] = hn::Mul(s[i], s[i]);
    p[i] = hn::Set(d, kAtanh[0]);
  }
#pragma GCC unroll 8
  for (int k = 1; k < 5; ++k) {
#pragma GCC unroll 8
    for (int i = 0; i < K; ++i) p[i] = hn::MulAdd(p[i], t[i], hn::Set(d, kAtanh[k]));
  }
#pragma GCC unroll 8
  for (int i = 0; i < K; ++i) {
    p[i] = hn::MulAdd(p[i], s[i], hn::Max(x[i], hn::Zero(d)));
    x[i] = hn::IfThenElse(hn::IsNaN(x[i]), x[i], p[i]);
  }
}

HWY_INLINE Vec softplus(F32 d, Vec x) {
  Vec y[1] = {x};
  softplus(d, y);
  return y[0];
}

}  // namespace HWY_NAMESPACE
}  // namespace genossm
HWY_AFTER_NAMESPACE();

#endif
