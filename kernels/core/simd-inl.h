// Vector pieces that the cpu.cc files share: exp, exp2, softplus, silu, log. Included once per target by
// Highway's self-inclusion, hence the toggling guard and no #pragma once.
#if defined(GENOSSM_KERNELS_CORE_SIMD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GENOSSM_KERNELS_CORE_SIMD_INL_H_
#undef GENOSSM_KERNELS_CORE_SIMD_INL_H_
#else
#define GENOSSM_KERNELS_CORE_SIMD_INL_H_
#endif

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace genossm {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

}  // namespace HWY_NAMESPACE
}  // namespace genossm
HWY_AFTER_NAMESPACE();

#endif
