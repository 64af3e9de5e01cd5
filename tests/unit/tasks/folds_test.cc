#include "libgenossm/tasks/folds.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "kernels/core/error.h"

namespace genossm::testing {
namespace {

std::vector<std::int32_t> some_labels(Index n) {
  std::vector<std::int32_t> out;
  for (Index i = 0; i < n; ++i) out.push_back(i % 10 == 0 ? 2 : static_cast<std::int32_t>(i % 2));
  return out;
}

TEST(Folds, EveryClassIsSpreadEvenly) {
  const auto labels = some_labels(203);
  const Folds folds = make_folds(203, labels, {}, 5, 1);
  EXPECT_EQ(folds.count, 5);
  std::map<std::int32_t, std::vector<int>> counts;
  std::vector<int> total(5, 0);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    counts[labels[i]].resize(5);
    ++counts[labels[i]][static_cast<std::size_t>(folds.fold[i])];
    ++total[static_cast<std::size_t>(folds.fold[i])];
  }
  for (const auto& [label, per_fold] : counts) {
    const auto [low, high] = std::minmax_element(per_fold.begin(), per_fold.end());
    EXPECT_LE(*high - *low, 1);
  }
  const auto [low, high] = std::minmax_element(total.begin(), total.end());
  EXPECT_LE(*high - *low, 2);
  EXPECT_EQ(folds.rows_of(2).size() + folds.rows_without(2).size(), 203u);
}

TEST(Folds, SeedsDecide) {
  const auto labels = some_labels(100);
  EXPECT_EQ(make_folds(100, labels, {}, 5, 1).fold, make_folds(100, labels, {}, 5, 1).fold);
  EXPECT_NE(make_folds(100, labels, {}, 5, 1).fold, make_folds(100, labels, {}, 5, 2).fold);
}

TEST(Folds, GroupsStayTogether) {
  const auto labels = some_labels(120);
  std::vector<Index> groups;
  for (Index i = 0; i < 120; ++i) groups.push_back(i < 20 ? 7 : 100 + i / 3);
  const Folds folds = make_folds(120, labels, groups, 4, 3);
  std::map<Index, std::set<Index>> seen;
  for (std::size_t i = 0; i < 120; ++i) seen[groups[i]].insert(folds.fold[i]);
  for (const auto& [group, of] : seen) EXPECT_EQ(of.size(), 1u) << group;
  for (Index f = 0; f < 4; ++f) EXPECT_NEAR(static_cast<double>(folds.rows_of(f).size()), 30, 8);
}

TEST(Folds, LeaveOneOut) {
  const Folds rows = make_folds(4, {}, {}, kLeaveOneOut, 9);
  EXPECT_EQ(rows.fold, (std::vector<Index>{0, 1, 2, 3}));
  const std::vector<Index> groups{5, 1, 5, 2};
  const Folds grouped = make_folds(4, {}, groups, kLeaveOneOut, 9);
  EXPECT_EQ(grouped.fold, (std::vector<Index>{0, 1, 0, 2}));
  EXPECT_EQ(grouped.count, 3);
}

TEST(Folds, NeverMoreThanRows) {
  const Folds folds = make_folds(3, {}, {}, 10, 1);
  EXPECT_EQ(folds.count, 3);
  for (Index f = 0; f < 3; ++f) EXPECT_EQ(folds.rows_of(f).size(), 1u);
}

TEST(Folds, Refusals) {
  EXPECT_THROW(make_folds(10, {}, {}, 1, 0), Error);
  EXPECT_THROW(make_folds(10, {}, {}, 0, 0), Error);
  EXPECT_THROW(make_folds(1, {}, {}, 2, 0), Error);
  const std::vector<Index> one_group{3, 3, 3};
  EXPECT_THROW(make_folds(3, {}, one_group, 2, 0), Error);
  EXPECT_THROW(make_folds(4, {}, one_group, 2, 0), Error);
}

TEST(Folds, HoldOutTakesSomeOfEveryClass) {
  std::vector<std::int32_t> labels(100, 0);
  labels[3] = labels[4] = 1;
  labels[5] = 2;
  const std::vector<bool> held = hold_out(labels, 0.1, 4);
  int counts[3] = {};
  for (std::size_t i = 0; i < 100; ++i) counts[labels[i]] += held[i] ? 1 : 0;
  EXPECT_EQ(counts[0], 10);
  EXPECT_EQ(counts[1], 1);
  EXPECT_EQ(counts[2], 0);
}

}  // namespace
}  // namespace genossm::testing
