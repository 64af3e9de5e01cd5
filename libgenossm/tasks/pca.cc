#include "libgenossm/tasks/pca.h"

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>

#include "libgenossm/tasks/algebra.h"

namespace genossm {
namespace {

// Towards where its largest coordinate is positive. Equal up to rounding counts as equal.
void orient(Vector& direction) {
  const double largest = direction.cwiseAbs().maxCoeff();
  for (Index i = 0; i < direction.size(); ++i) {
    if (std::abs(direction[i]) < largest * (1 - 1e-9)) continue;
    if (direction[i] < 0) direction = -direction;
    return;
  }
}

}  // namespace

Components principal_components(View<const float, 2> rows) {
  const auto [n, D] = rows.extent;
  Matrix x(n, D);
  for (Index i = 0; i < n; ++i) {
    for (Index j = 0; j < D; ++j) x(i, j) = double{rows.row(i)[j]};
  }
  x.rowwise() -= x.colwise().mean().eval();
  const double variance = x.squaredNorm();
  Components out;
  out.first.assign(static_cast<std::size_t>(n), 0.0);
  out.second = out.first;
  if (!(variance > 0)) return out;  // all rows are the same
  // The smaller of the two products has the same eigenvalues.
  const bool by_rows = n < D;
  const Matrix product = by_rows ? Matrix(x * x.transpose()) : Matrix(x.transpose() * x);
  const Eigen::SelfAdjointEigenSolver<Matrix> solver(product);
  const Index size = product.rows();
  for (Index k = 0; k < std::min<Index>(2, size); ++k) {
    const double value = solver.eigenvalues()[size - 1 - k];  // ascending there
    if (!(value > 1e-12 * variance)) break;
    Vector direction = solver.eigenvectors().col(size - 1 - k);
    if (by_rows) direction = (x.transpose() * direction).normalized();
    orient(direction);
    const Vector along = x * direction;
    std::copy(along.begin(), along.end(), (k == 0 ? out.first : out.second).begin());
    (k == 0 ? out.first_share : out.second_share) = value / variance;
  }
  return out;
}

}  // namespace genossm
