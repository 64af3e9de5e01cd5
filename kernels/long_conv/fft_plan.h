// FftPlan: radices and twiddles of a complex transform; the same for every instruction set.
#pragma once

#include <vector>

#include "kernels/core/view.h"

namespace genossm {

struct FftPlan {
  struct Stage {
    Index radix = 0;
    Index quotient = 0;  // the stage works on blocks of radix * quotient elements
    std::size_t twiddles = 0;
  };
  Index size = 1;
  std::vector<Stage> stages;
  // exp(-2 pi i j r / (radix quotient)) for j in [0, quotient), r in [1, radix): re, im; computed
  // in double.
  std::vector<float> twiddles;

  // `size` is a product of 2, 3 and 5.
  static FftPlan make(Index size);
  // Where frequency k stands in the result of a forward transform.
  std::vector<Index> places() const;
};

}  // namespace genossm
