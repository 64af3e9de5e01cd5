#include "kernels/long_conv/fft_plan.h"

#include <cmath>
#include <numbers>

namespace genossm {

FftPlan FftPlan::make(Index size) {
  FftPlan plan;
  plan.size = size;
  for (Index n = size; n > 1;) {
    // Odd radices first: the stages of four then work on powers of two.
    const Index radix = n % 5 == 0 ? 5 : n % 3 == 0 ? 3 : n % 4 == 0 ? 4 : 2;
    const Index q = n / radix;
    plan.stages.push_back({radix, q, plan.twiddles.size()});
    for (Index j = 0; j < q; ++j) {
      for (Index r = 1; r < radix; ++r) {
        const double turn = -2 * std::numbers::pi * static_cast<double>(j * r % n);
        plan.twiddles.push_back(static_cast<float>(std::cos(turn / static_cast<double>(n))));
        plan.twiddles.push_back(static_cast<float>(std::sin(turn / static_cast<double>(n))));
      }
    }
    n = q;
  }
  return plan;
}

std::vector<Index> FftPlan::places() const {
  std::vector<Index> out(static_cast<std::size_t>(size));
  for (Index k = 0; k < size; ++k) {
    // A stage of radix r puts the frequencies that leave s on division by r into its block s.
    Index rest = k, place = 0;
    for (const Stage& stage : stages) {
      place += rest % stage.radix * stage.quotient;
      rest /= stage.radix;
    }
    out[static_cast<std::size_t>(k)] = place;
  }
  return out;
}

}  // namespace genossm
