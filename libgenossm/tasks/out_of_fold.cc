#include <algorithm>
#include <mutex>

#include "kernels/core/error.h"
#include "libgenossm/tasks/fit_head.h"

namespace genossm {
namespace {

// The classes that some rows have, renumbered without gaps.
struct Renumbered {
  Targets targets;
  std::vector<Index> classes;  // the number of each before
};

Renumbered without_gaps(Targets targets) {
  Renumbered out;
  std::vector<Index> place(static_cast<std::size_t>(targets.classes), -1);
  for (const std::int32_t label : targets.labels) place[static_cast<std::size_t>(label)] = 0;
  for (std::size_t c = 0; c < place.size(); ++c) {
    if (place[c] < 0) continue;
    place[c] = static_cast<Index>(out.classes.size());
    out.classes.push_back(static_cast<Index>(c));
  }
  for (std::int32_t& label : targets.labels) {
    label = static_cast<std::int32_t>(place[static_cast<std::size_t>(label)]);
  }
  targets.classes = static_cast<Index>(out.classes.size());
  out.targets = std::move(targets);
  return out;
}

template <class T>
std::vector<T> picked(const std::vector<T>& values, const std::vector<Index>& rows) {
  std::vector<T> out;
  if (values.empty()) return out;
  for (const Index i : rows) out.push_back(values[static_cast<std::size_t>(i)]);
  return out;
}

struct Run {
  const FeatureTable& features;
  const Targets& targets;
  const FitOptions& options;
  Folds folds;
  Cpu& cpu;
};

void predict_fold(const Run& run, Index f, OutOfFold& out) {
  const std::vector<Index> rest = run.folds.rows_without(f), own = run.folds.rows_of(f);
  const Index outputs = std::max<Index>(run.targets.classes, 1);
  const FeatureRows test = take_rows(run.features, own);
  const auto at = [&](std::size_t i, Index c) -> double& {
    return out.predictions[static_cast<std::size_t>(own[i] * outputs + c)];
  };
  Renumbered train{take_rows(run.targets, rest), {0}};
  if (run.targets.classes > 0) train = without_gaps(std::move(train.targets));
  if (train.targets.classes == 1) {
    for (std::size_t i = 0; i < own.size(); ++i) at(i, train.classes[0]) = 1;
    return;
  }
  FitOptions options = run.options;
  options.groups = picked(run.options.groups, rest);
  const FeatureRows rows = take_rows(run.features, rest);
  const FittedHead fitted = fit_head(rows.table(), train.targets, options, run.cpu);
  out.l2[static_cast<std::size_t>(f)] = fitted.report.l2;
  const std::vector<double> said = predict(fitted.head, test.table(), run.cpu);
  const std::size_t k = train.classes.size();
  for (std::size_t i = 0; i < own.size(); ++i) {
    for (std::size_t c = 0; c < k; ++c) at(i, train.classes[c]) = said[i * k + c];
  }
}

}  // namespace

OutOfFold cross_validated_predictions(const FeatureTable& features, const Targets& targets,
                                      const FitOptions& options, Index folds, Cpu& cpu,
                                      const std::function<void(Index, Index)>& progress) {
  check_fit(features, targets, options);
  const Run run{features, targets, options,
                make_folds(features.rows, targets.labels, options.groups, folds, options.seed),
                cpu};
  OutOfFold out;
  out.fold = run.folds.fold;
  out.folds = run.folds.count;
  out.l2.assign(static_cast<std::size_t>(out.folds), options.l2.empty() ? 0 : options.l2.front());
  out.predictions.assign(
      static_cast<std::size_t>(features.rows * std::max<Index>(targets.classes, 1)), 0.0);
  std::mutex one;
  Index done = 0;
  cpu.for_each(out.folds, [&](Index f) {
    predict_fold(run, f, out);
    if (!progress) return;
    const std::lock_guard lock(one);
    progress(++done, out.folds);
  });
  return out;
}

}  // namespace genossm
