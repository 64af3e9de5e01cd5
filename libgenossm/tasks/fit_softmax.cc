#include <memory>

#include "libgenossm/tasks/fitters.h"
#include "libgenossm/tasks/gram.h"
#include "libgenossm/tasks/lbfgs.h"
#include "libgenossm/tasks/softmax_loss.h"
#include "libgenossm/tasks/whitening.h"

namespace genossm {
namespace {

// Rows a dimension that the curvature is measured on: more would change no step.
constexpr Index kSampled = 4;

std::vector<std::int32_t> in_order(const LinearSpace& space, const Targets& targets) {
  std::vector<std::int32_t> out;
  for (const Index i : space.order()) out.push_back(targets.labels[static_cast<std::size_t>(i)]);
  return out;
}

std::vector<std::unique_ptr<const Whitening>> whitenings(const LinearSpace& space, double curvature,
                                                         const std::vector<double>& l2, Cpu& cpu) {
  const Index m = space.dimensions();
  const auto rows = static_cast<double>(space.rows());
  const bool dense = m <= kDenseDimensions;
  Matrix products;
  if (dense) {
    const Index step = std::max<Index>(1, space.rows() / (kSampled * m));
    const Index sampled = (space.rows() + step - 1) / step;
    products = gram(space.z(), 0, space.rows(), step, cpu) * (rows / static_cast<double>(sampled));
  }
  std::vector<std::unique_ptr<const Whitening>> out(l2.size());
  cpu.for_each(static_cast<Index>(l2.size()), [&](Index i) {
    const auto at = static_cast<std::size_t>(i);
    out[at] = dense ? std::make_unique<const Whitening>(products, rows, curvature, l2[at])
                    : std::make_unique<const Whitening>(m, rows, curvature, l2[at]);
  });
  return out;
}

LbfgsResult descend(SoftmaxLoss& loss, const Whitening& whitening, double l2,
                    const FitOptions& options, Cpu& cpu, Vector& x) {
  Vector u = whitening.to_u(x);
  const LbfgsOptions how{.tolerance = options.tolerance * static_cast<double>(loss.rows()),
                         .max_iterations = options.max_iterations};
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

}  // namespace

FittedHead fit_softmax(const FitTask& task) {
  const Index classes = task.targets.classes;
  const LinearSpace space(task.features, task.folds, task.cpu);
  const auto labels = in_order(space, task.targets);
  SoftmaxLoss all(space, labels, classes, -1);
  FittedHead out;
  const auto folds = static_cast<std::size_t>(task.folds.count);
  auto whitening = whitenings(space, all.curvature(), task.l2, task.cpu);
  std::vector<std::vector<HeldOut>> held_out(task.l2.size(), std::vector<HeldOut>(folds));
  task.cpu.for_each(task.folds.count, [&](Index f) {
    SoftmaxLoss loss(space, labels, classes, f);
    if (loss.present() < 2) return;  // nothing to tell apart
    Vector x = loss.start();
    // From the strongest penalty down, each from the last one's minimum.
    for (std::size_t i = 0; i < task.l2.size(); ++i) {
      descend(loss, *whitening[i], task.l2[i], task.options, task.cpu, x);
      HeldOut& held = held_out[i][static_cast<std::size_t>(f)];
      held.sum = loss.loss_of(x, space.begin(f), space.begin(f + 1), held.rows);
    }
  });
  out.report.l2 = task.l2.front();
  std::size_t chosen = 0;
  if (folds > 0) {
    choose(task, held_out, out.report);
    while (task.l2[chosen] != out.report.l2) ++chosen;
  }
  Vector x = all.start();
  const LbfgsResult result =
      descend(all, *whitening[chosen], out.report.l2, task.options, task.cpu, x);
  out.report.iterations = result.iterations;
  out.report.converged = result.converged;
  out.report.loss = all.training_loss(x);
  out.head.kind = HeadKind::softmax;
  out.head.columns = task.features.columns;
  out.head.outputs = classes;
  out.head.standardizer = space.standardizer();
  // Probabilities do not change if all biases shift: their mean is made 0.
  const double shift = all.logits() == 1 ? 0 : x.tail(classes).mean();
  for (Index j = 0; j < classes; ++j) put_class(space, x, all.logits(), j, shift, out.head);
  return out;
}

}  // namespace genossm
