#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/core/shapes.h"
#include "kernels/ssd/ssd.h"

namespace genossm {
namespace {

double silu(double v) { return v / (1 + std::exp(-v)); }
double softplus(double v) { return v > 20 ? v : std::log1p(std::exp(v)); }

}  // namespace

template <class T>
void check_all_but_state(const BasicSsd<T>& op) {
  const Index L = op.x.extent[0], HP = op.x.extent[1], H = op.A.extent[0];
  const Index G = op.B.extent[1], N = op.B.extent[2];
  if (H < 1 || HP % H != 0) {
    fail(Fault::shape, "ssd: " + std::to_string(HP) + " channels in " + std::to_string(H) +
                           " heads, want a divisor");
  }
  if (G < 1 || H % G != 0) {
    fail(Fault::shape, "ssd: " + std::to_string(H) + " heads in " + std::to_string(G) +
                           " groups, want a divisor");
  }
  if (N < 1) fail(Fault::shape, "ssd: no states, want at least 1");
  if (!(op.dt_min <= op.dt_max)) {
    fail(Fault::shape, "ssd: dt_min is " + std::to_string(op.dt_min) + ", want at most dt_max, " +
                           std::to_string(op.dt_max));
  }
  want_shape("ssd", "dt", op.dt, {L, H});
  want_shape_or_empty("ssd", "dt_bias", op.dt_bias, {H});
  want_shape("ssd", "B", op.B, {L, G, N});
  want_shape("ssd", "C", op.C, {L, G, N});
  want_shape_or_empty("ssd", "skip", op.skip, {HP});
  want_shape_or_empty("ssd", "z", op.z, {L, HP});
  want_shape_or_empty("ssd", "scale", op.scale, {H});
  want_shape("ssd", "y", op.y, {L, HP});
}

template <class T>
void check(const BasicSsd<T>& op) {
  check_all_but_state(op);
  const Index H = op.A.extent[0];
  want_shape("ssd", "h", op.h, {H, op.B.extent[2], op.x.extent[1] / H});
}
template void check(const BasicSsd<float>&);
template void check(const BasicSsd<bf16>&);

template <class T>
void check(const SsdSet<T>& set) {
  check_all_but_state(set.op);
}
template void check(const SsdSet<float>&);
template void check(const SsdSet<bf16>&);

void run(Reference&, const Ssd& op) {
  const Index L = op.x.extent[0], H = op.A.extent[0], P = op.x.extent[1] / H;
  const Index N = op.B.extent[2], per_group = H / op.B.extent[1];
  std::vector<double> h(static_cast<std::size_t>(N));
  for (Index c = 0; c < H * P; ++c) {
    const Index head = c / P;
    float* state = op.h.row(head) + c % P;
    const Index step_n = op.h.stride[1];
    const double scale = op.scale.empty() ? 1.0 : op.scale.data[head];
    for (Index n = 0; n < N; ++n) h[static_cast<std::size_t>(n)] = scale * state[n * step_n];
    for (Index t = 0; t < L; ++t) {
      const float* B = op.B.row(t) + head / per_group * op.B.stride[1];
      const float* C = op.C.row(t) + head / per_group * op.C.stride[1];
      const double x = op.x.row(t)[c];
      const double raw = op.dt.row(t)[head] + (op.dt_bias.empty() ? 0.0 : op.dt_bias.data[head]);
      const double step =
          std::clamp<double>(op.softplus ? softplus(raw) : raw, op.dt_min, op.dt_max);
      const double decay = std::exp(step * op.A.data[head]);
      double y = op.skip.empty() ? 0.0 : op.skip.data[c] * x;
      for (Index n = 0; n < N; ++n) {
        double& s = h[static_cast<std::size_t>(n)];
        s = decay * s + step * B[n] * x;
        y += C[n] * s;
      }
      if (!op.z.empty()) y *= silu(op.z.row(t)[c]);
      float& out = op.y.row(t)[c];
      out = static_cast<float>(op.accumulate ? out + y : y);
    }
    for (Index n = 0; n < N; ++n) {
      state[n * step_n] = static_cast<float>(h[static_cast<std::size_t>(n)]);
    }
  }
  if (!op.scale.empty()) std::fill_n(op.scale.data, H, 1.0f);
}

}  // namespace genossm
