#include "libgenossm/tasks/sampling.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

#include "kernels/core/error.h"

namespace genossm {
namespace {

std::array<double, 4> shares(const std::array<float, 4>& logits, const Sampling& sampling) {
  std::array<double, 4> out{};
  constexpr int kDraws = 40'000;
  for (int i = 0; i < kDraws; ++i) {
    const double u = (i + 0.5) / kDraws;
    out[static_cast<std::size_t>(draw(logits, sampling, u))] += 1.0 / kDraws;
  }
  return out;
}

// ln of 0.5, 0.1, 0.3, 0.1.
const std::array<float, 4> kLogits{std::log(0.5f), std::log(0.1f), std::log(0.3f), std::log(0.1f)};

TEST(Sampling, DrawsWithTheModelsProbabilities) {
  const auto p = shares(kLogits, {});
  EXPECT_NEAR(p[0], 0.5, 1e-3);
  EXPECT_NEAR(p[1], 0.1, 1e-3);
  EXPECT_NEAR(p[2], 0.3, 1e-3);
  EXPECT_NEAR(p[3], 0.1, 1e-3);
}

TEST(Sampling, Temperature) {
  const auto cold = shares(kLogits, {.temperature = 0.5});
  EXPECT_NEAR(cold[0], 0.25 / 0.36, 1e-3);
  EXPECT_NEAR(cold[2], 0.09 / 0.36, 1e-3);
  EXPECT_EQ(shares(kLogits, {.temperature = 0})[0], shares(kLogits, {.top_k = 1})[0]);
  EXPECT_NEAR(shares(kLogits, {.temperature = 0})[0], 1, 1e-9);
  EXPECT_NEAR(shares(kLogits, {.temperature = 1e6})[1], 0.25, 1e-3);
}

TEST(Sampling, TopKAndTopP) {
  const auto two = shares(kLogits, {.top_k = 2});
  EXPECT_NEAR(two[0], 0.5 / 0.8, 1e-3);
  EXPECT_NEAR(two[2], 0.3 / 0.8, 1e-3);
  EXPECT_EQ(two[1] + two[3], 0);
  // 0.5 does not reach 0.6, so the next one belongs to it; 0.4 is reached by the first alone.
  EXPECT_NEAR(shares(kLogits, {.top_p = 0.6})[2], 0.3 / 0.8, 1e-3);
  EXPECT_NEAR(shares(kLogits, {.top_p = 0.4})[0], 1, 1e-9);
  // Of the two equal ones the first comes first.
  const auto three = shares(kLogits, {.top_k = 3});
  EXPECT_NEAR(three[1], 0.1 / 0.9, 1e-3);
  EXPECT_EQ(three[3], 0);
}

TEST(Sampling, UniformNumbersDependOnAllThree) {
  std::set<double> seen;
  double sum = 0;
  for (std::uint64_t a = 0; a < 10; ++a) {
    for (std::uint64_t b = 0; b < 10; ++b) {
      for (std::uint64_t c = 0; c < 100; ++c) {
        const double u = uniform(a, b, c);
        EXPECT_GE(u, 0);
        EXPECT_LT(u, 1);
        EXPECT_EQ(u, uniform(a, b, c));
        seen.insert(u);
        sum += u;
      }
    }
  }
  EXPECT_EQ(seen.size(), 10'000u);
  EXPECT_NEAR(sum / 10'000, 0.5, 0.01);
}

TEST(Sampling, RefusesSenselessOptions) {
  for (const Sampling& s : {Sampling{.temperature = -1}, Sampling{.temperature = NAN},
                            Sampling{.top_k = 5}, Sampling{.top_k = -1}, Sampling{.top_p = 0},
                            Sampling{.top_p = 1.5}, Sampling{.top_p = NAN}}) {
    EXPECT_THROW(check(s), Error);
  }
  EXPECT_NO_THROW(check(Sampling{}));
  std::array<float, 4> bad = kLogits;
  bad[3] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THROW(draw(bad, {}, 0.5), Error);
}

}  // namespace
}  // namespace genossm
