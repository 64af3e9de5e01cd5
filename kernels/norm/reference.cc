#include <cmath>
#include <string>
#include <vector>

#include "kernels/core/shapes.h"
#include "kernels/norm/norm.h"

namespace genossm {
namespace {

double silu(double v) { return v / (1 + std::exp(-v)); }

}  // namespace

template <class X, class Y>
void check(const BasicNorm<X, Y>& op) {
  const auto [L, D] = op.x.extent;
  want_shape_or_empty("norm", "residual", op.residual, {L, D});
  want_shape("norm", "weight", op.weight, {D});
  want_shape_or_empty("norm", "bias", op.bias, {D});
  want_shape("norm", "y", op.y, {L, D});
  if (op.gate == NormGate::none) {
    require(op.z.empty(), Fault::shape,
            "norm: z is " + shape_of(op.z.extent) + ", want none without a gate");
  } else {
    want_shape("norm", "z", op.z, {L, D});
  }
  if (op.group != 0) {
    require(op.kind != NormKind::layer, Fault::shape,
            "norm: a layer norm has groups of " + std::to_string(op.group) + ", want none");
    require(
        op.group > 0 && D % op.group == 0, Fault::shape,
        "norm: group is " + std::to_string(op.group) + ", want a divisor of " + std::to_string(D));
  }
}

template void check(const BasicNorm<float, float>&);
template void check(const BasicNorm<float, bf16>&);
template void check(const BasicNorm<bf16, bf16>&);

void run(Reference&, const Norm& op) {
  const auto [L, D] = op.x.extent;
  const Index G = op.group > 0 ? op.group : D;  // channels that share one mean
  std::vector<double> v(static_cast<std::size_t>(D));
  for (Index t = 0; t < L; ++t) {
    for (Index d = 0; d < D; ++d) {
      double r = op.x.row(t)[d];
      if (!op.residual.empty()) {
        r += op.residual.row(t)[d];
        op.residual.row(t)[d] = static_cast<float>(r);
      }
      v[static_cast<std::size_t>(d)] = op.gate == Norm::Gate::before ? r * silu(op.z.row(t)[d]) : r;
    }
    for (Index begin = 0; begin < D; begin += G) {
      const auto at = [&](Index d) { return v[static_cast<std::size_t>(begin + d)]; };
      double mean = 0, variance = 0;
      if (op.kind == Norm::Kind::layer) {
        for (Index d = 0; d < G; ++d) mean += at(d) / static_cast<double>(G);
      }
      for (Index d = 0; d < G; ++d) variance += (at(d) - mean) * (at(d) - mean);
      const double square = variance / static_cast<double>(G);
      const double scale = op.kind == Norm::Kind::rms_plus ? 1 / (std::sqrt(square) + op.eps)
                                                           : 1 / std::sqrt(square + op.eps);
      for (Index d = 0; d < G; ++d) {
        double n = (at(d) - mean) * scale * op.weight.data[begin + d];
        if (!op.bias.empty()) n += op.bias.data[begin + d];
        if (op.gate == Norm::Gate::after) n *= silu(op.z.row(t)[begin + d]);
        float& y = op.y.row(t)[begin + d];
        y = static_cast<float>(op.accumulate ? y + n : n);
      }
    }
  }
}

}  // namespace genossm
