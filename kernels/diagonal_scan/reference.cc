#include <complex>
#include <vector>

#include "kernels/core/shapes.h"
#include "kernels/diagonal_scan/diagonal_scan.h"

namespace genossm {

template <class T>
void check(const BasicDiagonalScan<T>& op) {
  const auto [L, D] = op.u.extent;
  const Index N = op.poles.extent[0], Q = op.poles.extent[1];
  if (N < 1) fail(Fault::shape, "diagonal_scan: 0 states, want 1 or more");
  if (Q != 1 && Q != 2) {
    fail(Fault::shape, "diagonal_scan: poles of " + std::to_string(Q) + " parts, want 1 or 2");
  }
  want_shape("diagonal_scan", "poles", op.poles, {N, Q, D});
  want_shape_or_empty("diagonal_scan", "poles_low", op.poles_low, {N, Q, D});
  want_shape("diagonal_scan", "residues", op.residues, {N, Q, D});
  want_shape_or_empty("diagonal_scan", "skip", op.skip, {D});
  want_shape_or_empty("diagonal_scan", "gate", op.gate, {L, D});
  want_shape("diagonal_scan", "h", op.h, {N, Q, D});
  want_shape("diagonal_scan", "y", op.y, {L, D});
}
template void check(const BasicDiagonalScan<float>&);
template void check(const BasicDiagonalScan<bf16>&);

namespace {

using Complex = std::complex<double>;

Complex at(View<const float, 3> v, Index n, Index d) {
  if (v.empty()) return 0;
  const float* re = v.row(n) + d;
  return {re[0], v.extent[1] == 2 ? re[v.stride[1]] : 0.0f};
}

// Complex numbers in the standard library multiply with checks that are not in the formula.
Complex times(Complex a, Complex b) {
  return {a.real() * b.real() - a.imag() * b.imag(), a.real() * b.imag() + a.imag() * b.real()};
}

}  // namespace

void run(Reference&, const DiagonalScan& op) {
  const auto [L, D] = op.u.extent;
  const Index N = op.poles.extent[0];
  std::vector<Complex> h(static_cast<std::size_t>(N));
  for (Index d = 0; d < D; ++d) {
    for (Index n = 0; n < N; ++n) h[static_cast<std::size_t>(n)] = at(op.h, n, d);
    for (Index t = 0; t < L; ++t) {
      const double u = op.u.row(t)[d];
      double y = op.skip.empty() ? 0.0 : op.skip.data[d] * u;
      for (Index n = 0; n < N; ++n) {
        const Complex pole = at(op.poles, n, d) + at(op.poles_low, n, d);
        Complex& state = h[static_cast<std::size_t>(n)];
        state = times(pole, state) + u;
        y += times(at(op.residues, n, d), state).real();
      }
      op.y.row(t)[d] = static_cast<float>(op.gate.empty() ? y : y * op.gate.row(t)[d]);
    }
    for (Index n = 0; n < N; ++n) {
      float* out = op.h.row(n) + d;
      out[0] = static_cast<float>(h[static_cast<std::size_t>(n)].real());
      if (op.h.extent[1] == 2) {
        out[op.h.stride[1]] = static_cast<float>(h[static_cast<std::size_t>(n)].imag());
      }
    }
  }
}

}  // namespace genossm
