// Ridge, the perceptron, and what all kinds of heads share.
#include "libgenossm/tasks/fit_head.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/core/error.h"
#include "libgenossm/tasks/algebra.h"
#include "libgenossm/tasks/perceptron.h"
#include "tests/unit/tasks/random_rows.h"

namespace genossm::testing {
namespace {

FitOptions options_of(HeadKind kind, std::vector<double> l2 = {}, Index folds = 5) {
  FitOptions o;
  o.kind = kind;
  o.l2 = std::move(l2);
  o.folds = folds;
  if (kind == HeadKind::mlp) {
    o.hidden = 24;
    o.epochs = 15;
  }
  return o;
}

template <class T>
bool same_bytes(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

bool same(const Head& a, const Head& b) {
  return same_bytes(a.standardizer.mean, b.standardizer.mean) &&
         same_bytes(a.standardizer.scale, b.standardizer.scale) &&
         same_bytes(a.hidden_weight, b.hidden_weight) && same_bytes(a.hidden_bias, b.hidden_bias) &&
         same_bytes(a.output_weight, b.output_weight) && same_bytes(a.output_bias, b.output_bias);
}

std::vector<double> ridge_by_normal_equations(const FeatureTable& train, const Targets& targets,
                                              double l2, const Standardizer& s,
                                              const FeatureTable& test) {
  const auto z_of = [&](const FeatureTable& rows) {
    Matrix z(rows.rows, rows.columns + 1);
    for (Index i = 0; i < rows.rows; ++i) {
      for (Index c = 0; c < rows.columns; ++c) {
        const auto at = static_cast<std::size_t>(c);
        z(i, c) = (static_cast<double>(rows.row(i)[c]) - s.mean[at]) / s.scale[at];
      }
      z(i, rows.columns) = 1;
    }
    return z;
  };
  const Matrix z = z_of(train);
  const Vector y = Eigen::Map<const Vector>(targets.values.data(), train.rows);
  Matrix a = z.transpose() * z;
  a.diagonal().head(train.columns).array() += l2;
  const Vector w = a.ldlt().solve(z.transpose() * y);
  const Vector said = z_of(test) * w;
  return {said.data(), said.data() + said.size()};
}

TEST(Ridge, AgreesWithTheNormalEquations) {
  Cpu cpu(2);
  for (const auto& [n, d] : {std::pair<Index, Index>{300, 20}, {50, 130}}) {
    const FeatureRows rows = random_rows(n, d, 21);
    const Targets targets = random_values(rows.table(), 1, 22);
    for (const double l2 : {0.1, 30.0}) {
      const FittedHead fitted =
          fit_head(rows.table(), targets, options_of(HeadKind::ridge, {l2}, 0), cpu);
      check_head(fitted.head);
      const FeatureRows others = random_rows(40, d, 23);
      const auto want = ridge_by_normal_equations(rows.table(), targets, l2,
                                                  fitted.head.standardizer, others.table());
      const auto said = predict(fitted.head, others.table(), cpu);
      for (std::size_t i = 0; i < want.size(); ++i) {
        EXPECT_NEAR(said[i], want[i], 2e-4 * (1 + std::abs(want[i]))) << n << " " << l2;
      }
    }
  }
}

// The closed form against fits without each row, with the standardiser of all.
TEST(Ridge, LeaveOneOutIsExact) {
  Cpu cpu(2);
  for (const auto& [n, d] : {std::pair<Index, Index>{40, 8}, {25, 60}}) {
    const FeatureRows rows = random_rows(n, d, 24);
    const Targets targets = random_values(rows.table(), 2, 25);
    const FitReport report =
        fit_head(rows.table(), targets, options_of(HeadKind::ridge, {0.5, 20}, kLeaveOneOut), cpu)
            .report;
    const Standardizer s = Standardizer::fit(rows.table(), cpu);
    for (std::size_t at = 0; at < 2; ++at) {
      double sum = 0;
      for (Index left = 0; left < n; ++left) {
        std::vector<Index> rest;
        for (Index i = 0; i < n; ++i) {
          if (i != left) rest.push_back(i);
        }
        const FeatureRows train = take_rows(rows.table(), rest);
        const FeatureRows test = take_rows(rows.table(), {left});
        const double e = targets.values[static_cast<std::size_t>(left)] -
                         ridge_by_normal_equations(train.table(), take_rows(targets, rest),
                                                   report.l2_grid[at], s, test.table())[0];
        sum += e * e;
      }
      const double want = sum / static_cast<double>(n);
      EXPECT_NEAR(report.mean_score[at], want, 1e-4 * want);
    }
  }
}

TEST(Ridge, RecoversALine) {
  Cpu cpu(1);
  const FeatureRows rows = random_rows(500, 4, 26);
  const Targets targets = random_values(rows.table(), 0.01, 27);
  const FittedHead fitted = fit_head(rows.table(), targets, options_of(HeadKind::ridge), cpu);
  EXPECT_LT(fitted.report.loss, 3e-4);
  EXPECT_EQ(fitted.report.folds, 5);
}

TEST(Mlp, GradientIsThatOfTheLoss) {
  Cpu cpu(2);
  const Index n = 70, d = 5, hidden = 18, classes = 3;
  RowMatrix z(n, d);
  std::vector<std::int32_t> labels;
  std::vector<Index> batch;
  RandomStream random(31, 0);
  for (Index i = 0; i < n; ++i) {
    for (Index c = 0; c < d; ++c) z(i, c) = static_cast<float>(normal(random));
    labels.push_back(static_cast<std::int32_t>(random.below(3)));
    batch.push_back(i);
  }
  const double penalty = 0.1;
  Perceptron p(d, hidden, classes, {.penalty = penalty}, 4);
  const Network gradient = p.gradient(z, labels, batch, cpu);
  const auto value = [&](const Network& w) {
    return log_loss_sum(w, z, labels, batch, cpu) / static_cast<double>(n) +
           0.5 * penalty *
               (w.hidden.weight.cast<double>().squaredNorm() +
                w.output.weight.cast<double>().squaredNorm());
  };
  const auto check = [&](auto&& place, double want, double h) {
    Network up = p.network(), down = p.network();
    place(up) += static_cast<float>(h);
    place(down) -= static_cast<float>(h);
    EXPECT_NEAR((value(up) - value(down)) / (2 * h), want, 2e-3 + 2e-2 * std::abs(want));
  };
  for (Index u = 0; u < hidden; u += 5) {
    for (Index c = 0; c < d; ++c) {
      check([&](Network& w) -> float& { return w.hidden.weight(u, c); },
            static_cast<double>(gradient.hidden.weight(u, c)), 1e-2);
    }
    check([&](Network& w) -> float& { return w.hidden.bias[u]; },
          static_cast<double>(gradient.hidden.bias[u]), 1e-2);
    for (Index j = 0; j < classes; ++j) {
      check([&](Network& w) -> float& { return w.output.weight(j, u); },
            static_cast<double>(gradient.output.weight(j, u)), 1e-2);
    }
  }
  for (Index j = 0; j < classes; ++j) {
    check([&](Network& w) -> float& { return w.output.bias[j]; },
          static_cast<double>(gradient.output.bias[j]), 1e-2);
  }
}

TEST(Mlp, LearnsXorAndALineDoesNot) {
  Cpu cpu(2);
  RandomStream random(32, 0);
  FeatureRows rows;
  rows.columns = 2;
  Targets targets;
  targets.classes = 2;
  for (int i = 0; i < 800; ++i) {
    const double a = 2 * random.uniform() - 1, b = 2 * random.uniform() - 1;
    rows.values.push_back(static_cast<float>(a));
    rows.values.push_back(static_cast<float>(b));
    targets.labels.push_back((a > 0) != (b > 0) ? 1 : 0);
  }
  const auto accuracy = [&](const Head& head) {
    const auto said = most_probable(predict(head, rows.table(), cpu), 2);
    double right = 0;
    for (std::size_t i = 0; i < said.size(); ++i) right += said[i] == targets.labels[i] ? 1 : 0;
    return right / 800;
  };
  FitOptions options = options_of(HeadKind::mlp, {0.01});
  options.hidden = 32;
  options.epochs = 300;
  options.learning_rate = 1e-2;
  const FittedHead fitted = fit_head(rows.table(), targets, options, cpu);
  check_head(fitted.head);
  EXPECT_GT(accuracy(fitted.head), 0.95);
  EXPECT_LT(accuracy(fit_head(rows.table(), targets, options_of(HeadKind::softmax), cpu).head),
            0.65);
}

TEST(FitHead, BytesDoNotDependOnThreads) {
  const FeatureRows rows = random_rows(2600, 33, 41);
  const FeatureRows wide = random_rows(60, 150, 42);
  for (const HeadKind kind : {HeadKind::softmax, HeadKind::ridge, HeadKind::mlp}) {
    for (const FeatureTable& table : {rows.table(), wide.table()}) {
      const Targets targets =
          kind == HeadKind::ridge ? random_values(table, 1, 43) : random_classes(table, 3, 0.3, 43);
      FitOptions options = options_of(kind, {0.1, 1, 10}, 3);
      options.epochs = 3;
      options.seed = 5;
      Cpu one(1);
      const FittedHead a = fit_head(table, targets, options, one);
      for (const int threads : {2, 5}) {
        Cpu many(threads);
        const FittedHead b = fit_head(table, targets, options, many);
        EXPECT_TRUE(same(a.head, b.head)) << name_of(kind);
        EXPECT_TRUE(same_bytes(a.report.mean_score, b.report.mean_score));
        EXPECT_TRUE(same_bytes(predict(a.head, table, one), predict(a.head, table, many)));
        EXPECT_TRUE(
            same_bytes(cross_validated_predictions(table, targets, options, 3, one).predictions,
                       cross_validated_predictions(table, targets, options, 3, many).predictions));
      }
    }
  }
}

TEST(FitHead, SeedsMatterToTheMlp) {
  Cpu cpu(1);
  const FeatureRows rows = random_rows(100, 6, 44);
  const Targets targets = random_classes(rows.table(), 2, 1, 45);
  FitOptions options = options_of(HeadKind::mlp);
  const Head a = fit_head(rows.table(), targets, options, cpu).head;
  options.seed = 1;
  EXPECT_FALSE(same(a, fit_head(rows.table(), targets, options, cpu).head));
}

TEST(OutOfFold, NoRowIsPredictedByItself) {
  Cpu cpu(2);
  // A column that names the row: only a leak could use it.
  const Index n = 60;
  FeatureRows rows;
  rows.columns = n;
  rows.values.assign(static_cast<std::size_t>(n * n), 0.0f);
  Targets targets;
  targets.classes = 2;
  RandomStream random(51, 0);
  for (Index i = 0; i < n; ++i) {
    rows.values[static_cast<std::size_t>(i * n + i)] = 1;
    targets.labels.push_back(static_cast<std::int32_t>(i % 2));
  }
  for (const Index folds : {Index{6}, kLeaveOneOut}) {
    const OutOfFold out = cross_validated_predictions(rows.table(), targets,
                                                      options_of(HeadKind::softmax), folds, cpu);
    EXPECT_EQ(out.folds, folds == kLeaveOneOut ? n : 6);
    EXPECT_EQ(out.l2.size(), static_cast<std::size_t>(out.folds));
    for (const double p : out.predictions) EXPECT_NEAR(p, 0.5, 0.1);
  }
}

TEST(OutOfFold, MatchesFitsByHand) {
  Cpu cpu(2);
  const FeatureRows rows = random_rows(90, 5, 52);
  const Targets targets = random_values(rows.table(), 1, 53);
  const FitOptions options = options_of(HeadKind::ridge);
  Index calls = 0;
  const OutOfFold out = cross_validated_predictions(rows.table(), targets, options, 4, cpu,
                                                    [&](Index done, Index all) {
                                                      EXPECT_EQ(done, ++calls);
                                                      EXPECT_EQ(all, 4);
                                                    });
  EXPECT_EQ(calls, 4);
  for (Index f = 0; f < 4; ++f) {
    std::vector<Index> rest, own;
    for (Index i = 0; i < 90; ++i) {
      (out.fold[static_cast<std::size_t>(i)] == f ? own : rest).push_back(i);
    }
    const FeatureRows train = take_rows(rows.table(), rest), test = take_rows(rows.table(), own);
    const FittedHead fitted = fit_head(train.table(), take_rows(targets, rest), options, cpu);
    EXPECT_EQ(out.l2[static_cast<std::size_t>(f)], fitted.report.l2);
    const auto said = predict(fitted.head, test.table(), cpu);
    for (std::size_t i = 0; i < own.size(); ++i) {
      EXPECT_EQ(out.predictions[static_cast<std::size_t>(own[i])], said[i]);
    }
  }
}

// Copies of a row on both sides of a fold would make the weakest penalty look best.
TEST(FitHead, GroupsKeepCopiesInOneFold) {
  Cpu cpu(1);
  const FeatureRows once = random_rows(60, 30, 56);
  Targets noise;
  noise.classes = 2;
  FeatureRows rows;
  rows.columns = 30;
  RandomStream random(57, 0);
  std::vector<Index> groups;
  for (Index i = 0; i < 60; ++i) {
    const auto label = static_cast<std::int32_t>(random.below(2));
    for (int copy = 0; copy < 4; ++copy) {
      rows.values.insert(rows.values.end(), once.table().row(i), once.table().row(i) + 30);
      noise.labels.push_back(label);
      groups.push_back(i);
    }
  }
  FitOptions options = options_of(HeadKind::softmax);
  const double apart = fit_head(rows.table(), noise, options, cpu).report.l2;
  options.groups = groups;
  const double together = fit_head(rows.table(), noise, options, cpu).report.l2;
  EXPECT_GE(together, 100 * apart);
}

TEST(OutOfFold, AClassOfOneRowGetsProbabilityZeroThere) {
  Cpu cpu(1);
  const FeatureRows rows = random_rows(30, 4, 54);
  Targets targets = random_classes(rows.table(), 2, 1, 55);
  targets.classes = 3;
  targets.labels[4] = 2;
  for (const HeadKind kind : {HeadKind::softmax, HeadKind::mlp}) {
    const OutOfFold out =
        cross_validated_predictions(rows.table(), targets, options_of(kind), kLeaveOneOut, cpu);
    EXPECT_EQ(out.predictions[4 * 3 + 2], 0);
    for (std::size_t i = 0; i < 30; ++i) {
      EXPECT_NEAR(out.predictions[3 * i] + out.predictions[3 * i + 1] + out.predictions[3 * i + 2],
                  1, 1e-12);
    }
  }
}

void expect_fault(Fault fault, const std::string& part, auto&& call) {
  try {
    call();
    FAIL() << "no error, want '" << part << "'";
  } catch (const Error& e) {
    EXPECT_EQ(e.fault(), fault) << e.what();
    EXPECT_NE(std::string(e.what()).find(part), std::string::npos) << e.what();
  }
}

TEST(FitHead, SaysWhatIsWrong) {
  Cpu cpu(1);
  FeatureRows rows = random_rows(20, 3, 61);
  Targets targets = random_classes(rows.table(), 2, 1, 62);
  const FitOptions softmax = options_of(HeadKind::softmax);
  const auto fit = [&](const Targets& t, const FitOptions& o) {
    return [&cpu, &rows, t, o] { fit_head(rows.table(), t, o, cpu); };
  };
  Targets bad = targets;
  bad.labels[3] = 2;
  expect_fault(Fault::input, "label 2 of row 4", fit(bad, softmax));
  bad.classes = 1;
  expect_fault(Fault::input, "1 classes, want two", fit(bad, softmax));
  bad = targets;
  bad.classes = 3;
  expect_fault(Fault::input, "class 2 has no row", fit(bad, softmax));
  bad = targets;
  bad.labels.pop_back();
  expect_fault(Fault::input, "20 rows and 19 targets", fit(bad, softmax));
  expect_fault(Fault::usage, "ridge head predicts numbers",
               fit(targets, options_of(HeadKind::ridge)));
  Targets values = random_values(rows.table(), 1, 63);
  expect_fault(Fault::usage, "predicts classes", fit(values, softmax));
  values.values[5] = std::numeric_limits<double>::quiet_NaN();
  expect_fault(Fault::input, "value of row 6", fit(values, options_of(HeadKind::ridge)));
  expect_fault(Fault::usage, "l2", fit(targets, options_of(HeadKind::softmax, {0.0})));
  expect_fault(Fault::usage, "1 folds", fit(targets, options_of(HeadKind::softmax, {}, 1)));
  rows.values[4] = std::numeric_limits<float>::infinity();
  expect_fault(Fault::input, "row 2, column 2", fit(targets, softmax));
  rows.values.clear();
  expect_fault(Fault::input, "no rows", fit({2, {}, {}}, softmax));
}

}  // namespace
}  // namespace genossm::testing
