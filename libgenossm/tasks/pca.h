// Principal components: the two directions along which rows differ most.
#pragma once

#include <vector>

#include "kernels/core/view.h"

namespace genossm {

struct Components {
  // Of each row, [n] each: the row less the mean of all, along the first and the second direction.
  std::vector<double> first, second;
  // Of the whole variance, 0 to 1.
  double first_share = 0, second_share = 0;
};

// rows [n, D], finite, n and D at least 1. A direction points to where its largest coordinate (the
// first of equals) is positive, so that the same rows always give the same picture. Sums and
// eigenvectors in double; time grows with the smaller of n and D cubed.
Components principal_components(View<const float, 2> rows);

}  // namespace genossm
