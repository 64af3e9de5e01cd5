#include <algorithm>
#include <vector>

#include "kernels/core/shapes.h"
#include "kernels/long_conv/long_conv.h"

namespace genossm {

template <class Y>
void check(const BasicLongConv<Y>& op) {
  const auto [L, D] = op.u.extent;
  if (op.h.extent[0] < 1) fail(Fault::shape, "long_conv: 0 taps, want 1 or more");
  // Exact positions of twiddles are counted in 64 bits.
  if (L > Index{1} << 30) {
    fail(Fault::shape, "long_conv: " + std::to_string(L) + " tokens, want at most 2^30");
  }
  want_shape("long_conv", "h", op.h, {op.h.extent[0], D});
  want_shape_or_empty("long_conv", "skip", op.skip, {D});
  want_shape_or_empty("long_conv", "gate", op.gate, {L, D});
  want_shape("long_conv", "y", op.y, {L, D});
}
template void check(const BasicLongConv<float>&);
template void check(const BasicLongConv<bf16>&);

template <class Y>
void check(const LongConvSet<Y>& set) {
  check(set.op);
  for (Index i = 0; i < set.sequences.on_host.extent[0]; ++i) {
    const SequenceRows& rows = set.sequences.on_host.data[i];
    if (rows.begin < 0 || rows.end < rows.begin || rows.end > set.op.u.extent[0]) {
      fail(Fault::shape, "long_conv: a sequence of rows " + std::to_string(rows.begin) + " to " +
                             std::to_string(rows.end) + ", want rows of " +
                             std::to_string(set.op.u.extent[0]));
    }
  }
}
template void check(const LongConvSet<float>&);
template void check(const LongConvSet<bf16>&);

void run(Reference&, const LongConv& op) {
  const auto [L, D] = op.u.extent;
  const Index K = op.h.extent[0];
  std::vector<double> u(static_cast<std::size_t>(L));
  for (Index d = 0; d < D; ++d) {
    for (Index t = 0; t < L; ++t) u[static_cast<std::size_t>(t)] = op.u.row(t)[d];
    for (Index t = 0; t < L; ++t) {
      double c = op.skip.empty() ? 0.0 : op.skip.data[d] * u[static_cast<std::size_t>(t)];
      for (Index i = 0; i < std::min(t + 1, K); ++i) {
        c += op.h.row(i)[d] * u[static_cast<std::size_t>(t - i)];
      }
      op.y.row(t)[d] = static_cast<float>(op.gate.empty() ? c : c * op.gate.row(t)[d]);
    }
  }
}

Index long_conv_transform(Index L) {
  Index best = 1;
  while (best < L) best *= 2;
  for (const Index odd : {3, 5, 9, 15}) {
    Index m = odd;
    while (m < L) m *= 2;
    best = std::min(best, m);
  }
  return best;
}

}  // namespace genossm
