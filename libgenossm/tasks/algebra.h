// Eigen, on the calling thread alone. Private to the fitting of heads: no public header includes
// it.
#pragma once

#define EIGEN_DONT_PARALLELIZE
#include <Eigen/Cholesky>
#include <Eigen/Core>

#include "kernels/core/view.h"

namespace genossm {

using Vector = Eigen::VectorXd;
using Matrix = Eigen::MatrixXd;  // column-major
// Rows of features: row-major float, as they come.
using RowMatrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

}  // namespace genossm
