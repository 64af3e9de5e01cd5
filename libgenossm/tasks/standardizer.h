// Standardizer: each column minus its mean, divided by its standard deviation, as measured on the
// training rows.
#pragma once

#include <vector>

#include "kernels/core/cpu.h"
#include "libgenossm/tasks/features.h"

namespace genossm {

struct Standardizer {
  std::vector<double> mean, scale;  // [columns]

  // Mean and population standard deviation (division by rows), in double by two passes. A column
  // whose deviation is no more than rounding of its mean (1e-6 of the largest magnitude) counts as
  // constant and gets scale 1. Throws Fault::input for no rows.
  static Standardizer fit(const FeatureTable& features, Cpu& cpu);

  // out[c] = (row[c] - mean[c]) / scale[c], computed in double, rounded once.
  void apply(const float* row, float* out) const;
};

}  // namespace genossm
