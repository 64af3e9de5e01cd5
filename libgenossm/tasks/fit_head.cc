#include "libgenossm/tasks/fit_head.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <string>

#include "kernels/core/error.h"
#include "libgenossm/tasks/fitters.h"

namespace genossm {
namespace {

void check_options(const FitOptions& o) {
  const auto want = [](bool condition, const std::string& sentence) {
    require(condition, Fault::usage, "fitting a head: " + sentence);
  };
  const bool mlp = o.kind == HeadKind::mlp;
  for (const double l2 : o.l2) {
    want(std::isfinite(l2) && (mlp ? l2 >= 0 : l2 > 0),
         "l2 is " + std::to_string(l2) + ", want a number above 0");
  }
  want(o.folds >= 2 || o.folds == 0 || o.folds == kLeaveOneOut,
       std::to_string(o.folds) + " folds, want 2 or more, leave-one-out or none");
  want(o.tolerance > 0 && o.max_iterations > 0, "tolerance and iterations must be above 0");
  want(!mlp || (o.hidden > 0 && o.epochs > 0 && o.patience > 0 && o.batch > 0),
       "hidden units, epochs, patience and batch must be above 0");
  want(!mlp || (o.learning_rate > 0 && std::isfinite(o.learning_rate)),
       "the learning rate must be above 0");
}

void check_classes(const Targets& targets) {
  require(targets.classes >= 2, Fault::input,
          "targets: " + std::to_string(targets.classes) + " classes, want two or more");
  std::vector<Index> rows(static_cast<std::size_t>(targets.classes), 0);
  for (std::size_t i = 0; i < targets.labels.size(); ++i) {
    const std::int32_t label = targets.labels[i];
    require(label >= 0 && label < targets.classes, Fault::input,
            "targets: label " + std::to_string(label) + " of row " + std::to_string(i + 1) +
                " is none of " + std::to_string(targets.classes) + " classes");
    ++rows[static_cast<std::size_t>(label)];
  }
  for (std::size_t c = 0; c < rows.size(); ++c) {
    require(rows[c] > 0, Fault::input,
            "targets: class " + std::to_string(c) + " has no row in the training part");
  }
}

void check_values(const Targets& targets) {
  for (std::size_t i = 0; i < targets.values.size(); ++i) {
    require(std::isfinite(targets.values[i]), Fault::input,
            "targets: the value of row " + std::to_string(i + 1) + " is not a finite number");
  }
}

void check_rows(const FeatureTable& features, const Targets& targets, const FitOptions& options) {
  require(features.rows > 0 && features.columns > 0, Fault::input,
          "training part: no rows or no columns, want some");
  const bool numbers = options.kind == HeadKind::ridge;
  require(numbers == (targets.classes == 0), Fault::usage,
          numbers ? "a ridge head predicts numbers, and the targets are classes"
                  : "a " + std::string(name_of(options.kind)) +
                        " head predicts classes, and the targets are numbers");
  require(targets.rows() == features.rows, Fault::input,
          "training part: " + std::to_string(features.rows) + " rows and " +
              std::to_string(targets.rows()) + " targets");
  require(options.groups.empty() || static_cast<Index>(options.groups.size()) == features.rows,
          Fault::input, "training part: the numbers of rows and groups differ");
  numbers ? check_values(targets) : check_classes(targets);
  require_finite(features, "training part");
}

}  // namespace

std::vector<double> default_l2(HeadKind kind) {
  if (kind == HeadKind::mlp) return {1};
  return {1e-2, 1e-1, 1, 1e1, 1e2, 1e3, 1e4, 1e5};
}

void choose(const FitTask& task, const std::vector<std::vector<HeldOut>>& held_out,
            FitReport& report) {
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  const auto mean = [](const HeldOut& h) {
    return h.rows > 0 ? h.sum / static_cast<double>(h.rows) : kNone;
  };
  report.folds = task.folds.count;
  std::size_t best = 0;
  for (std::size_t i = 0; i < held_out.size(); ++i) {
    HeldOut all;
    std::vector<double>& row = report.score.emplace_back();
    for (const HeldOut& fold : held_out[i]) {
      row.push_back(mean(fold));
      all.sum += fold.sum;
      all.rows += fold.rows;
    }
    report.mean_score.push_back(mean(all));
    if (report.mean_score[i] < report.mean_score[best]) best = i;
  }
  report.l2 = task.l2[best];
  report.at_edge = task.l2.size() > 1 && (best == 0 || best + 1 == task.l2.size());
}

void check_fit(const FeatureTable& features, const Targets& targets, const FitOptions& options) {
  check_options(options);
  check_rows(features, targets, options);
}

FittedHead fit_head(const FeatureTable& features, const Targets& targets, const FitOptions& options,
                    Cpu& cpu) {
  const auto start = std::chrono::steady_clock::now();
  check_fit(features, targets, options);
  FitTask task{features, targets, options, options.l2, {}, cpu};
  if (task.l2.empty()) {
    task.l2 = options.folds == 0 ? std::vector<double>{1} : default_l2(options.kind);
  }
  const double first = task.l2.front();
  std::sort(task.l2.begin(), task.l2.end(), std::greater<>());
  task.l2.erase(std::unique(task.l2.begin(), task.l2.end()), task.l2.end());
  const std::vector<double> grid = task.l2;
  if (options.folds == 0) task.l2 = {first};
  if (task.l2.size() > 1) {
    task.folds =
        make_folds(features.rows, targets.labels, options.groups, options.folds, options.seed);
  }
  FittedHead out = options.kind == HeadKind::softmax ? fit_softmax(task)
                   : options.kind == HeadKind::ridge ? fit_ridge(task)
                                                     : fit_mlp(task);
  out.report.l2_grid = grid;
  const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
  out.report.seconds = passed.count();
  return out;
}

}  // namespace genossm
