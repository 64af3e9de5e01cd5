// The three ways of fitting a head. Private to fit_head.
#pragma once

#include <vector>

#include "libgenossm/tasks/fit_head.h"
#include "libgenossm/tasks/folds.h"

namespace genossm {

// Checked input. l2 descends; folds.count is 0 where nothing is to be chosen.
struct FitTask {
  const FeatureTable& features;
  const Targets& targets;
  const FitOptions& options;
  std::vector<double> l2;
  Folds folds;
  Cpu& cpu;
};

// Everything but the report's seconds.
FittedHead fit_softmax(const FitTask& task);
FittedHead fit_ridge(const FitTask& task);
FittedHead fit_mlp(const FitTask& task);

// The sum of a loss over the held-out rows of one fold, and how many they are.
struct HeldOut {
  double sum = 0;
  Index rows = 0;
};

// held_out: [l2, folds]. Fills the report's scores and its choice.
void choose(const FitTask& task, const std::vector<std::vector<HeldOut>>& held_out,
            FitReport& report);

}  // namespace genossm
