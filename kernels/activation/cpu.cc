// Lanes run across channels; every function is element-wise, so a value's bits depend on nothing
// but its operands.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/activation/activation.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/activation/cpu.cc"
#include "hwy/foreach_target.h"
//
#include "kernels/core/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace genossm {
namespace HWY_NAMESPACE {

HWY_INLINE Vec relu_squared(F32 d, Vec v) {
  const Vec positive = hn::IfThenElse(hn::Lt(v, hn::Zero(d)), hn::Zero(d), v);  // NaN stays
  return hn::Mul(positive, positive);
}

// 1 + tanh(u) is 2 sigmoid(2u), which loses no digits where tanh is near -1.
HWY_INLINE Vec gelu_tanh(F32 d, Vec v) {
  const Vec cubed = hn::Mul(hn::Mul(v, v), v);
  const Vec u = hn::MulAdd(cubed, hn::Set(d, 0.044715f), v);
  return hn::Mul(v, sigmoid(d, hn::Mul(u, hn::Set(d, 1.5957691216057308f))));  // 2 sqrt(2/pi)
}

// 1 + erf(u) is erfc(-u), for the same reason. Lane by lane: rare in the models served here.
HWY_INLINE Vec gelu_erf(F32 d, Vec v) {
  HWY_ALIGN float lane[HWY_MAX_BYTES / sizeof(float)];
  hn::Store(v, d, lane);
  for (std::size_t i = 0; i < hn::Lanes(d); ++i) {
    lane[i] *= 0.5f * std::erfc(lane[i] * -std::numbers::sqrt2_v<float> / 2);
  }
  return hn::Load(d, lane);
}

template <class Function>
HWY_INLINE void apply(const Activation& op, Index begin, Index end, Function f) {
  const F32 d;
  const auto lanes = static_cast<Index>(hn::Lanes(d));
  const Index D = op.x.extent[1];
  const bool gated = !op.gate.empty(), accumulate = op.accumulate;
  for (Index t = begin; t < end; ++t) {
    const float* x = op.x.row(t);
    const float* gate = gated ? op.gate.row(t) : nullptr;
    float* y = op.y.row(t);
    for (Index i = 0; i < D; i += lanes) {
      Vec v = load_lanes(d, x + i, D - i);
      v = gated ? hn::Mul(v, f(d, load_lanes(d, gate + i, D - i))) : f(d, v);
      if (accumulate) v = hn::Add(load_lanes(d, y + i, D - i), v);
      store_lanes(d, v, y + i, D - i);
    }
  }
}

void activate_rows(const Activation& op, Index begin, Index end) {
  const auto with = [&](auto f) HWY_ATTR { apply(op, begin, end, f); };
  switch (op.kind) {
    case Activation::Kind::identity:
      return with([](F32, Vec v) HWY_ATTR { return v; });
    case Activation::Kind::silu:
      return with([](F32 d, Vec v) HWY_ATTR { return silu(d, v); });
    case Activation::Kind::gelu_erf:
      return with([](F32 d, Vec v) HWY_ATTR { return gelu_erf(d, v); });
    case Activation::Kind::gelu_tanh:
      return with([](F32 d, Vec v) HWY_ATTR { return gelu_tanh(d, v); });
    case Activation::Kind::relu_squared:
      return with([](F32 d, Vec v) HWY_ATTR { return relu_squared(d, v); });
    case Activation::Kind::sigmoid:
      return with([](F32 d, Vec v) HWY_ATTR { return sigmoid(d, v); });
    case Activation::Kind::softplus:
      return with([](F32 d, Vec v) HWY_ATTR { return softplus(d, v); });
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace genossm
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace genossm {

HWY_EXPORT(activate_rows);

void run(Cpu& cpu, const Activation& op) {
  const Index L = op.x.extent[0];
  const auto rows_of = HWY_DYNAMIC_DISPATCH(activate_rows);
  // Rows a range: enough to be worth handing to another thread.
  constexpr Index kRows = 4 * kTile;
  cpu.for_each((L + kRows - 1) / kRows,
               [&](Index range) { rows_of(op, range * kRows, std::min(L, (range + 1) * kRows)); });
}

}  // namespace genossm
#endif  // HWY_ONCE
