// Whitening: coordinates in which a penalised linear loss curves about equally in all directions.
// Private to the fitting of heads.
#pragma once

#include <cmath>

#include "libgenossm/tasks/algebra.h"
#include "libgenossm/tasks/spectrum.h"

namespace genossm {

// u = T^T x with T T^T = H, the curvature that the loss would have if every row had the same
// p (1 - p) = c: c Z^T Z + l2 I for the weights of a logit, c rows for its bias. Features of a
// network are nearly collinear, and descent in x would take hundreds of steps where descent in u
// takes tens.
class Whitening {
 public:
  // gram: Z^T Z of all rows.
  Whitening(const Matrix& gram, double rows, double c, double l2)
      : columns_(gram.rows()), bias_(std::sqrt(c * rows)) {
    Matrix h = c * gram;
    h.diagonal().array() += l2;
    triangle_ = h.llt().matrixL();
  }
  // For spaces too large for a factorisation: the curvature along the directions of a Spectrum, and
  // the mean of what is left along all others. T is the symmetric root.
  Whitening(const Spectrum& spectrum, double rows, double c, double l2)
      : columns_(spectrum.directions.rows()),
        bias_(std::sqrt(c * rows)),
        spectrum_(&spectrum),
        rest_(std::sqrt(c * spectrum.rest + l2)),
        roots_((c * spectrum.values.array() + l2).sqrt()) {}

  Vector to_x(Vector u) const {
    each(
        u, [&](auto w) { triangle_.transpose().triangularView<Eigen::Upper>().solveInPlace(w); },
        -1);
    return u;
  }
  Vector to_u(Vector x) const {
    each(
        x, [&](auto w) { w = triangle_.transpose().triangularView<Eigen::Upper>() * w.eval(); }, 1);
    return x;
  }
  // The gradient by u, of the gradient by x.
  void pull(Vector& gradient) const {
    each(
        gradient, [&](auto w) { triangle_.triangularView<Eigen::Lower>().solveInPlace(w); }, -1);
  }

 private:
  // power: 1 for T, -1 for its inverse.
  void each(Vector& v, auto&& by_triangle, int power) const {
    const Index logits = v.size() / (columns_ + 1), n = logits * columns_;
    Eigen::Map<Matrix> weights(v.data(), columns_, logits);
    if (spectrum_ == nullptr) {
      by_triangle(weights);
    } else {
      const auto raised = [power](auto&& root) { return power > 0 ? root : 1 / root; };
      const Vector extra = roots_.unaryExpr(raised).array() - raised(rest_);
      const Matrix along = extra.asDiagonal() * (spectrum_->directions.transpose() * weights);
      weights *= raised(rest_);
      weights.noalias() += spectrum_->directions * along;
    }
    for (Index j = 0; j < logits; ++j) v[n + j] *= power > 0 ? bias_ : 1 / bias_;
  }

  Index columns_;
  double bias_;
  Matrix triangle_;  // without a spectrum
  const Spectrum* spectrum_ = nullptr;
  double rest_ = 0;
  Vector roots_;
};

}  // namespace genossm
