#include "libgenossm/tasks/fitters.h"
#include "libgenossm/tasks/gram.h"
#include "libgenossm/tasks/linear_space.h"

namespace genossm {
namespace {

// What the normal equations need of some rows.
struct Moments {
  Matrix squares;         // sum z z^T
  Vector sum, by_target;  // sum z, sum z y
  double rows = 0, target = 0;
};

Moments moments(const LinearSpace& space, const Vector& y, Index begin, Index end, Cpu& cpu) {
  const Index m = space.dimensions();
  Moments out{gram(space.z(), begin, end, 1, cpu), Vector::Zero(m), Vector::Zero(m), 0, 0};
  out.rows = static_cast<double>(end - begin);
  for (Index r = begin; r < end; ++r) {
    const Vector z = space.z().row(r).transpose().cast<double>();
    out.sum += z;
    out.by_target += y[r] * z;
    out.target += y[r];
  }
  return out;
}

Moments without(const Moments& all, const Moments& some) {
  return {all.squares - some.squares, all.sum - some.sum, all.by_target - some.by_target,
          all.rows - some.rows, all.target - some.target};
}

struct Line {
  Vector weights;
  double bias = 0;
};

// Centred, so that the bias bears no penalty. The factor is of the centred sum z z^T + l2 I.
class Normal {
 public:
  Normal(const Moments& m, double l2)
      : mean_(m.sum / m.rows), target_(m.target / m.rows), by_target_(m.by_target) {
    Matrix a = m.squares - mean_ * m.sum.transpose();
    a.diagonal().array() += l2;
    factor_.compute(a);
    by_target_ -= target_ * m.sum;
  }

  const Vector& mean() const { return mean_; }
  const Eigen::LLT<Matrix>& factor() const { return factor_; }
  Line solve() const {
    Line out{factor_.solve(by_target_), 0};
    out.bias = target_ - out.weights.dot(mean_);
    return out;
  }

 private:
  Vector mean_;
  double target_;
  Vector by_target_;
  Eigen::LLT<Matrix> factor_;
};

double residual(const LinearSpace& space, const Vector& y, const Line& line, Index r) {
  const Vector z = space.z().row(r).transpose().cast<double>();
  return y[r] - (line.bias + line.weights.dot(z));
}

HeldOut squared_error(const LinearSpace& space, const Vector& y, const Line& line, Index begin,
                      Index end) {
  HeldOut out{0, end - begin};
  for (Index r = begin; r < end; ++r) {
    const double e = residual(space, y, line, r);
    out.sum += e * e;
  }
  return out;
}

// Exact: the residual of a row that was left out is e / (1 - h), h = 1/n + z^T A^-1 z its leverage
// (Cook and Weisberg 1982).
HeldOut leave_one_out(const LinearSpace& space, const Vector& y, const Moments& all, double l2,
                      Cpu& cpu) {
  constexpr Index kStrip = 256;
  const Normal normal(all, l2);
  const Line line = normal.solve();
  Vector squares(space.rows());
  cpu.for_each((space.rows() + kStrip - 1) / kStrip, [&](Index part) {
    const Index begin = part * kStrip, end = std::min(space.rows(), begin + kStrip);
    Matrix z = space.z().middleRows(begin, end - begin).transpose().cast<double>();
    z.colwise() -= normal.mean();
    normal.factor().matrixL().solveInPlace(z);
    for (Index r = begin; r < end; ++r) {
      const double leverage = 1 / all.rows + z.col(r - begin).squaredNorm();
      const double e = residual(space, y, line, r) / (1 - leverage);
      squares[r] = e * e;
    }
  });
  HeldOut out{0, space.rows()};
  for (Index r = 0; r < space.rows(); ++r) out.sum += squares[r];
  return out;
}

std::vector<std::vector<HeldOut>> cross_validate(const FitTask& task, const LinearSpace& space,
                                                 const Vector& y, const Moments& all) {
  const auto folds = static_cast<std::size_t>(task.folds.count);
  std::vector<std::vector<HeldOut>> out(task.l2.size());
  // Groups leave out several rows at once: no closed form then.
  if (task.options.folds == kLeaveOneOut && task.folds.count == space.rows()) {
    for (std::size_t i = 0; i < task.l2.size(); ++i) {
      out[i] = {leave_one_out(space, y, all, task.l2[i], task.cpu)};
    }
    return out;
  }
  for (auto& row : out) row.resize(folds);
  task.cpu.for_each(task.folds.count, [&](Index f) {
    const Index begin = space.begin(f), end = space.begin(f + 1);
    const Moments rest = without(all, moments(space, y, begin, end, task.cpu));
    for (std::size_t i = 0; i < task.l2.size(); ++i) {
      out[i][static_cast<std::size_t>(f)] =
          squared_error(space, y, Normal(rest, task.l2[i]).solve(), begin, end);
    }
  });
  return out;
}

}  // namespace

FittedHead fit_ridge(const FitTask& task) {
  const LinearSpace space(task.features, task.folds, task.cpu);
  Vector y(space.rows());
  for (Index r = 0; r < space.rows(); ++r) {
    y[r] =
        task.targets.values[static_cast<std::size_t>(space.order()[static_cast<std::size_t>(r)])];
  }
  const Moments all = moments(space, y, 0, space.rows(), task.cpu);
  FittedHead out;
  out.report.l2 = task.l2.front();
  if (task.folds.count > 0) choose(task, cross_validate(task, space, y, all), out.report);
  const Line line = Normal(all, out.report.l2).solve();
  out.report.loss = squared_error(space, y, line, 0, space.rows()).sum / all.rows;
  out.head.kind = HeadKind::ridge;
  out.head.columns = task.features.columns;
  out.head.outputs = 1;
  out.head.standardizer = space.standardizer();
  const Vector w = space.on_columns(line.weights);
  for (Index c = 0; c < w.size(); ++c) out.head.output_weight.push_back(static_cast<float>(w[c]));
  out.head.output_bias = {static_cast<float>(line.bias)};
  return out;
}

}  // namespace genossm
