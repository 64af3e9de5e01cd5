#include "libgenossm/tasks/variant_effect.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

namespace genossm::testing {
namespace {

TEST(VariantEffect, WindowsBeginOnTheGridAndSeeEnough) {
  const ReuseGeometry geometry{512, 128, 64};
  const Index contig = 5000;
  for (Index at = 0; at < contig; ++at) {
    const Extent e = reuse_extent(geometry, at, contig);
    EXPECT_EQ(e.begin % 64, 0);
    EXPECT_LE(e.begin, at);
    EXPECT_LE(e.end, contig);
    EXPECT_EQ(e.end, std::min(contig, at + 128));
    if (e.begin > 0) {
      EXPECT_GE(at + 128 - e.begin, 512);
      EXPECT_LT(at + 128 - e.begin, 512 + 64);
    }
  }
}

TEST(VariantEffect, ScoredBases) {
  const auto pair = [](ScoredBases s) { return std::pair(s.ref, s.alt); };
  using P = std::pair<Index, Index>;
  EXPECT_EQ(pair(scored_bases(LengthRule::equal, 100, 500, 1, 1, 1000)), P(100, 100));
  EXPECT_EQ(pair(scored_bases(LengthRule::equal, 100, 500, 10, 0, 1000)), P(100, 100));
  EXPECT_EQ(pair(scored_bases(LengthRule::free, 100, 500, 10, 0, 1000)), P(100, 90));
  EXPECT_EQ(pair(scored_bases(LengthRule::free, 100, 500, 0, 7, 1000)), P(100, 107));
  // At the contig's end both lose as much.
  EXPECT_EQ(pair(scored_bases(LengthRule::equal, 100, 960, 10, 0, 1000)), P(30, 30));
  EXPECT_EQ(pair(scored_bases(LengthRule::equal, 100, 960, 0, 7, 1000)), P(40, 40));
  EXPECT_EQ(pair(scored_bases(LengthRule::equal, 100, 1000, 0, 7, 1000)), P(0, 0));
  EXPECT_EQ(pair(scored_bases(LengthRule::free, 5, 500, 10, 1, 1000)), P(0, 0));
}

TEST(VariantEffect, BranchesStartOneBaseBeforeTheVariantAtLeast) {
  for (Index at = 1; at < 300; ++at) {
    const Index from = branch_place(at, 64);
    EXPECT_EQ(from % 64, 0);
    EXPECT_LT(from, at);
    EXPECT_GE(from, at - 64);
  }
}

TEST(VariantEffect, RowsBeyondTheWindowCountAsItsEnds) {
  const RowWeights inside = rows_around(50, 10, 100);
  EXPECT_EQ(inside.first, 40);
  EXPECT_EQ(inside.weights.size(), 21u);
  const RowWeights left = rows_around(3, 10, 100);
  EXPECT_EQ(left.first, 0);
  EXPECT_DOUBLE_EQ(left.weights[0], 8.0 / 21);
  EXPECT_DOUBLE_EQ(left.weights[1], 1.0 / 21);
  for (const RowWeights& rows : {inside, left, rows_around(99, 500, 100)}) {
    EXPECT_NEAR(std::accumulate(rows.weights.begin(), rows.weights.end(), 0.0), 1, 1e-12);
  }
}

TEST(VariantEffect, Distances) {
  const float a[] = {1, 0}, b[] = {0, 2}, zero[] = {0, 0};
  EXPECT_DOUBLE_EQ(l2_distance(a, b, 2), std::sqrt(5.0));
  EXPECT_DOUBLE_EQ(cosine_distance(a, b, 2), 1);
  EXPECT_DOUBLE_EQ(cosine_distance(a, a, 2), 0);
  EXPECT_TRUE(std::isnan(cosine_distance(a, zero, 2)));
}

TEST(VariantEffect, EveryStatusHasAName) {
  EXPECT_EQ(name_of(AlleleStatus::ok), "OK");
  EXPECT_EQ(name_of(AlleleStatus::not_finite), "NOT_FINITE");
  EXPECT_NE(status_list().find("REF_MISMATCH, SYMBOLIC, BND, STAR"), std::string::npos);
}

}  // namespace
}  // namespace genossm::testing
