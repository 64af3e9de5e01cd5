#include <cmath>
#include <numbers>

#include "kernels/activation/activation.h"
#include "kernels/core/shapes.h"

namespace genossm {
namespace {

double value_of(Activation::Kind kind, double v) {
  switch (kind) {
    case Activation::Kind::identity:
      return v;
    case Activation::Kind::silu:
      return v / (1 + std::exp(-v));
    case Activation::Kind::gelu_erf:
      return v / 2 * (1 + std::erf(v / std::numbers::sqrt2));
    case Activation::Kind::gelu_tanh:
      return v / 2 * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (v + 0.044715 * v * v * v)));
    case Activation::Kind::relu_squared:
      return v < 0 ? 0 : v * v;  // NaN stays
    case Activation::Kind::sigmoid:
      return 1 / (1 + std::exp(-v));
    case Activation::Kind::softplus:
      return v > 20 ? v : std::log1p(std::exp(v));
  }
  return v;
}

}  // namespace

template <class T>
void check(const BasicActivation<T>& op) {
  want_shape_or_empty("activation", "gate", op.gate, op.x.extent);
  want_shape("activation", "y", op.y, op.x.extent);
}
template void check(const BasicActivation<float>&);
template void check(const BasicActivation<bf16>&);

void run(Reference&, const Activation& op) {
  const auto [L, D] = op.x.extent;
  for (Index t = 0; t < L; ++t) {
    for (Index d = 0; d < D; ++d) {
      const double x = op.x.row(t)[d];
      const double value =
          op.gate.empty() ? value_of(op.kind, x) : x * value_of(op.kind, op.gate.row(t)[d]);
      float& y = op.y.row(t)[d];
      y = static_cast<float>(op.accumulate ? y + value : value);
    }
  }
}

}  // namespace genossm
