#include <algorithm>
#include <limits>
#include <utility>

#include "libgenossm/tasks/fitters.h"
#include "libgenossm/tasks/gram.h"
#include "libgenossm/tasks/lbfgs.h"
#include "libgenossm/tasks/softmax_loss.h"
#include "libgenossm/tasks/spectrum.h"
#include "libgenossm/tasks/whitening.h"

namespace genossm {
namespace {

// Rows a dimension that the curvature is measured on: more would change no step.
constexpr Index kSampled = 4;
constexpr double kLeastCurvature = 1e-6;
// Steps after which the curvature is measured anew.
constexpr Index kRound = 50;
// The path ends after two strengths in a row whose score is this much worse than the best.
constexpr double kWorse = 1.05;

std::vector<std::int32_t> in_order(const LinearSpace& space, const Targets& targets) {
  std::vector<std::int32_t> out;
  for (const Index i : space.order()) out.push_back(targets.labels[static_cast<std::size_t>(i)]);
  return out;
}

// Z^T Z, measured once, and the coordinates for any strength and curvature that follow from it.
class Metric {
 public:
  Metric(const LinearSpace& space, Cpu& cpu) : rows_(static_cast<double>(space.rows())) {
    if (space.dimensions() > kDenseDimensions) {
      spectrum_ = sampled_spectrum(space.z(), cpu);
      return;
    }
    const Index step = std::max<Index>(1, space.rows() / (kSampled * space.dimensions()));
    const Index sampled = (space.rows() + step - 1) / step;
    products_ =
        gram(space.z(), 0, space.rows(), step, cpu) * (rows_ / static_cast<double>(sampled));
  }

  Whitening at(double curvature, double l2) const {
    const double c = std::max(curvature, kLeastCurvature);
    return products_.size() > 0 ? Whitening(products_, rows_, c, l2)
                                : Whitening(spectrum_, rows_, c, l2);
  }

 private:
  double rows_;
  Matrix products_;    // or else
  Spectrum spectrum_;  // of a space too large for that
};

LbfgsResult descend(SoftmaxLoss& loss, const Whitening& whitening, double l2,
                    const FitOptions& options, Index steps, Cpu& cpu, Vector& x) {
  Vector u = whitening.to_u(x);
  const LbfgsOptions how{.tolerance = options.tolerance * static_cast<double>(loss.rows()),
                         .max_iterations = steps};
  const LbfgsResult result = minimise(
      [&](const Vector& at, Vector& gradient) {
        const double value = loss.evaluate(whitening.to_x(at), l2, gradient, cpu);
        whitening.pull(gradient);
        return value;
      },
      how, u);
  x = whitening.to_x(u);
  return result;
}

// Class j's weights and bias: its own logit, or for two classes half of the only one, signed.
void put_class(const LinearSpace& space, const Vector& x, Index logits, Index j, double bias_shift,
               Head& head) {
  const Index m = space.dimensions(), at = logits == 1 ? 0 : j;
  const double factor = logits == 1 ? (j == 0 ? -0.5 : 0.5) : 1.0;
  const Vector w = factor * space.on_columns(x.segment(at * m, m));
  for (Index c = 0; c < w.size(); ++c) head.output_weight.push_back(static_cast<float>(w[c]));
  head.output_bias.push_back(static_cast<float>(factor * x[logits * m + at] - bias_shift));
}

// Every fold goes down the strengths in step with the others, each from its last minimum. Returns
// the mean of their minima at the best strength; empty where no fold could be fitted.
Vector cross_validate(const FitTask& task, const LinearSpace& space, const Metric& metric,
                      const std::vector<std::int32_t>& labels, FitReport& report) {
  struct Fold {
    Index number;
    SoftmaxLoss loss;
    Vector x;
    double curvature;
  };
  std::vector<Fold> folds;
  for (Index f = 0; f < task.folds.count; ++f) {
    SoftmaxLoss loss(space, labels, task.targets.classes, f);
    // With one class there is nothing to tell apart.
    if (loss.present() >= 2) folds.push_back({f, loss, loss.start(), 0});
  }
  const auto n = static_cast<Index>(folds.size());
  std::vector<std::vector<HeldOut>> held_out(
      task.l2.size(), std::vector<HeldOut>(static_cast<std::size_t>(task.folds.count)));
  Vector best;
  double least = std::numeric_limits<double>::infinity();
  Index worse = 0;
  for (std::size_t i = 0; i < task.l2.size() && worse < 2 && n > 0; ++i) {
    task.cpu.for_each(n, [&](Index at) {
      Fold& fold = folds[static_cast<std::size_t>(at)];
      fold.curvature = fold.loss.curvature(fold.x);
    });
    double curvature = 0;
    for (const Fold& fold : folds) curvature += fold.curvature / static_cast<double>(n);
    const Whitening whitening = metric.at(curvature, task.l2[i]);
    task.cpu.for_each(n, [&](Index at) {
      Fold& fold = folds[static_cast<std::size_t>(at)];
      descend(fold.loss, whitening, task.l2[i], task.options, task.options.max_iterations, task.cpu,
              fold.x);
      HeldOut& held = held_out[i][static_cast<std::size_t>(fold.number)];
      held.sum = fold.loss.loss_of(fold.x, space.begin(fold.number), space.begin(fold.number + 1),
                                   held.rows);
    });
    HeldOut all;
    for (const HeldOut& held : held_out[i]) {
      all.sum += held.sum;
      all.rows += held.rows;
    }
    const double score = all.sum / static_cast<double>(all.rows);
    worse = score > kWorse * least ? worse + 1 : 0;
    if (score < least) {
      least = score;
      best = Vector::Zero(folds[0].x.size());
      for (const Fold& fold : folds) best += fold.x / static_cast<double>(n);
    }
  }
  choose(task, held_out, report);
  return best;
}

}  // namespace

FittedHead fit_softmax(const FitTask& task) {
  const Index classes = task.targets.classes;
  const LinearSpace space(task.features, task.folds, task.cpu);
  const Metric metric(space, task.cpu);
  const auto labels = in_order(space, task.targets);
  FittedHead out;
  out.report.l2 = task.l2.front();
  out.report.converged = false;
  SoftmaxLoss loss(space, labels, classes, -1);
  Vector x = loss.start();
  if (task.folds.count > 0) {
    Vector mean = cross_validate(task, space, metric, labels, out.report);
    if (mean.size() == x.size()) x = std::move(mean);
  }
  while (!out.report.converged && out.report.iterations < task.options.max_iterations) {
    const Index steps = std::min(kRound, task.options.max_iterations - out.report.iterations);
    const LbfgsResult result = descend(loss, metric.at(loss.curvature(x), out.report.l2),
                                       out.report.l2, task.options, steps, task.cpu, x);
    out.report.iterations += result.iterations;
    out.report.converged = result.converged;
    if (result.iterations < steps) break;
  }
  out.report.loss = loss.training_loss(x);
  out.head.kind = HeadKind::softmax;
  out.head.columns = task.features.columns;
  out.head.outputs = classes;
  out.head.standardizer = space.standardizer();
  // Probabilities do not change if all biases shift: their mean is made 0.
  const double shift = loss.logits() == 1 ? 0 : x.tail(classes).mean();
  for (Index j = 0; j < classes; ++j) put_class(space, x, loss.logits(), j, shift, out.head);
  return out;
}

}  // namespace genossm
