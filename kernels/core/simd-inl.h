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
  HWY_ALIGN float tail[HWY_MAX_BYTES / sizeof(float)] = {};
  std::memcpy(tail, p, static_cast<std::size_t>(n) * sizeof(float));
  return hn::Load(d, tail);
}

HWY_INLINE void store_lanes(F32 d, Vec v, float* HWY_RESTRICT p, Index n) {
  if (HWY_LIKELY(n >= static_cast<Index>(hn::Lanes(d)))) {
    hn::StoreU(v, d, p);
    return;
  }
  HWY_ALIGN float tail[HWY_MAX_BYTES / sizeof(float)];
  hn::Store(v, d, tail);
  std::memcpy(p, tail, static_cast<std::size_t>(n) * sizeof(float));
}

// Adding it to |x| < 2^22 rounds x to an integer, which then stands in the low bits.
inline constexpr float kRound = 12582912.0f;  // 1.5 * 2^23

// 2^f for f in [-1/2, 1/2] where r = n + kRound carries the integer part: 2^(n + f). The constant
// term is exactly 1, so that decays near 1 have no systematic error. Relative error below 1.2e-7.
HWY_INLINE Vec exp2_assemble(F32 d, Vec r, Vec f) {
  Vec p = hn::Set(d, 0.001326472731307149f);
  p = hn::MulAdd(p, f, hn::Set(d, 0.009671512991189957f));
  p = hn::MulAdd(p, f, hn::Set(d, 0.05550733581185341f));
  p = hn::MulAdd(p, f, hn::Set(d, 0.24022242426872253f));
  p = hn::MulAdd(p, f, hn::Set(d, 0.6931470036506653f));
  p = hn::MulAdd(p, f, hn::Set(d, 1.0f));
  const I32 di;
  return hn::BitCast(d, hn::Add(hn::BitCast(di, p), hn::ShiftLeft<23>(hn::BitCast(di, r))));
}

// 2^x; 0 below -126, infinity from 128 on, NaN for NaN.
HWY_INLINE Vec exp2(F32 d, Vec x) {
  const Vec low = hn::Set(d, -126.0f), high = hn::Set(d, 127.99999f);
  const Vec clamped = hn::Min(hn::Max(x, low), high);
  const Vec r = hn::Add(clamped, hn::Set(d, kRound));
  const Vec f = hn::Sub(clamped, hn::Sub(r, hn::Set(d, kRound)));
  Vec y = exp2_assemble(d, r, f);
  y = hn::IfThenElse(hn::Lt(x, low), hn::Zero(d), y);
  y = hn::IfThenElse(hn::Gt(x, high), hn::Set(d, std::numeric_limits<float>::infinity()), y);
  return hn::IfThenElse(hn::IsNaN(x), x, y);
}

// e^x. The product with log2(e) is kept in two parts, so that the error stays that of exp2.
HWY_INLINE Vec exp(F32 d, Vec x) {
  const Vec low = hn::Set(d, -87.3f), high = hn::Set(d, 88.7f);
  const Vec clamped = hn::Min(hn::Max(x, low), high);
  const Vec r = hn::MulAdd(clamped, hn::Set(d, 1.44269504f), hn::Set(d, kRound));
  const Vec n = hn::Sub(r, hn::Set(d, kRound));
  Vec f = hn::MulSub(clamped, hn::Set(d, 1.44269504f), n);
  f = hn::MulAdd(clamped, hn::Set(d, 1.925963033e-8f), f);
  Vec y = exp2_assemble(d, r, f);
  y = hn::IfThenElse(hn::Lt(x, low), hn::Zero(d), y);
  y = hn::IfThenElse(hn::Gt(x, high), hn::Set(d, std::numeric_limits<float>::infinity()), y);
  return hn::IfThenElse(hn::IsNaN(x), x, y);
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

HWY_INLINE Vec sigmoid(F32 d, Vec x) {
  const Vec e = exp(d, hn::Neg(hn::Max(x, hn::Set(d, -80.0f))));
  return hn::IfThenElse(hn::IsNaN(x), x, reciprocal(d, hn::Add(hn::Set(d, 1.0f), e)));
}

// x / (1 + e^-x). Beyond +-80 the exponential is held there: below 1e-32 of x.
HWY_INLINE Vec silu(F32 d, Vec x) {
  const Vec held = hn::Min(hn::Max(x, hn::Set(d, -80.0f)), hn::Set(d, 80.0f));
  const Vec r = hn::MulAdd(held, hn::Set(d, -1.44269504f), hn::Set(d, kRound));
  Vec f = hn::NegMulSub(held, hn::Set(d, 1.44269504f), hn::Sub(r, hn::Set(d, kRound)));
  f = hn::MulAdd(held, hn::Set(d, -1.925963033e-8f), f);
  const Vec e = exp2_assemble(d, r, f);
  const Vec y = hn::Mul(x, reciprocal(d, hn::Add(hn::Set(d, 1.0f), e)));
  return hn::IfThenElse(hn::IsNaN(x), x, y);
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

// ln(1 + t) for t in [0, e^20], relative error below 3e-7 also for tiny t.
HWY_INLINE Vec log1p_nonnegative(F32 d, Vec t) {
  // u = 1 + t = m 2^e with m in [sqrt(1/2), sqrt(2)); c repairs the rounding of u.
  const Vec one = hn::Set(d, 1.0f);
  const Vec u = hn::Add(one, t);
  const Vec c = hn::Mul(hn::Sub(t, hn::Sub(u, one)), reciprocal(d, u));
  const I32 di;
  const auto bits = hn::BitCast(di, u);
  const auto e = hn::ShiftRight<23>(hn::Sub(bits, hn::Set(di, 0x3f3504f3)));
  const Vec m = hn::BitCast(d, hn::Sub(bits, hn::ShiftLeft<23>(e)));
  const Vec ln_m = log_mantissa(d, hn::Sub(m, one));
  return hn::MulAdd(hn::ConvertTo(d, e), hn::Set(d, 0.693147182464599609375f), hn::Add(ln_m, c));
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

// ln(1 + e^x), and x above 20 as upstream. NaN for NaN.
HWY_INLINE Vec softplus(F32 d, Vec x) {
  const Vec y = log1p_nonnegative(d, exp(d, hn::Min(x, hn::Set(d, 20.0f))));
  const Vec z = hn::IfThenElse(hn::Gt(x, hn::Set(d, 20.0f)), x, y);
  return hn::IfThenElse(hn::IsNaN(x), x, z);
}

}  // namespace HWY_NAMESPACE
}  // namespace genossm
HWY_AFTER_NAMESPACE();

#endif
