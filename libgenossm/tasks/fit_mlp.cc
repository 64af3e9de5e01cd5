#include <limits>
#include <numeric>

#include "kernels/core/error.h"
#include "libgenossm/tasks/fitters.h"
#include "libgenossm/tasks/perceptron.h"
#include "libgenossm/tasks/random_stream.h"

namespace genossm {
namespace {

constexpr double kHeldOut = 0.1;
constexpr std::uint64_t kFirstEpoch = 1000;  // streams of the batches' order

RowMatrix standardised(const FeatureTable& features, const Standardizer& standardizer, Cpu& cpu) {
  RowMatrix out(features.rows, features.columns);
  cpu.for_each(features.rows,
               [&](Index i) { standardizer.apply(features.row(i), out.row(i).data()); });
  return out;
}

struct Trained {
  Network network;
  Index epochs = 0;
  bool stopped = false;
  double loss = 0;  // of the held-out part, at the epoch kept
};

// `rows` less a tenth, which says when to stop.
Trained train(const FitTask& task, const RowMatrix& z, const std::vector<Index>& rows, double l2) {
  const FitOptions& o = task.options;
  const auto& labels = task.targets.labels;
  std::vector<std::int32_t> own;
  for (const Index i : rows) own.push_back(labels[static_cast<std::size_t>(i)]);
  const std::vector<bool> out_of = hold_out(own, kHeldOut, o.seed);
  std::vector<Index> taught, held;
  for (std::size_t i = 0; i < rows.size(); ++i) (out_of[i] ? held : taught).push_back(rows[i]);
  if (held.empty()) held = taught;  // one row a class
  Perceptron perceptron(
      z.cols(), o.hidden, task.targets.classes,
      {.learning_rate = o.learning_rate, .penalty = l2 / static_cast<double>(taught.size())},
      o.seed);
  Trained best;
  best.loss = std::numeric_limits<double>::infinity();
  Index since = 0;
  for (Index epoch = 0; epoch < o.epochs && since < o.patience; ++epoch) {
    std::vector<Index> order = taught;
    RandomStream(o.seed, kFirstEpoch + static_cast<std::uint64_t>(epoch)).shuffle(order);
    for (std::size_t at = 0; at < order.size(); at += static_cast<std::size_t>(o.batch)) {
      const std::size_t end = std::min(order.size(), at + static_cast<std::size_t>(o.batch));
      const auto from = order.begin();
      perceptron.step(
          z, labels,
          {from + static_cast<std::ptrdiff_t>(at), from + static_cast<std::ptrdiff_t>(end)},
          task.cpu);
    }
    const double loss = log_loss_sum(perceptron.network(), z, labels, held, task.cpu) /
                        static_cast<double>(held.size());
    best.epochs = epoch + 1;
    ++since;
    if (loss < best.loss) {
      best.loss = loss;
      best.network = perceptron.network();
      since = 0;
    }
  }
  require(best.network.hidden.weight.size() > 0, Fault::input,
          "mlp: the loss is not a finite number after an epoch, want a smaller learning rate");
  best.stopped = since == o.patience;
  return best;
}

std::vector<std::vector<HeldOut>> cross_validate(const FitTask& task, const RowMatrix& z) {
  const Index folds = task.folds.count;
  std::vector<std::vector<HeldOut>> out(task.l2.size(),
                                        std::vector<HeldOut>(static_cast<std::size_t>(folds)));
  task.cpu.for_each(static_cast<Index>(task.l2.size()) * folds, [&](Index i) {
    const auto at = static_cast<std::size_t>(i / folds);
    const Index f = i % folds;
    const Trained trained = train(task, z, task.folds.rows_without(f), task.l2[at]);
    const std::vector<Index> rows = task.folds.rows_of(f);
    out[at][static_cast<std::size_t>(f)] = {
        log_loss_sum(trained.network, z, task.targets.labels, rows, task.cpu),
        static_cast<Index>(rows.size())};
  });
  return out;
}

template <class Values>
std::vector<float> listed(const Values& values) {
  return {values.data(), values.data() + values.size()};
}

}  // namespace

FittedHead fit_mlp(const FitTask& task) {
  FittedHead out;
  Head& head = out.head;
  head.standardizer = Standardizer::fit(task.features, task.cpu);
  const RowMatrix z = standardised(task.features, head.standardizer, task.cpu);
  out.report.l2 = task.l2.front();
  if (task.folds.count > 0) choose(task, cross_validate(task, z), out.report);
  std::vector<Index> rows(static_cast<std::size_t>(task.features.rows));
  std::iota(rows.begin(), rows.end(), Index{0});
  const Trained trained = train(task, z, rows, out.report.l2);
  out.report.iterations = trained.epochs;
  out.report.converged = trained.stopped;
  out.report.loss = trained.loss;
  head.kind = HeadKind::mlp;
  head.columns = task.features.columns;
  head.outputs = task.targets.classes;
  head.hidden = task.options.hidden;
  head.hidden_weight = listed(trained.network.hidden.weight);
  head.hidden_bias = listed(trained.network.hidden.bias);
  head.output_weight = listed(trained.network.output.weight);
  head.output_bias = listed(trained.network.output.bias);
  return out;
}

}  // namespace genossm
