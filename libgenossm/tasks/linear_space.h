// LinearSpace: the training rows as linear heads are fitted to them. Private to the fitting of
// heads.
#pragma once

#include <vector>

#include "kernels/core/cpu.h"
#include "libgenossm/tasks/algebra.h"
#include "libgenossm/tasks/features.h"
#include "libgenossm/tasks/folds.h"
#include "libgenossm/tasks/standardizer.h"

namespace genossm {

// Up to this many dimensions, matrices of dimensions squared are held and factorised.
inline constexpr Index kDenseDimensions = 2048;

// Rows are standardised and stand fold by fold, so that leaving one out copies nothing. With fewer
// rows than columns they are expressed in as many dimensions as there are rows: their kernel matrix
// is K = L L^T, and the rows of L have the same products with each other as the rows themselves. An
// L2 penalty depends on nothing else, so the solution is the same, for less.
class LinearSpace {
 public:
  // folds.count may be 0: all rows in one run.
  LinearSpace(const FeatureTable& features, const Folds& folds, Cpu& cpu);

  const RowMatrix& z() const { return z_; }  // [rows, dimensions], columns centred
  Index rows() const { return z_.rows(); }
  Index dimensions() const { return z_.cols(); }
  const Standardizer& standardizer() const { return standardizer_; }
  // z's row r is row order()[r] of the features.
  const std::vector<Index>& order() const { return order_; }
  // Fold f is rows [begin(f), begin(f + 1)) of z.
  Index begin(Index f) const { return begin_[static_cast<std::size_t>(f)]; }

  // Weights on the standardised columns for weights on the dimensions.
  Vector on_columns(const Vector& weights) const;

 private:
  void reduce(Cpu& cpu);

  Standardizer standardizer_;
  std::vector<Index> order_, begin_;
  RowMatrix z_;
  // Only where reduced: the standardised rows, and L.
  RowMatrix full_;
  Matrix triangle_;
};

}  // namespace genossm
