#include <cmath>
#include <vector>

#include "kernels/causal_conv/causal_conv.h"
#include "kernels/core/shapes.h"

namespace genossm {

template <class T>
void check(const BasicCausalConv<T>& op) {
  const auto [L, D] = op.x.extent;
  const Index W = op.w.extent[0];
  if (W < 2 || W > 8) {
    fail(Fault::shape, "causal_conv: " + std::to_string(W) + " taps, want 2 to 8");
  }
  want_shape("causal_conv", "w", op.w, {W, D});
  want_shape_or_empty("causal_conv", "bias", op.bias, {D});
  want_shape("causal_conv", "tail", op.tail, {W - 1, D});
  want_shape("causal_conv", "y", op.y, {L, D});
}
template void check(const BasicCausalConv<float>&);
template void check(const BasicCausalConv<bf16>&);

template <class T>
void check(const CausalConvSet<T>& op) {
  const auto [R, D] = op.x.extent;
  for (const auto* direction : {&op.forward, &op.reverse}) {
    if (direction->y.empty()) continue;
    const Index W = direction->w.extent[0];
    if (W < 2 || W > 8) {
      fail(Fault::shape, "causal_conv: " + std::to_string(W) + " taps, want 2 to 8");
    }
    want_shape("causal_conv", "w", direction->w, {W, D});
    want_shape_or_empty("causal_conv", "bias", direction->bias, {D});
    want_shape("causal_conv", "y", direction->y, {R, D});
  }
}
template void check(const CausalConvSet<float>&);
template void check(const CausalConvSet<bf16>&);

void check(const GatedConvSet& op) {
  const Index R = op.x.extent[0], K = op.gates.extent[1], D = op.v.extent[1], W = op.w.extent[0];
  if (W < 2 || W > 8) {
    fail(Fault::shape, "gated_conv: " + std::to_string(W) + " taps, want 2 to 8");
  }
  want_shape("gated_conv", "x", op.x, {R, K + 2 * D});
  want_shape("gated_conv", "w", op.w, {W, K + 2 * D});
  want_shape_or_empty("gated_conv", "bias", op.bias, {K + 2 * D});
  want_shape("gated_conv", "gates", op.gates, {R, K});
  want_shape("gated_conv", "v", op.v, {R, D});
}

void run(Reference&, const CausalConv& op) {
  const auto [L, D] = op.x.extent;
  const Index W = op.w.extent[0];
  for (Index d = 0; d < D; ++d) {
    std::vector<float> x;  // the tail, then the sequence
    for (Index k = 0; k < W - 1; ++k) x.push_back(op.tail.row(k)[d]);
    for (Index t = 0; t < L; ++t) x.push_back(op.x.row(t)[d]);
    for (Index t = 0; t < L; ++t) {
      double c = op.bias.empty() ? 0.0 : op.bias.data[d];
      for (Index k = 0; k < W; ++k) {
        c += static_cast<double>(op.w.row(k)[d]) * x[static_cast<std::size_t>(t + k)];
      }
      op.y.row(t)[d] = static_cast<float>(op.silu ? c / (1 + std::exp(-c)) : c);
    }
    for (Index k = 0; k < W - 1; ++k) op.tail.row(k)[d] = x[static_cast<std::size_t>(L + k)];
  }
}

}  // namespace genossm
