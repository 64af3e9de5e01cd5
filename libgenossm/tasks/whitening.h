// Whitening: coordinates in which a penalised linear loss curves about equally in all directions.
// Private to the fitting of heads.
#pragma once

#include <cmath>

#include "libgenossm/tasks/algebra.h"

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
  // The diagonal alone, of standardised columns: for spaces too large for a factorisation.
  Whitening(Index columns, double rows, double c, double l2)
      : columns_(columns), bias_(std::sqrt(c * rows)), diagonal_(std::sqrt(c * rows + l2)) {}

  Vector to_x(Vector u) const {
    each(
        u, [&](auto w) { triangle_.transpose().triangularView<Eigen::Upper>().solveInPlace(w); },
        [](double& v, double t) { v /= t; });
    return u;
  }
  Vector to_u(Vector x) const {
    each(
        x, [&](auto w) { w = triangle_.transpose().triangularView<Eigen::Upper>() * w.eval(); },
        [](double& v, double t) { v *= t; });
    return x;
  }
  // The gradient by u, of the gradient by x.
  void pull(Vector& gradient) const {
    each(
        gradient, [&](auto w) { triangle_.triangularView<Eigen::Lower>().solveInPlace(w); },
        [](double& v, double t) { v /= t; });
  }

 private:
  void each(Vector& v, auto&& on_weights, auto&& scale) const {
    const Index logits = v.size() / (columns_ + 1), n = logits * columns_;
    if (diagonal_ == 0) {
      on_weights(Eigen::Map<Matrix>(v.data(), columns_, logits));
    } else {
      for (Index i = 0; i < n; ++i) scale(v[i], diagonal_);
    }
    for (Index j = 0; j < logits; ++j) scale(v[n + j], bias_);
  }

  Index columns_;
  double bias_;
  double diagonal_ = 0;  // 0: triangle_ instead
  Matrix triangle_;
};

}  // namespace genossm
