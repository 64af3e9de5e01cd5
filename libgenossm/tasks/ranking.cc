#include "libgenossm/tasks/ranking.h"

#include <algorithm>
#include <limits>

namespace genossm {

void Ranking::sort(const std::vector<double>& scores) {
  for (std::size_t i = 0; i < order_.size(); ++i) order_[i].row = static_cast<std::uint32_t>(i);
  std::stable_sort(order_.begin(), order_.end(),
                   [&](const Step& a, const Step& b) { return scores[a.row] > scores[b.row]; });
  for (std::size_t i = 0; i < order_.size(); ++i) {
    order_[i].last_of_tie =
        i + 1 == order_.size() || scores[order_[i].row] != scores[order_[i + 1].row];
  }
}

Areas Ranking::areas(const std::vector<std::uint32_t>& times) const {
  std::uint64_t taken[2] = {0, 0};  // others, positives with a larger score
  std::uint64_t tied[2] = {0, 0};
  double roc = 0, precision = 0;
  for (const Step& step : order_) {
    tied[step.positive ? 1 : 0] += times[step.row];
    if (!step.last_of_tie) continue;
    const auto p = static_cast<double>(tied[1]), q = static_cast<double>(tied[0]);
    const auto before = static_cast<double>(taken[1]);
    roc += q * (before + 0.5 * p);
    if (tied[1] > 0)
      precision += p * (before + p) / (before + p + static_cast<double>(taken[0]) + q);
    for (const int side : {0, 1}) {
      taken[side] += tied[side];
      tied[side] = 0;
    }
  }
  if (taken[0] == 0 || taken[1] == 0) {
    return {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::quiet_NaN()};
  }
  const auto P = static_cast<double>(taken[1]), N = static_cast<double>(taken[0]);
  return {roc / (P * N), precision / P};
}

}  // namespace genossm
