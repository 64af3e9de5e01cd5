// Figures by hand and from the worked examples in scikit-learn's documentation.
#include "libgenossm/tasks/metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/core/error.h"
#include "tests/unit/tasks/random_rows.h"

namespace genossm::testing {
namespace {

using Labels = std::vector<std::int32_t>;
constexpr BootstrapOptions kNone{.resamples = 0};

ClassificationMetrics metrics(const std::vector<double>& p, const Labels& labels, Index classes,
                              BootstrapOptions options = kNone) {
  Cpu cpu(1);
  return classification_metrics(p, labels, classes, options, cpu);
}

std::vector<double> of_class_one(const std::vector<double>& scores) {
  std::vector<double> p;
  for (const double s : scores) {
    p.push_back(1 - s);
    p.push_back(s);
  }
  return p;
}

std::vector<double> one_hot(const Labels& said, Index classes) {
  std::vector<double> p(said.size() * static_cast<std::size_t>(classes), 0.0);
  for (std::size_t i = 0; i < said.size(); ++i) {
    p[i * static_cast<std::size_t>(classes) + static_cast<std::size_t>(said[i])] = 1;
  }
  return p;
}

TEST(Metrics, WorkedExamples) {
  auto m = metrics(of_class_one({0.1, 0.4, 0.35, 0.8}), {0, 0, 1, 1}, 2);
  EXPECT_DOUBLE_EQ(m.auroc.value, 0.75);
  EXPECT_NEAR(m.auprc.value, 0.8333333333, 1e-9);
  EXPECT_DOUBLE_EQ(m.by_class[0].auroc, 0.75);
  m = metrics(one_hot({1, 0, 1, 1}, 2), {1, 1, 1, 0}, 2);
  EXPECT_NEAR(m.mcc.value, -1.0 / 3, 1e-12);
  EXPECT_DOUBLE_EQ(m.accuracy.value, 0.5);
  m = metrics(one_hot({0, 1, 0, 0, 0, 1}, 2), {0, 1, 0, 0, 1, 0}, 2);
  EXPECT_DOUBLE_EQ(m.balanced_accuracy.value, 0.625);
  m = metrics(of_class_one({0.1, 0.9, 0.8, 0.3}), {0, 1, 1, 0}, 2);
  EXPECT_NEAR(m.brier.value, 0.0375, 1e-12);
  // ham 0, spam 1
  m = metrics({.1, .9, .9, .1, .8, .2, .35, .65}, {1, 0, 0, 1}, 2);
  EXPECT_NEAR(m.log_loss.value, 0.21616, 5e-6);
}

TEST(Metrics, Ties) {
  auto m = metrics(of_class_one({0.5, 0.5, 0.5, 0.5}), {0, 1, 1, 1}, 2);
  EXPECT_DOUBLE_EQ(m.auroc.value, 0.5);
  EXPECT_DOUBLE_EQ(m.auprc.value, 0.75);  // the part of positives
  // Pairs: (.8 .5) 1, (.8 .2) 1, (.5 .5) half, (.5 .2) 1.
  m = metrics(of_class_one({0.8, 0.5, 0.5, 0.2}), {1, 1, 0, 0}, 2);
  EXPECT_DOUBLE_EQ(m.auroc.value, 3.5 / 4);
  EXPECT_DOUBLE_EQ(m.auprc.value, 0.5 * 1 + 0.5 * (2.0 / 3));
}

// R_K by its definition: the correlation of indicator vectors.
TEST(Metrics, ManyClasses) {
  RandomStream random(1, 0);
  const Index k = 4;
  Labels truth, said;
  for (int i = 0; i < 200; ++i) {
    truth.push_back(static_cast<std::int32_t>(random.below(4)));
    said.push_back(random.below(2) == 0 ? truth.back()
                                        : static_cast<std::int32_t>(random.below(4)));
  }
  const auto m = metrics(one_hot(said, k), truth, k);
  const auto covariance = [&](const Labels& a, const Labels& b) {
    double sum = 0;
    for (std::int32_t c = 0; c < k; ++c) {
      double ma = 0, mb = 0, ab = 0;
      for (std::size_t i = 0; i < 200; ++i) {
        ma += a[i] == c ? 1.0 / 200 : 0;
        mb += b[i] == c ? 1.0 / 200 : 0;
        ab += a[i] == c && b[i] == c ? 1.0 / 200 : 0;
      }
      sum += ab - ma * mb;
    }
    return sum;
  };
  EXPECT_NEAR(
      m.mcc.value,
      covariance(truth, said) / std::sqrt(covariance(truth, truth) * covariance(said, said)),
      1e-12);
  double recall = 0, auroc = 0;
  for (std::size_t c = 0; c < 4; ++c) {
    double hit = 0, rows = 0, wins = 0, others = 0;
    for (std::size_t i = 0; i < 200; ++i) {
      const bool own = truth[i] == static_cast<std::int32_t>(c);
      rows += own ? 1 : 0;
      others += own ? 0 : 1;
      hit += own && said[i] == truth[i] ? 1 : 0;
      for (std::size_t j = 0; own && j < 200; ++j) {
        if (truth[j] == truth[i]) continue;
        const int a = said[i] == static_cast<std::int32_t>(c),
                  b = said[j] == static_cast<std::int32_t>(c);
        wins += a > b ? 1 : a == b ? 0.5 : 0;
      }
    }
    recall += hit / rows / 4;
    auroc += wins / (rows * others) / 4;
    EXPECT_NEAR(m.by_class[c].auroc, wins / (rows * others), 1e-12);
  }
  EXPECT_NEAR(m.balanced_accuracy.value, recall, 1e-12);
  EXPECT_NEAR(m.auroc.value, auroc, 1e-12);
  Index all = 0;
  for (const Index n : m.confusion) all += n;
  EXPECT_EQ(all, 200);
  // A wrong one-hot row costs 1 + 1.
  EXPECT_NEAR(m.brier.value, 2 * (1 - m.accuracy.value), 1e-12);
}

TEST(Metrics, ClassesThatAreAbsent) {
  auto m = metrics({.6, .3, .1, .2, .7, .1, .1, .2, .7, .5, .4, .1}, {0, 1, 1, 0}, 3);
  EXPECT_EQ(m.present, (std::vector<Index>{0, 1}));
  EXPECT_DOUBLE_EQ(m.balanced_accuracy.value, (1.0 + 0.5) / 2);
  EXPECT_TRUE(std::isfinite(m.auroc.value));
  EXPECT_TRUE(std::isnan(m.by_class[2].auroc));
  EXPECT_TRUE(std::isnan(m.by_class[2].recall));
  EXPECT_DOUBLE_EQ(m.by_class[2].precision, 0);
  // One class alone.
  m = metrics(of_class_one({0.9, 0.2, 0.7}), {1, 1, 1}, 2, {.resamples = 50});
  EXPECT_DOUBLE_EQ(m.accuracy.value, 2.0 / 3);
  for (const Estimate& e : {m.mcc, m.auroc, m.auprc}) {
    EXPECT_TRUE(std::isnan(e.value) && std::isnan(e.low) && std::isnan(e.high));
  }
  EXPECT_TRUE(std::isfinite(m.log_loss.high));
  // One class predicted.
  EXPECT_DOUBLE_EQ(metrics(of_class_one({0.9, 0.8}), {1, 0}, 2).mcc.value, 0);
  EXPECT_TRUE(std::isnan(metrics(of_class_one({0.9, 0.8}), {1, 0}, 2).by_class[0].precision));
}

TEST(Metrics, SureAndWrongIsFinite) {
  EXPECT_NEAR(metrics({1, 0}, {1}, 2).log_loss.value, 36.04, 0.01);
}

TEST(Metrics, Calibration) {
  // Ten rows at 0.85 of which eight are right, two at exactly 1.
  std::vector<double> scores(10, 0.85);
  Labels labels(10, 1);
  labels[0] = labels[1] = 0;
  scores.insert(scores.end(), {1, 1});
  labels.insert(labels.end(), {1, 1});
  const auto m = metrics(of_class_one(scores), labels, 2);
  ASSERT_EQ(m.bins.size(), 10u);
  EXPECT_EQ(m.bins[8].rows, 10);
  EXPECT_DOUBLE_EQ(m.bins[8].accuracy, 0.8);
  EXPECT_NEAR(m.bins[8].confidence, 0.85, 1e-12);
  EXPECT_EQ(m.bins[9].rows, 2);
  EXPECT_TRUE(std::isnan(m.bins[0].accuracy));
  EXPECT_NEAR(m.calibration_error, 0.05 * 10 / 12, 1e-12);
}

TEST(Metrics, IntervalsCoverTheTruth) {
  // Accuracy 0.8 on 200 rows, 200 times over: about 95 % of the intervals hold 0.8, and their width
  // is about that of the binomial's.
  Cpu cpu(2);
  int covered = 0;
  double width = 0;
  for (std::uint64_t trial = 0; trial < 200; ++trial) {
    RandomStream random(100 + trial, 0);
    Labels truth, said;
    for (int i = 0; i < 200; ++i) {
      truth.push_back(static_cast<std::int32_t>(random.below(2)));
      said.push_back(random.uniform() < 0.8 ? truth.back() : 1 - truth.back());
    }
    const auto m =
        classification_metrics(one_hot(said, 2), truth, 2, {.resamples = 300, .seed = trial}, cpu);
    covered += m.accuracy.low <= 0.8 && 0.8 <= m.accuracy.high ? 1 : 0;
    width += (m.accuracy.high - m.accuracy.low) / 200;
    EXPECT_LE(m.accuracy.low, m.accuracy.value);
    EXPECT_GE(m.accuracy.high, m.accuracy.value);
  }
  EXPECT_GE(covered, 178);
  EXPECT_LE(covered, 199);
  EXPECT_NEAR(width, 2 * 1.96 * std::sqrt(0.16 / 200), 0.01);
}

TEST(Metrics, BytesDoNotDependOnThreads) {
  Cpu one(1), three(3);
  const FeatureRows rows = random_rows(500, 3, 9);
  const Labels labels = random_classes(rows.table(), 3, 1, 10).labels;
  std::vector<double> p;
  for (Index i = 0; i < 500; ++i) {
    double sum = 0;
    for (int c = 0; c < 3; ++c) sum += std::exp(static_cast<double>(rows.table().row(i)[c]));
    for (int c = 0; c < 3; ++c)
      p.push_back(std::exp(static_cast<double>(rows.table().row(i)[c])) / sum);
  }
  const auto a = classification_metrics(p, labels, 3, {.resamples = 100, .seed = 3}, one);
  const auto b = classification_metrics(p, labels, 3, {.resamples = 100, .seed = 3}, three);
  const auto c = classification_metrics(p, labels, 3, {.resamples = 100, .seed = 4}, three);
  EXPECT_EQ(std::memcmp(&a.accuracy, &b.accuracy, 8 * sizeof(Estimate)), 0);
  EXPECT_EQ(a.auroc.value, c.auroc.value);
  EXPECT_NE(a.auroc.low, c.auroc.low);
}

TEST(Metrics, Refusals) {
  EXPECT_THROW(metrics({}, {}, 2), Error);
  EXPECT_THROW(metrics({1}, {0}, 1), Error);
  EXPECT_THROW(metrics({.5, .5}, {2}, 2), Error);
  EXPECT_THROW(metrics({.5, .5}, {-1}, 2), Error);
  EXPECT_THROW(metrics({.5, std::numeric_limits<double>::quiet_NaN()}, {1}, 2), Error);
  EXPECT_THROW(metrics({.5, .5, .5}, {1}, 2), Error);
}

TEST(RegressionMetrics, ByHand) {
  Cpu cpu(1);
  // scikit-learn's example of r2_score: 0.948...; mean absolute error 0.5; mean squared 0.375.
  const std::vector<double> y{3, -0.5, 2, 7}, p{2.5, 0.0, 2, 8};
  const auto m = regression_metrics(p, y, {.resamples = 200}, cpu);
  EXPECT_NEAR(m.r2.value, 0.9486081370449679, 1e-12);
  EXPECT_DOUBLE_EQ(m.mae.value, 0.5);
  EXPECT_DOUBLE_EQ(m.rmse.value, std::sqrt(0.375));
  EXPECT_DOUBLE_EQ(m.spearman.value, 1);
  EXPECT_NEAR(m.pearson.value, 0.98487, 1e-4);
  EXPECT_LE(m.mae.low, 0.5);
  EXPECT_GE(m.mae.high, 0.5);
}

TEST(RegressionMetrics, RanksShareTies) {
  Cpu cpu(1);
  // Ranks 1, 2.5, 2.5, 4 against 1, 3, 2, 4: r = 4.5 / sqrt(4.5 * 5).
  const std::vector<double> y{1, 2, 2, 3}, p{1, 30, 20, 400};
  EXPECT_NEAR(regression_metrics(p, y, kNone, cpu).spearman.value, 4.5 / std::sqrt(4.5 * 5), 1e-12);
}

TEST(RegressionMetrics, ConstantsAreUndefined) {
  Cpu cpu(1);
  const std::vector<double> y{0.1, 0.1, 0.1}, p{1, 2, 3};
  auto m = regression_metrics(p, y, {.resamples = 20}, cpu);
  EXPECT_TRUE(std::isnan(m.pearson.value) && std::isnan(m.spearman.value) &&
              std::isnan(m.r2.value));
  EXPECT_TRUE(std::isfinite(m.mae.high));
  m = regression_metrics(y, p, kNone, cpu);
  EXPECT_TRUE(std::isnan(m.pearson.value));
  EXPECT_TRUE(std::isfinite(m.r2.value));
  EXPECT_THROW(regression_metrics({}, {}, kNone, cpu), Error);
  const std::vector<double> nan{std::numeric_limits<double>::quiet_NaN()}, one{1};
  EXPECT_THROW(regression_metrics(nan, one, kNone, cpu), Error);
  EXPECT_THROW(regression_metrics(one, p, kNone, cpu), Error);
}

// Ranks of a resample by counts are those of the resample written out.
TEST(RegressionMetrics, SpearmanOfManyTies) {
  Cpu cpu(1);
  RandomStream random(3, 0);
  std::vector<double> y, p;
  for (int i = 0; i < 300; ++i) {
    y.push_back(static_cast<double>(random.below(6)));
    p.push_back(y.back() + static_cast<double>(random.below(5)));
  }
  const auto rank = [](const std::vector<double>& x) {
    std::vector<double> out;
    for (const double a : x) {
      double below = 0, same = 0;
      for (const double b : x) {
        below += b < a ? 1 : 0;
        same += b == a ? 1 : 0;
      }
      out.push_back(below + (same + 1) / 2);
    }
    return out;
  };
  EXPECT_NEAR(regression_metrics(p, y, kNone, cpu).spearman.value,
              regression_metrics(rank(p), rank(y), kNone, cpu).pearson.value, 1e-12);
}

}  // namespace
}  // namespace genossm::testing
