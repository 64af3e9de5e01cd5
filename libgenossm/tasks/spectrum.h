// The directions in which wide feature rows vary most. Private to the fitting of heads.
#pragma once

#include "kernels/core/cpu.h"
#include "libgenossm/tasks/algebra.h"

namespace genossm {

// Z^T Z is about directions diag(values) directions^T, and `rest` along everything else.
struct Spectrum {
  Matrix directions;  // [columns, count], orthonormal
  Vector values;      // [count], descending
  double rest = 0;    // mean of the values left out
};

// From a sample of the rows, evenly spaced (Nystrom's method): good enough to choose coordinates
// by, and never used for anything else.
Spectrum sampled_spectrum(const RowMatrix& z, Cpu& cpu);

}  // namespace genossm
