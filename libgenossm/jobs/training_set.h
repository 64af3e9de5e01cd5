// TrainingSet: labelled sequences as a classifier takes them: classes numbered, features computed.
#pragma once

#include <string>
#include <vector>

#include "libgenossm/io/labelled.h"
#include "libgenossm/jobs/feature_cache.h"
#include "libgenossm/tasks/features.h"

namespace genossm {

// The different labels: as numbers if all are numbers, else as text.
std::vector<std::string> class_names(const std::vector<LabelledRecord>& records);

// Throws Fault::input at the first label that is not among `classes` (classes empty: at the first
// that is no finite number).
Targets targets_of(const std::vector<LabelledRecord>& records,
                   const std::vector<std::string>& classes);

// Throws Fault::input at the first sequence that is longer than the model may see at once.
void require_lengths(const std::vector<LabelledRecord>& records, Index window);

struct ComputedFeatures {
  FeatureRows rows;
  bool cached = false;  // found on disk
  JobReport job;        // of the embedding; empty if cached
};
// One row a record. `total` and what was done `before` are for the progress of several calls.
ComputedFeatures compute_features(const OpenedModel& model, Device& device,
                                  const HeadRecipe& recipe, const RunOptions& run,
                                  const std::vector<LabelledRecord>& records,
                                  const FeatureCache& cache, const std::string& machine);

}  // namespace genossm
