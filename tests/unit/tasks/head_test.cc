#include "libgenossm/tasks/head.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/core/error.h"
#include "tests/unit/tasks/random_rows.h"

namespace genossm::testing {
namespace {

Head small(HeadKind kind) {
  Head head;
  head.kind = kind;
  head.columns = 2;
  head.outputs = kind == HeadKind::ridge ? 1 : 2;
  head.standardizer = {{1, 2}, {2, 4}};
  if (kind == HeadKind::mlp) {
    head.hidden = 1;
    head.hidden_weight = {1, 1};
    head.hidden_bias = {-1};
    head.output_weight = {0, 3};
  } else if (kind == HeadKind::softmax) {
    head.output_weight = {0, 0, 1, -1};
  } else {
    head.output_weight = {5, 7};
  }
  head.output_bias.assign(static_cast<std::size_t>(head.outputs), 0.5f);
  return head;
}

TEST(Head, PredictsByHand) {
  Cpu cpu(1);
  const float rows[] = {3, 2, 1, 10};  // z: (1, 0) and (0, 2)
  const FeatureTable table{rows, 2, 2};
  const auto logistic = [](double x) { return 1 / (1 + std::exp(-x)); };
  auto p = predict(small(HeadKind::softmax), table, cpu);
  EXPECT_NEAR(p[1], logistic(1), 1e-15);
  EXPECT_NEAR(p[3], logistic(-2), 1e-15);
  EXPECT_NEAR(p[2] + p[3], 1, 1e-15);
  p = predict(small(HeadKind::ridge), table, cpu);
  EXPECT_DOUBLE_EQ(p[0], 5.5);
  EXPECT_DOUBLE_EQ(p[1], 14.5);
  p = predict(small(HeadKind::mlp), table, cpu);  // hidden: 0 and 1
  EXPECT_NEAR(p[1], 0.5, 1e-15);
  EXPECT_NEAR(p[3], logistic(3), 1e-15);
}

TEST(Head, ARowDoesNotDependOnOthers) {
  Cpu one(1), three(3);
  const FeatureRows rows = random_rows(301, 37, 1);
  Head head;
  head.kind = HeadKind::mlp;
  head.columns = 37;
  head.outputs = 3;
  head.hidden = 11;
  RandomStream random(2, 0);
  const auto fill = [&](std::vector<float>& v, Index n) {
    for (Index i = 0; i < n; ++i) v.push_back(static_cast<float>(normal(random)));
  };
  fill(head.hidden_weight, 11 * 37);
  fill(head.hidden_bias, 11);
  fill(head.output_weight, 33);
  fill(head.output_bias, 3);
  head.standardizer = Standardizer::fit(rows.table(), one);
  check_head(head);
  const auto all = predict(head, rows.table(), three);
  EXPECT_EQ(all, predict(head, rows.table(), one));
  for (const Index i : {0, 63, 64, 300}) {
    const auto alone = predict(head, take_rows(rows.table(), {i}).table(), one);
    for (std::size_t j = 0; j < 3; ++j) {
      EXPECT_EQ(alone[j], all[static_cast<std::size_t>(3 * i) + j]);
    }
  }
}

TEST(Head, NanRowsStayNan) {
  Cpu cpu(1);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float rows[] = {nan, 2, 1, 10};
  for (const HeadKind kind : {HeadKind::softmax, HeadKind::mlp}) {
    const auto p = predict(small(kind), {rows, 2, 2}, cpu);
    EXPECT_TRUE(std::isnan(p[0]) && std::isnan(p[1]));
    EXPECT_TRUE(std::isfinite(p[2]));
    const std::vector<std::int32_t> said = most_probable(p, 2);
    EXPECT_EQ(said[0], -1);
    EXPECT_NE(said[1], -1);
  }
}

TEST(Head, RefusesWhatDoesNotFit) {
  for (const HeadKind kind : {HeadKind::softmax, HeadKind::ridge, HeadKind::mlp}) {
    const Head good = small(kind);
    EXPECT_NO_THROW(check_head(good));
    Head bad = good;
    bad.columns = 3;
    EXPECT_THROW(check_head(bad), Error);
    bad = good;
    bad.output_weight.pop_back();
    EXPECT_THROW(check_head(bad), Error);
    bad = good;
    bad.output_bias[0] = std::numeric_limits<float>::infinity();
    EXPECT_THROW(check_head(bad), Error);
    bad = good;
    bad.standardizer.scale[1] = 0;
    EXPECT_THROW(check_head(bad), Error);
    bad = good;
    bad.hidden += 1;
    EXPECT_THROW(check_head(bad), Error);
  }
  Cpu cpu(1);
  const float rows[] = {1, 2, 3};
  EXPECT_THROW(predict(small(HeadKind::softmax), {rows, 1, 3}, cpu), Error);
}

TEST(Head, NamesOfKinds) {
  for (const HeadKind kind : {HeadKind::softmax, HeadKind::ridge, HeadKind::mlp}) {
    EXPECT_EQ(parse_head_kind(std::string(name_of(kind))), kind);
  }
  EXPECT_THROW(parse_head_kind("svm"), Error);
}

TEST(Standardizer, MeansAndScales) {
  Cpu cpu(2);
  const float rows[] = {1, 7, 1e8f, 3, 7, 1e8f, 5, 7, 1e8f + 8};
  const Standardizer s = Standardizer::fit({rows, 3, 3}, cpu);
  EXPECT_DOUBLE_EQ(s.mean[0], 3);
  EXPECT_DOUBLE_EQ(s.scale[0], std::sqrt(8.0 / 3));
  EXPECT_DOUBLE_EQ(s.scale[1], 1);  // constant
  EXPECT_DOUBLE_EQ(s.scale[2], 1);  // constant but for float rounding
  float z[3];
  s.apply(rows, z);
  EXPECT_FLOAT_EQ(z[0], static_cast<float>(-2 / std::sqrt(8.0 / 3)));
  EXPECT_EQ(z[1], 0);
}

}  // namespace
}  // namespace genossm::testing
