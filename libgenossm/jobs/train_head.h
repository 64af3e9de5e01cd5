// The train-head job: labelled sequences in, a head file and figures out.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "libgenossm/jobs/head_file.h"
#include "libgenossm/jobs/training_set.h"
#include "libgenossm/tasks/fit_head.h"
#include "libgenossm/tasks/leaks.h"
#include "libgenossm/tasks/metrics.h"

namespace genossm {

struct TrainHeadOptions {
  LabelledOptions train;
  std::optional<LabelledOptions> test;
  HeadRecipe recipe;
  RunOptions run;
  FitOptions fit;
  // Without a test part: folds of the evaluation, >= 2 or kLeaveOneOut; 0: no evaluation.
  Index evaluation_folds = 0;
  bool drop_leaks = false;
  BootstrapOptions bootstrap;
  FeatureCache cache{""};
  std::string machine;        // feature_key()
  OutputRequest output;       // the head; empty path: none
  OutputRequest metrics;      // JSON; empty path: none
  OutputRequest predictions;  // TSV: of the test part or out of fold; empty path: none
  Provenance provenance;
  std::function<void(const std::string&)> stage;  // "fitting": called as a stage begins
};

struct TrainHeadReport {
  JobReport job;
  std::string text;  // figures, for people
  double seconds_reading = 0, seconds_embedding = 0, seconds_fitting = 0, seconds_evaluating = 0;
};

// Throws what its parts throw; Fault::input for one class alone.
TrainHeadReport train_head(const OpenedModel& model, Device& device,
                           const TrainHeadOptions& options);

}  // namespace genossm
