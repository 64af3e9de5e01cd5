// Multinomial logistic regression against finite differences and against Newton's method in double.
#include <gtest/gtest.h>

#include <Eigen/LU>
#include <cmath>

#include "libgenossm/tasks/fit_head.h"
#include "libgenossm/tasks/gram.h"
#include "libgenossm/tasks/lbfgs.h"
#include "libgenossm/tasks/linear_space.h"
#include "libgenossm/tasks/softmax_loss.h"
#include "libgenossm/tasks/spectrum.h"
#include "libgenossm/tasks/whitening.h"
#include "tests/unit/tasks/random_rows.h"

namespace genossm::testing {
namespace {

FitOptions one_l2(double l2) {
  FitOptions o;
  o.l2 = {l2};
  o.folds = 0;
  return o;
}

Matrix standardised(const FeatureTable& rows, const Standardizer& s) {
  Matrix out(rows.rows, rows.columns);
  for (Index i = 0; i < rows.rows; ++i) {
    for (Index c = 0; c < rows.columns; ++c) {
      const auto at = static_cast<std::size_t>(c);
      out(i, c) = (static_cast<double>(rows.row(i)[c]) - s.mean[at]) / s.scale[at];
    }
  }
  return out;
}

// Newton with halved steps on all parameters: [d weights, bias] of each logit; two classes have the
// logit of class 1 alone. Returns probabilities [rows, classes].
Matrix newton(const Matrix& z, const std::vector<std::int32_t>& labels, Index classes, double l2) {
  const Index n = z.rows(), d = z.cols() + 1, logits = classes == 2 ? 1 : classes;
  Matrix x(n, d);
  x << z, Vector::Ones(n);
  Vector w = Vector::Zero(logits * d);
  const auto probabilities = [&](const Vector& at) {
    Matrix scores = Matrix::Zero(n, classes);
    for (Index j = 0; j < logits; ++j) {
      scores.col(classes == 2 ? 1 : j) = x * at.segment(j * d, d);
    }
    for (Index i = 0; i < n; ++i) {
      scores.row(i) = (scores.row(i).array() - scores.row(i).maxCoeff()).exp();
      scores.row(i) /= scores.row(i).sum();
    }
    return scores;
  };
  const auto penalised = [&](const Vector& at) {
    const Matrix p = probabilities(at);
    double value = 0;
    for (Index i = 0; i < n; ++i) value -= std::log(p(i, labels[static_cast<std::size_t>(i)]));
    for (Index j = 0; j < logits; ++j) value += 0.5 * l2 * at.segment(j * d, d - 1).squaredNorm();
    return value;
  };
  for (int round = 0; round < 100; ++round) {
    const Matrix p = probabilities(w);
    Vector g(logits * d);
    Matrix h = Matrix::Zero(logits * d, logits * d);
    for (Index j = 0; j < logits; ++j) {
      const Index cj = classes == 2 ? 1 : j;
      Vector miss = p.col(cj);
      for (Index i = 0; i < n; ++i) miss[i] -= labels[static_cast<std::size_t>(i)] == cj ? 1 : 0;
      g.segment(j * d, d) = x.transpose() * miss;
      g.segment(j * d, d - 1) += l2 * w.segment(j * d, d - 1);
      for (Index m = 0; m < logits; ++m) {
        const Index cm = classes == 2 ? 1 : m;
        const Vector curve = p.col(cj).array() * ((j == m ? 1.0 : 0.0) - p.col(cm).array());
        h.block(j * d, m * d, d, d) = x.transpose() * curve.asDiagonal() * x;
      }
      h.block(j * d, j * d, d - 1, d - 1).diagonal().array() += l2;
      h(j * d + d - 1, j * d + d - 1) += 1e-9;  // all biases may shift together
    }
    const Vector step = h.fullPivLu().solve(g);
    double t = 1;
    while (t > 1e-9 && penalised(w - t * step) > penalised(w)) t /= 2;
    w -= t * step;
    if (step.norm() < 1e-12 * (1 + w.norm())) break;
  }
  return probabilities(w);
}

double largest_miss(const std::vector<double>& p, const Matrix& want) {
  double out = 0;
  for (Index i = 0; i < want.rows(); ++i) {
    for (Index j = 0; j < want.cols(); ++j) {
      out = std::max(out, std::abs(p[static_cast<std::size_t>(i * want.cols() + j)] - want(i, j)));
    }
  }
  return out;
}

TEST(Softmax, GradientIsThatOfTheLoss) {
  Cpu cpu(1);
  for (const Index classes : {2, 3, 5}) {
    const FeatureRows rows = random_rows(300, 7, 1);
    const Targets targets = random_classes(rows.table(), classes, 0.5, 2);
    const Folds folds = make_folds(300, targets.labels, {}, 3, 1);
    const LinearSpace space(rows.table(), folds, cpu);
    std::vector<std::int32_t> labels;
    for (const Index i : space.order())
      labels.push_back(targets.labels[static_cast<std::size_t>(i)]);
    for (const Index left_out : {-1, 1}) {
      SoftmaxLoss loss(space, labels, classes, left_out);
      EXPECT_EQ(loss.rows(), left_out < 0 ? 300 : 200);
      RandomStream random(3, 0);
      Vector x(loss.parameters()), gradient, ignored;
      for (Index i = 0; i < x.size(); ++i) x[i] = 0.3 * normal(random);
      loss.evaluate(x, 2.5, gradient, cpu);
      for (Index i = 0; i < x.size(); ++i) {
        const double h = 1e-2;
        Vector up = x, down = x;
        up[i] += h;
        down[i] -= h;
        const double slope =
            (loss.evaluate(up, 2.5, ignored, cpu) - loss.evaluate(down, 2.5, ignored, cpu)) /
            (2 * h);
        EXPECT_NEAR(gradient[i], slope, 2e-3 * (1 + std::abs(slope))) << classes << " " << i;
      }
    }
  }
}

TEST(Softmax, LbfgsFindsTheMinimumOfAQuadratic) {
  // Curvatures 1 to 1000.
  const Index n = 20;
  const auto function = [&](const Vector& x, Vector& g) {
    g.resize(n);
    double value = 0;
    for (Index i = 0; i < n; ++i) {
      const double a = std::pow(1000.0, static_cast<double>(i) / (n - 1));
      const double d = x[i] - static_cast<double>(i);
      g[i] = a * d;
      value += 0.5 * a * d * d;
    }
    return value;
  };
  Vector x = Vector::Zero(n);
  const LbfgsResult result = minimise(function, {.tolerance = 1e-14, .noise = 0}, x);
  EXPECT_TRUE(result.converged);
  EXPECT_LT(result.iterations, 200);
  for (Index i = 0; i < n; ++i) EXPECT_NEAR(x[i], static_cast<double>(i), 1e-5);
}

// More rows than columns, fewer, strong and weak penalties.
TEST(Softmax, AgreesWithNewton) {
  Cpu cpu(1);
  struct Case {
    Index rows, columns, classes;
    double l2;
  };
  for (const Case c :
       {Case{400, 10, 2, 1}, Case{400, 10, 4, 1}, Case{300, 6, 3, 100}, Case{300, 6, 2, 0.01},
        Case{40, 60, 2, 1}, Case{40, 60, 3, 0.1}, Case{30, 200, 2, 0.01}}) {
    const FeatureRows rows = random_rows(c.rows, c.columns, 5);
    const Targets targets = random_classes(rows.table(), c.classes, 0.4, 6);
    FitOptions options = one_l2(c.l2);
    options.tolerance = 1e-11;
    const FittedHead fitted = fit_head(rows.table(), targets, options, cpu);
    EXPECT_TRUE(fitted.report.converged);
    check_head(fitted.head);
    const Matrix z = standardised(rows.table(), fitted.head.standardizer);
    // Newton in the space of the rows where that is smaller: the same solution.
    const Matrix want = newton(z, targets.labels, c.classes, c.l2);
    EXPECT_LT(largest_miss(predict(fitted.head, rows.table(), cpu), want), 1e-4)
        << c.rows << " " << c.columns << " " << c.classes << " " << c.l2;
  }
}

TEST(Softmax, DefaultToleranceIsEnough) {
  Cpu cpu(1);
  const FeatureRows rows = random_rows(2000, 20, 7);
  const Targets targets = random_classes(rows.table(), 3, 0.3, 8);
  const FittedHead fitted = fit_head(rows.table(), targets, one_l2(1), cpu);
  const Matrix want =
      newton(standardised(rows.table(), fitted.head.standardizer), targets.labels, 3, 1);
  EXPECT_LT(largest_miss(predict(fitted.head, rows.table(), cpu), want), 2e-3);
}

// A row space smaller than the columns must not change what is said of rows outside it.
TEST(Softmax, FewerRowsThanColumnsPredictsNewRows) {
  Cpu cpu(1);
  const FeatureRows all = random_rows(200, 120, 9);
  const Targets targets = random_classes(all.table(), 2, 0.2, 9);
  std::vector<Index> first, rest;
  for (Index i = 0; i < 200; ++i) (i < 80 ? first : rest).push_back(i);
  const FeatureRows train = take_rows(all.table(), first), test = take_rows(all.table(), rest);
  FitOptions options = one_l2(1);
  options.tolerance = 1e-11;
  const FittedHead fitted = fit_head(train.table(), take_rows(targets, first), options, cpu);
  // The same problem with columns and 80 rows solved in the columns: gradient of the penalised loss
  // must vanish there.
  const Matrix z = standardised(train.table(), fitted.head.standardizer);
  const std::vector<double> p = predict(fitted.head, train.table(), cpu);
  Vector u(120), gradient = Vector::Zero(120);
  for (Index c = 0; c < 120; ++c) {
    u[c] = static_cast<double>(fitted.head.output_weight[static_cast<std::size_t>(120 + c)]) -
           static_cast<double>(fitted.head.output_weight[static_cast<std::size_t>(c)]);
  }
  for (Index i = 0; i < 80; ++i) {
    const auto at = static_cast<std::size_t>(i);
    gradient += (p[2 * at + 1] - targets.labels[at]) * z.row(i).transpose();
  }
  gradient += u;
  EXPECT_LT(gradient.norm(), 1e-3);
  EXPECT_EQ(predict(fitted.head, test.table(), cpu).size(), 240u);
}

TEST(Softmax, RecoversWeights) {
  Cpu cpu(2);
  // p(1) = logistic(1.5 x0 - 0.75 x1 + 0.5), x standard normal.
  RandomStream random(11, 0);
  FeatureRows rows;
  rows.columns = 3;
  Targets targets;
  targets.classes = 2;
  for (int i = 0; i < 20000; ++i) {
    double x[3];
    for (double& v : x) {
      v = normal(random);
      rows.values.push_back(static_cast<float>(v));
    }
    const double p = 1 / (1 + std::exp(-(1.5 * x[0] - 0.75 * x[1] + 0.5)));
    targets.labels.push_back(random.uniform() < p ? 1 : 0);
  }
  const Head head = fit_head(rows.table(), targets, one_l2(1e-2), cpu).head;
  const auto weight = [&](std::size_t c) {
    return (static_cast<double>(head.output_weight[3 + c]) -
            static_cast<double>(head.output_weight[c])) /
           head.standardizer.scale[c];
  };
  EXPECT_NEAR(weight(0), 1.5, 0.08);
  EXPECT_NEAR(weight(1), -0.75, 0.06);
  EXPECT_NEAR(weight(2), 0, 0.05);
}

TEST(Softmax, SeparableRowsEndWell) {
  Cpu cpu(2);
  for (const Index columns : {3, 300}) {
    const FeatureRows rows = random_rows(100, columns, 12);
    Targets targets;
    targets.classes = 2;
    for (Index i = 0; i < 100; ++i) targets.labels.push_back(rows.table().row(i)[0] > 0 ? 1 : 0);
    const FittedHead fitted = fit_head(rows.table(), targets, one_l2(1e-4), cpu);
    EXPECT_TRUE(fitted.report.converged);
    EXPECT_EQ(most_probable(predict(fitted.head, rows.table(), cpu), 2), targets.labels);
    EXPECT_LT(fitted.report.loss, 0.05);
  }
}

TEST(Softmax, ChoosesAStrongPenaltyForNoiseAndAWeakOneForSignal) {
  Cpu cpu(2);
  const FeatureRows rows = random_rows(300, 50, 13);
  Targets noise;
  noise.classes = 2;
  RandomStream random(14, 0);
  for (int i = 0; i < 300; ++i) noise.labels.push_back(static_cast<std::int32_t>(random.below(2)));
  const FitReport of_noise = fit_head(rows.table(), noise, {}, cpu).report;
  const FitReport of_signal =
      fit_head(rows.table(), random_classes(rows.table(), 2, 1, 15), {}, cpu).report;
  EXPECT_GE(of_noise.l2, 1000);
  EXPECT_LE(of_signal.l2, 10);
  EXPECT_EQ(of_noise.folds, 5);
  ASSERT_EQ(of_noise.l2_grid.size(), 8u);
  EXPECT_EQ(of_noise.l2_grid.front(), 1e5);
  ASSERT_EQ(of_noise.score.size(), 8u);
  EXPECT_EQ(of_noise.score[0].size(), 5u);
  // Weak penalties make it worse and worse: the last ones are not tried.
  EXPECT_TRUE(std::isnan(of_noise.mean_score.back()));
  // The prior alone costs ln 2.
  EXPECT_NEAR(of_noise.mean_score[0], std::log(2.0), 0.02);
}

// The coordinates of a space too large for a factorisation.
TEST(Softmax, SpectrumOfRows) {
  Cpu one(1), two(2);
  const FeatureRows rows = random_rows(500, 300, 19);
  const LinearSpace space(rows.table(), {}, one);
  const Matrix products = gram(space.z(), 0, 500, 1, one);
  const Spectrum s = sampled_spectrum(space.z(), two);
  // All rows are in the sample: the directions are those of all.
  const Index n = s.values.size();
  EXPECT_LT((s.directions.transpose() * s.directions - Matrix::Identity(n, n)).norm(), 1e-5);
  EXPECT_LT((products * s.directions - s.directions * s.values.asDiagonal()).norm(),
            1e-4 * s.values[0]);
  const Whitening whitening(s, 500, 0.25, 2);
  RandomStream random(20, 0);
  Vector x(2 * 301), y(2 * 301);
  for (Index i = 0; i < x.size(); ++i) x[i] = normal(random);
  for (Index i = 0; i < y.size(); ++i) y[i] = normal(random);
  EXPECT_LT((whitening.to_x(whitening.to_u(x)) - x).norm(), 1e-4 * x.norm());
  Vector pulled = y;
  whitening.pull(pulled);
  EXPECT_NEAR(pulled.dot(x), y.dot(whitening.to_x(x)), 1e-6);  // the transpose of to_x
  const Vector u = whitening.to_u(x);
  const auto w = x.head(300);
  EXPECT_NEAR(u.head(300).squaredNorm(), w.dot(0.25 * products * w + 2 * w),
              1e-3 * u.squaredNorm());
}

// Wider than what is factorised, rows and columns.
TEST(Softmax, WideAndLongRowsConverge) {
  Cpu one(1), two(2);
  const FeatureRows rows = random_rows(2100, 2070, 21);
  const Targets targets = random_classes(rows.table(), 2, 0.05, 22);
  const FittedHead fitted = fit_head(rows.table(), targets, one_l2(100), two);
  EXPECT_TRUE(fitted.report.converged);
  EXPECT_LT(fitted.report.iterations, 60);
  EXPECT_EQ(fitted.head.output_weight,
            fit_head(rows.table(), targets, one_l2(100), one).head.output_weight);
}

TEST(Softmax, ConstantColumnsAndRowsThatRepeatDoNoHarm) {
  Cpu cpu(1);
  FeatureRows rows;
  rows.columns = 40;
  Targets targets;
  targets.classes = 3;
  const FeatureRows some = random_rows(12, 40, 16);
  for (Index i = 0; i < 36; ++i) {
    for (Index c = 0; c < 40; ++c) {
      rows.values.push_back(c == 5 ? 1e6f : some.table().row(i % 12)[c]);
    }
    targets.labels.push_back(static_cast<std::int32_t>(i % 12 % 3));
  }
  const FittedHead fitted = fit_head(rows.table(), targets, {}, cpu);
  check_head(fitted.head);
  for (const double p : predict(fitted.head, rows.table(), cpu)) EXPECT_TRUE(std::isfinite(p));
  std::fill(rows.values.begin(), rows.values.end(), 2.0f);  // nothing to learn from
  const std::vector<double> p =
      predict(fit_head(rows.table(), targets, {}, cpu).head, rows.table(), cpu);
  for (const double v : p) EXPECT_NEAR(v, 1.0 / 3, 1e-3);
}

TEST(Softmax, AClassOfOneRowIsFitted) {
  Cpu cpu(1);
  const FeatureRows rows = random_rows(50, 5, 17);
  Targets targets = random_classes(rows.table(), 2, 1, 18);
  targets.classes = 3;
  targets.labels[7] = 2;
  const FittedHead fitted = fit_head(rows.table(), targets, {}, cpu);
  check_head(fitted.head);
  EXPECT_TRUE(std::isfinite(fitted.report.mean_score[0]));
}

}  // namespace
}  // namespace genossm::testing
