#include "libgenossm/tasks/pca.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace genossm {
namespace {

std::vector<float> random_rows(Index n, Index D, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> value;
  std::vector<float> out(static_cast<std::size_t>(n * D));
  for (Index i = 0; i < n; ++i) {
    // A direction after the other varies less.
    for (Index j = 0; j < D; ++j) {
      out[static_cast<std::size_t>(i * D + j)] =
          5 + value(random) * 10.0f / static_cast<float>(1 + j);
    }
  }
  return out;
}

// Rows in a plane of 3 dimensions, known by hand.
TEST(PrincipalComponents, KnownByHand) {
  const float rows[] = {4, 0, 1, -4, 0, 1, 0, 2, 1, 0, -2, 1};
  const Components found = principal_components({rows, {4, 3}});
  EXPECT_NEAR(found.first_share, 32.0 / 40, 1e-12);
  EXPECT_NEAR(found.second_share, 8.0 / 40, 1e-12);
  const double first[] = {4, -4, 0, 0}, second[] = {0, 0, 2, -2};
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_NEAR(found.first[i], first[i], 1e-12);
    EXPECT_NEAR(found.second[i], second[i], 1e-12);
  }
}

// Whichever of the two products is the smaller, variances are those of the coordinates.
TEST(PrincipalComponents, OrthogonalAndAsLongAsSaid) {
  for (const auto& [n, D] : {std::pair<Index, Index>{7, 40}, {60, 12}, {20, 20}}) {
    const std::vector<float> rows = random_rows(n, D, 3);
    const Components found = principal_components({rows.data(), {n, D}});
    double variance = 0;
    for (Index j = 0; j < D; ++j) {
      double mean = 0, squares = 0;
      for (Index i = 0; i < n; ++i) mean += double{rows[static_cast<std::size_t>(i * D + j)]};
      mean /= static_cast<double>(n);
      for (Index i = 0; i < n; ++i) {
        squares += std::pow(double{rows[static_cast<std::size_t>(i * D + j)]} - mean, 2);
      }
      variance += squares;
    }
    double first = 0, second = 0, both = 0, sum = 0;
    for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) {
      first += found.first[i] * found.first[i];
      second += found.second[i] * found.second[i];
      both += found.first[i] * found.second[i];
      sum += found.first[i];
    }
    EXPECT_NEAR(first / variance, found.first_share, 1e-9);
    EXPECT_NEAR(second / variance, found.second_share, 1e-9);
    EXPECT_GT(found.first_share, found.second_share);
    EXPECT_NEAR(both / variance, 0, 1e-9);
    EXPECT_NEAR(sum / std::sqrt(variance), 0, 1e-9);
  }
}

// The mirror image of the rows has the mirror image of the picture only where the rule says so.
TEST(PrincipalComponents, TheSignIsARule) {
  std::vector<float> rows = random_rows(30, 6, 4);
  const Components there = principal_components({rows.data(), {30, 6}});
  for (float& v : rows) v = -v;
  const Components back = principal_components({rows.data(), {30, 6}});
  for (std::size_t i = 0; i < 30; ++i) EXPECT_NEAR(back.first[i], -there.first[i], 1e-9);
}

TEST(PrincipalComponents, NothingVaries) {
  const float rows[] = {1, 2, 1, 2, 1, 2};
  const Components found = principal_components({rows, {3, 2}});
  EXPECT_EQ(found.first, (std::vector<double>{0, 0, 0}));
  EXPECT_EQ(found.first_share, 0);
  const Components one = principal_components({rows, {1, 2}});
  EXPECT_EQ(one.second, (std::vector<double>{0}));
}

}  // namespace
}  // namespace genossm
