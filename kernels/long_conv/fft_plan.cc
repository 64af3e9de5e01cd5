#include "kernels/long_conv/fft_plan.h"

#include <cmath>
#include <numbers>

namespace genossm {

Circle::Circle(Index turns) : turns_(turns) {
  while ((Index{1} << (2 * bits_)) < turns) ++bits_;
  const auto exact = [&](Index e) {
    const double angle =
        -2 * std::numbers::pi * static_cast<double>(e) / static_cast<double>(turns);
    return std::pair(std::cos(angle), std::sin(angle));
  };
  const Index low = Index{1} << bits_, high = (turns >> bits_) + 1;
  for (Index i = 0; i < low; ++i) low_.push_back(exact(i));
  for (Index i = 0; i < high; ++i) high_.push_back(exact(i << bits_));
}

FftPlan FftPlan::make(Index size) {
  FftPlan plan;
  plan.size = size;
  const Circle circle(size);
  plan.twiddles.reserve(static_cast<std::size_t>(4 * size));
  for (Index n = size; n > 1;) {
    // Odd radices first: the stages of four then work on powers of two.
    const Index radix = n % 5 == 0 ? 5 : n % 3 == 0 ? 3 : n % 4 == 0 ? 4 : 2;
    const Index q = n / radix;
    plan.stages.push_back({radix, q, plan.twiddles.size()});
    for (Index j = 0; j < q; ++j) {
      for (Index r = 1; r < radix; ++r) {
        const auto [c, s] = circle.point(j * r % n * (size / n));
        plan.twiddles.push_back(static_cast<float>(c));
        plan.twiddles.push_back(static_cast<float>(s));
      }
    }
    n = q;
  }
  if (plan.stages.empty()) return plan;
  const auto [radix, q, unused] = plan.stages.front();
  const Circle quarters(4 * size), ends(4 * radix);
  for (Index r = 0; r < radix; ++r) {
    const auto [c, s] = ends.point(r);
    plan.turns.push_back(static_cast<float>(c));
    plan.turns.push_back(static_cast<float>(-s));
  }
  for (Index j = 0; j < q; ++j) {
    for (Index r = 0; r < radix; ++r) {
      const auto [c, s] = quarters.point((4 * j * r - j + 4 * size) % (4 * size));
      plan.first.push_back(static_cast<float>(c));
      plan.first.push_back(static_cast<float>(s));
    }
  }
  return plan;
}

std::vector<Index> FftPlan::frequencies() const {
  std::vector<Index> out(static_cast<std::size_t>(size));
  for (Index k = 0; k < size; ++k) {
    // A stage of radix r puts the frequencies that leave s on division by r into its block s.
    Index rest = k, place = 0;
    for (const Stage& stage : stages) {
      place += rest % stage.radix * stage.quotient;
      rest /= stage.radix;
    }
    out[static_cast<std::size_t>(place)] = k;
  }
  return out;
}

}  // namespace genossm
