// Ranking: rows by one score, and the areas that follow from their order. Private to the metrics.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/core/view.h"

namespace genossm {

// Two areas for one class against all others; NaN where it, or all others, has no row.
struct Areas {
  double roc = 0;        // ties count one half
  double precision = 0;  // average precision, over distinct scores
};

// Sorted once, so that a resample costs one pass.
class Ranking {
 public:
  // score(i) of row i; positive(i): of the class.
  Ranking() = default;
  Ranking(Index rows, auto&& score, auto&& positive) {
    order_.resize(static_cast<std::size_t>(rows));
    std::vector<double> scores(order_.size());
    for (std::size_t i = 0; i < order_.size(); ++i) scores[i] = score(i);
    sort(scores);
    for (Step& step : order_) step.positive = positive(step.row);
  }

  // Row i counts times[i] times.
  Areas areas(const std::vector<std::uint32_t>& times) const;

 private:
  struct Step {
    std::uint32_t row = 0;
    bool positive = false;
    bool last_of_tie = false;
  };

  void sort(const std::vector<double>& scores);

  std::vector<Step> order_;  // largest score first
};

}  // namespace genossm
