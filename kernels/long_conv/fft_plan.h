// Circle: roots of unity. FftPlan: radices and twiddles of a complex transform; the same for every
// instruction set.
#pragma once

#include <utility>
#include <vector>

#include "kernels/core/view.h"

namespace genossm {

// exp(-2 pi i e / turns) for any e in [0, turns), as a product of two entries of small tables: one
// sine costs as much as twenty products.
class Circle {
 public:
  explicit Circle(Index turns);
  std::pair<double, double> point(Index e) const {
    const auto [a, b] = high_[static_cast<std::size_t>(e >> bits_)];
    const auto [c, s] = low_[static_cast<std::size_t>(e & ((Index{1} << bits_) - 1))];
    return {a * c - b * s, a * s + b * c};
  }
  Index turns() const { return turns_; }

 private:
  Index turns_;
  int bits_ = 0;
  std::vector<std::pair<double, double>> low_, high_;
};

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
  // For samples i that are turned by exp(i pi i / 2 size) on their way: what the R-ths of the input
  // are turned by, exp(pi i r / 2 R), and the twiddles of the first stage with the rest of it,
  // exp(-2 pi i j (r - 1/4) / size) for j in [0, quotient), r in [0, R).
  std::vector<float> turns, first;

  // `size` is a product of 2, 3 and 5.
  static FftPlan make(Index size);
  // Which frequency stands at each place of the result of a forward transform.
  std::vector<Index> frequencies() const;
};

}  // namespace genossm
