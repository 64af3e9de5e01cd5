// Gram matrices of feature rows. Private to the fitting of heads.
#pragma once

#include "kernels/core/cpu.h"
#include "libgenossm/tasks/algebra.h"

namespace genossm {

// Sum of z_i z_i^T over rows begin, begin + step, ... < end: [columns, columns], products and sums
// in double. Threads share out tiles of the result, so the bytes do not depend on their number.
Matrix gram(const RowMatrix& z, Index begin, Index end, Index step, Cpu& cpu);

// Z Z^T: [rows, rows], likewise.
Matrix kernel(const RowMatrix& z, Cpu& cpu);

}  // namespace genossm
