#include "libgenossm/tasks/folds.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <unordered_map>

#include "kernels/core/error.h"
#include "libgenossm/tasks/random_stream.h"

namespace genossm {
namespace {

// Rows that share a fold, and the class that they count for.
struct Unit {
  std::vector<Index> rows;
  std::int32_t label = 0;
};

std::int32_t commonest(const std::vector<Index>& rows, std::span<const std::int32_t> labels) {
  if (labels.empty()) return 0;
  std::unordered_map<std::int32_t, Index> counts;
  std::int32_t best = labels[static_cast<std::size_t>(rows.front())];
  for (const Index row : rows) {
    const std::int32_t label = labels[static_cast<std::size_t>(row)];
    const Index count = ++counts[label];
    const Index most = counts[best];
    if (count > most || (count == most && label < best)) best = label;
  }
  return best;
}

// In order of first appearance.
std::vector<Unit> units_of(Index rows, std::span<const std::int32_t> labels,
                           std::span<const Index> groups) {
  std::vector<Unit> units;
  std::unordered_map<Index, std::size_t> place;
  for (Index i = 0; i < rows; ++i) {
    const Index group = groups.empty() ? i : groups[static_cast<std::size_t>(i)];
    const auto [at, is_new] = place.try_emplace(group, units.size());
    if (is_new) units.emplace_back();
    units[at->second].rows.push_back(i);
  }
  for (Unit& unit : units) unit.label = commonest(unit.rows, labels);
  return units;
}

std::vector<Index> rows_where(const std::vector<Index>& fold, auto&& wanted) {
  std::vector<Index> out;
  for (std::size_t i = 0; i < fold.size(); ++i) {
    if (wanted(fold[i])) out.push_back(static_cast<Index>(i));
  }
  return out;
}

}  // namespace

std::vector<Index> Folds::rows_of(Index f) const {
  return rows_where(fold, [f](Index g) { return g == f; });
}
std::vector<Index> Folds::rows_without(Index f) const {
  return rows_where(fold, [f](Index g) { return g != f; });
}

Folds make_folds(Index rows, std::span<const std::int32_t> labels, std::span<const Index> groups,
                 Index count, std::uint64_t seed) {
  require(count >= 2 || count == kLeaveOneOut, Fault::usage,
          "folds: " + std::to_string(count) + ", want 2 or more, or leave-one-out");
  const auto fits = [rows](std::size_t size) {
    return size == 0 || static_cast<Index>(size) == rows;
  };
  require(fits(labels.size()) && fits(groups.size()), Fault::input,
          "folds: the numbers of rows, labels and groups differ");
  std::vector<Unit> units = units_of(rows, labels, groups);
  const auto n = static_cast<Index>(units.size());
  require(n >= 2, Fault::input,
          "folds: " + std::to_string(rows) + " rows in " + std::to_string(n) +
              " groups cannot be split, want two groups or more");
  Folds out;
  out.fold.assign(static_cast<std::size_t>(rows), 0);
  out.count = count == kLeaveOneOut ? n : std::min(count, n);
  if (count == kLeaveOneOut) {
    for (Index u = 0; u < n; ++u) {
      for (const Index row : units[static_cast<std::size_t>(u)].rows) {
        out.fold[static_cast<std::size_t>(row)] = u;
      }
    }
    return out;
  }
  RandomStream(seed, 0).shuffle(units);
  // Large groups first: the small ones then fill what they leave.
  std::stable_sort(units.begin(), units.end(),
                   [](const Unit& a, const Unit& b) { return a.rows.size() > b.rows.size(); });
  const auto K = static_cast<std::size_t>(out.count);
  std::unordered_map<std::int32_t, std::vector<Index>> of_class;
  std::vector<Index> total(K, 0);
  for (const Unit& unit : units) {
    std::vector<Index>& own = of_class.try_emplace(unit.label, K, 0).first->second;
    std::size_t best = 0;
    for (std::size_t f = 1; f < K; ++f) {
      if (std::pair(own[f], total[f]) < std::pair(own[best], total[best])) best = f;
    }
    own[best] += static_cast<Index>(unit.rows.size());
    total[best] += static_cast<Index>(unit.rows.size());
    for (const Index row : unit.rows) {
      out.fold[static_cast<std::size_t>(row)] = static_cast<Index>(best);
    }
  }
  return out;
}

std::vector<bool> hold_out(std::span<const std::int32_t> labels, double fraction,
                           std::uint64_t seed) {
  std::vector<std::size_t> order(labels.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  RandomStream(seed, 1).shuffle(order);
  std::unordered_map<std::int32_t, Index> left;
  for (const std::int32_t label : labels) ++left[label];
  for (auto& [label, count] : left) {
    const Index part = std::llround(fraction * static_cast<double>(count));
    count = count < 2 ? 0 : std::clamp<Index>(part, 1, count - 1);
  }
  std::vector<bool> out(labels.size(), false);
  for (const std::size_t i : order) {
    if (left[labels[i]]-- > 0) out[i] = true;
  }
  return out;
}

}  // namespace genossm
