#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "kernels/core/shapes.h"
#include "kernels/selective_scan/selective_scan.h"

namespace genossm {
namespace {

double silu(double v) { return v / (1 + std::exp(-v)); }
double softplus(double v) { return v > 20 ? v : std::log1p(std::exp(v)); }

// All but the carry.
template <class T>
void check_rows(const BasicSelectiveScan<T>& op) {
  const auto [L, D] = op.u.extent;
  const Index N = op.A.extent[0], G = op.B.extent[1];
  if (N < 1) fail(Fault::shape, "selective_scan: no states, want at least 1");
  want_shape("selective_scan", "dt", op.dt, {L, D});
  want_shape_or_empty("selective_scan", "dt_bias", op.dt_bias, {D});
  want_shape("selective_scan", "A", op.A, {N, D});
  want_shape("selective_scan", "B", op.B, {L, G, N});
  want_shape("selective_scan", "C", op.C, {L, G, N});
  want_shape_or_empty("selective_scan", "skip", op.skip, {D});
  want_shape_or_empty("selective_scan", "z", op.z, {L, D});
  want_shape("selective_scan", "y", op.y, {L, D});
  if (G < 1 || D % G != 0) {
    fail(Fault::shape, "selective_scan: " + std::to_string(D) + " channels in " +
                           std::to_string(G) + " groups, want a divisor");
  }
}

}  // namespace

template <class T>
void check(const BasicSelectiveScan<T>& op) {
  check_rows(op);
  want_shape("selective_scan", "h", op.h, {op.A.extent[0], op.u.extent[1]});
}

template void check(const BasicSelectiveScan<float>&);
template void check(const BasicSelectiveScan<bf16>&);

template <class T>
void check(const SelectiveScanSet<T>& set) {
  check_rows(set.op);
  require(set.states == nullptr || !set.reverse, Fault::shape,
          "selective_scan: states of a reverse direction");
}
template void check(const SelectiveScanSet<float>&);
template void check(const SelectiveScanSet<bf16>&);

void run(Reference&, const SelectiveScan& op) {
  const auto [L, D] = op.u.extent;
  const Index N = op.A.extent[0], per_group = D / op.B.extent[1];
  std::vector<double> h(static_cast<std::size_t>(N));
  for (Index d = 0; d < D; ++d) {
    for (Index n = 0; n < N; ++n) h[static_cast<std::size_t>(n)] = op.h.row(n)[d];
    for (Index t = 0; t < L; ++t) {
      const float* B = op.B.row(t) + d / per_group * op.B.stride[1];
      const float* C = op.C.row(t) + d / per_group * op.C.stride[1];
      const double u = op.u.row(t)[d];
      const double raw = op.dt.row(t)[d] + (op.dt_bias.empty() ? 0.0 : op.dt_bias.data[d]);
      const double step = op.softplus ? softplus(raw) : raw;
      double y = op.skip.empty() ? 0.0 : op.skip.data[d] * u;
      for (Index n = 0; n < N; ++n) {
        double& state = h[static_cast<std::size_t>(n)];
        state = std::exp(step * op.A.row(n)[d]) * state + step * u * B[n];
        y += state * C[n];
      }
      float& out = op.y.row(t)[d];
      if (op.accumulate && op.gate_sum) y += out;
      if (!op.z.empty()) y *= silu(op.z.row(t)[d]);
      if (op.accumulate && !op.gate_sum) y += out;
      out = static_cast<float>(y);
    }
    for (Index n = 0; n < N; ++n) {
      op.h.row(n)[d] = static_cast<float>(h[static_cast<std::size_t>(n)]);
    }
  }
}

}  // namespace genossm
