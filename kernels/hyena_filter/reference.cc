#include <cmath>
#include <vector>

#include "kernels/core/shapes.h"
#include "kernels/hyena_filter/hyena_filter.h"

namespace genossm {

void check(const HyenaTrunk& op) {
  const Index L = op.z.extent[0], E = op.z.extent[1], H = op.freq.extent[0];
  const Index M = op.w.extent[0];
  want_shape("hyena_trunk", "w0", op.w0, {E, H});
  want_shape("hyena_trunk", "b0", op.b0, {H});
  want_shape("hyena_trunk", "w", op.w, {M, H, H});
  want_shape("hyena_trunk", "b", op.b, {M, H});
  want_shape("hyena_trunk", "a", op.a, {L, H});
}

void check(const HyenaTaps& op) {
  const auto [L, H] = op.a.extent;
  const Index D = op.deltas.extent[0];
  want_shape("hyena_taps", "w", op.w, {H, D});
  want_shape("hyena_taps", "time", op.time, {L});
  want_shape("hyena_taps", "h", op.h, {L, D});
}

void run(Reference&, const HyenaTrunk& op) {
  const Index L = op.z.extent[0], E = op.z.extent[1], H = op.freq.extent[0];
  for (Index t = 0; t < L; ++t) {
    std::vector<double> in(op.z.row(t), op.z.row(t) + E);
    for (Index layer = -1; layer < op.w.extent[0]; ++layer) {
      const View<const float, 2> w =
          layer < 0 ? op.w0 : View<const float, 2>(op.w.row(layer), {H, H}, {op.w.stride[1], 1});
      const float* b = layer < 0 ? op.b0.data : op.b.row(layer);
      std::vector<double> out(static_cast<std::size_t>(H));
      for (Index h = 0; h < H; ++h) {
        double sum = b[h];
        for (std::size_t i = 0; i < in.size(); ++i) sum += in[i] * w.row(static_cast<Index>(i))[h];
        out[static_cast<std::size_t>(h)] = std::sin(op.freq.data[h] * sum);
      }
      in = std::move(out);
    }
    for (Index h = 0; h < H; ++h) {
      op.a.row(t)[h] = static_cast<float>(in[static_cast<std::size_t>(h)]);
    }
  }
}

void run(Reference&, const HyenaTaps& op) {
  const auto [L, H] = op.a.extent;
  for (Index t = 0; t < L; ++t) {
    for (Index d = 0; d < op.deltas.extent[0]; ++d) {
      double sum = 0;
      for (Index i = 0; i < H; ++i) sum += static_cast<double>(op.a.row(t)[i]) * op.w.row(i)[d];
      const double decay = std::exp(-static_cast<double>(op.time.data[t * op.time.stride[0]]) *
                                    std::abs(op.deltas.data[d]));
      op.h.row(t)[d] = static_cast<float>(sum * (decay + static_cast<double>(op.shift)));
    }
  }
}

}  // namespace genossm
