#include "libgenossm/tasks/spectrum.h"

#include <Eigen/Eigenvalues>
#include <algorithm>

#include "libgenossm/tasks/gram.h"

namespace genossm {
namespace {

constexpr Index kSample = 768;   // rows
constexpr Index kCount = 384;    // directions: of the later half of the sample's, little is known
constexpr Index kColumns = 256;  // of one task

}  // namespace

Spectrum sampled_spectrum(const RowMatrix& z, Cpu& cpu) {
  const Index step = std::max<Index>(1, z.rows() / kSample);
  const Index sampled = (z.rows() + step - 1) / step;
  RowMatrix some(sampled, z.cols());
  for (Index r = 0; r < sampled; ++r) some.row(r) = z.row(r * step);
  const Matrix products = kernel(some, cpu);
  const Eigen::SelfAdjointEigenSolver<Matrix> solver(products);
  const double scale = static_cast<double>(z.rows()) / static_cast<double>(sampled);
  Spectrum out;
  // Ascending there. Directions of no length cannot be normalised.
  const Vector& values = solver.eigenvalues();
  Index count = std::min(kCount, sampled);
  while (count > 0 && values[sampled - count] <= 1e-6 * values[sampled - 1]) --count;
  out.values = scale * values.tail(count).reverse();
  const Vector roots = values.tail(count).reverse().cwiseSqrt().cwiseInverse();
  const Matrix mix =
      solver.eigenvectors().rightCols(count).rowwise().reverse() * roots.asDiagonal();
  out.directions.resize(z.cols(), count);
  cpu.for_each((z.cols() + kColumns - 1) / kColumns, [&](Index part) {
    const Index begin = part * kColumns, width = std::min(kColumns, z.cols() - begin);
    out.directions.middleRows(begin, width).noalias() =
        some.middleCols(begin, width).transpose().cast<double>() * mix;
  });
  const double left = scale * products.trace() - out.values.sum();
  out.rest = std::max(left, 0.0) / static_cast<double>(std::max<Index>(z.cols() - count, 1));
  return out;
}

}  // namespace genossm
