#include <vector>

#include "kernels/core/shapes.h"
#include "kernels/fir/fir.h"

namespace genossm {

template <class T>
void check(const BasicFir<T>& op) {
  const auto [L, D] = op.x.extent;
  const auto [G, W] = op.taps.extent;
  if (W < 1) fail(Fault::shape, "fir: 0 taps, want 1 or more");
  if (G < 1 || D % G != 0) {
    fail(Fault::shape, "fir: " + std::to_string(D) + " channels cannot share " + std::to_string(G) +
                           " filters evenly");
  }
  want_shape_or_empty("fir", "skip", op.skip, {D});
  want_shape_or_empty("fir", "gate", op.gate, {L, D});
  want_shape("fir", "tail", op.tail, {W - 1, D});
  want_shape("fir", "y", op.y, {L, D});
}
template void check(const BasicFir<float>&);
template void check(const BasicFir<bf16>&);

void run(Reference&, const Fir& op) {
  const auto [L, D] = op.x.extent;
  const auto [G, W] = op.taps.extent;
  const bool last = op.order == TapOrder::current_last;
  for (Index d = 0; d < D; ++d) {
    const float* taps = op.taps.row(d / (D / G));
    std::vector<float> x;  // the tail, then the sequence
    for (Index k = 0; k < W - 1; ++k) x.push_back(op.tail.row(k)[d]);
    for (Index t = 0; t < L; ++t) x.push_back(op.x.row(t)[d]);
    for (Index t = 0; t < L; ++t) {
      const float* now = x.data() + W - 1 + t;
      double c = op.skip.empty() ? 0.0 : static_cast<double>(op.skip.data[d]) * now[0];
      for (Index j = 0; j < W; ++j) c += static_cast<double>(taps[last ? W - 1 - j : j]) * now[-j];
      op.y.row(t)[d] = static_cast<float>(op.gate.empty() ? c : c * op.gate.row(t)[d]);
    }
    for (Index k = 0; k < W - 1; ++k) op.tail.row(k)[d] = x[static_cast<std::size_t>(L + k)];
  }
}

}  // namespace genossm
