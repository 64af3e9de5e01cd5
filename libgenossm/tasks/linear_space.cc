#include "libgenossm/tasks/linear_space.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "libgenossm/tasks/gram.h"

namespace genossm {
namespace {

// Part of the mean squared row length that is added to the kernel's diagonal: centred rows, and
// rows that occur twice, leave it singular.
constexpr double kRidge = 1e-8;

}  // namespace

LinearSpace::LinearSpace(const FeatureTable& features, const Folds& folds, Cpu& cpu)
    : standardizer_(Standardizer::fit(features, cpu)),
      order_(static_cast<std::size_t>(features.rows)),
      begin_{0},
      z_(features.rows, features.columns) {
  std::iota(order_.begin(), order_.end(), Index{0});
  if (folds.count > 0) {
    const auto fold_of = [&](Index i) { return folds.fold[static_cast<std::size_t>(i)]; };
    std::stable_sort(order_.begin(), order_.end(),
                     [&](Index a, Index b) { return fold_of(a) < fold_of(b); });
    for (Index f = 0; f < folds.count; ++f) {
      begin_.push_back(begin_.back() + std::count(folds.fold.begin(), folds.fold.end(), f));
    }
  }
  cpu.for_each(features.rows, [&](Index r) {
    standardizer_.apply(features.row(order_[static_cast<std::size_t>(r)]), z_.row(r).data());
  });
  if (rows() < dimensions() && rows() <= kDenseDimensions) reduce(cpu);
}

void LinearSpace::reduce(Cpu& cpu) {
  Matrix products = kernel(z_, cpu);
  const double mean = products.trace() / static_cast<double>(rows());
  if (mean <= 0) return;  // every column is constant
  products.diagonal().array() += kRidge * mean;
  triangle_ = products.llt().matrixL();
  full_ = std::exchange(z_, triangle_.cast<float>());
}

Vector LinearSpace::on_columns(const Vector& weights) const {
  if (full_.size() == 0) return weights;
  const Vector dual = triangle_.transpose().triangularView<Eigen::Upper>().solve(weights);
  Vector out = Vector::Zero(full_.cols());
  for (Index r = 0; r < full_.rows(); ++r) out += dual[r] * full_.row(r).transpose().cast<double>();
  return out;
}

}  // namespace genossm
