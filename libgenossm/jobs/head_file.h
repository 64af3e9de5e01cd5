// HeadFile: a fitted head with all that is needed to use it, as a safetensors file.
//
// Tensors: mean, scale [columns] (F64), hidden.weight, hidden.bias (mlp), output.weight,
// output.bias (F32). Metadata: "format": "genossm-head-1"; "head": one line of JSON: kind, labels,
// model and its checksum, recipe, lengths of the training sequences, figures, provenance
// (docs/classification.md).
#pragma once

#include <string>
#include <vector>

#include "libgenossm/jobs/head_recipe.h"
#include "libgenossm/tasks/head.h"

namespace genossm {

struct HeadFile {
  Head head;
  std::vector<std::string> labels;  // by class; empty for ridge
  HeadRecipe recipe;
  std::string model, model_sha256, precision;
  std::string alphabet = "acgt";    // of the model's probabilities: acgt, full
  Index shortest = 0, longest = 0;  // training sequences, bases
  std::string test;                 // JSON of the test figures; empty: none were taken
  Provenance provenance;            // version, command
};

// Throws Fault::output.
void write_head(const HeadFile& file, const std::string& path, bool force);
// Throws Fault::missing, Fault::checkpoint: not a head, damaged, numbers that do not fit together.
HeadFile read_head(const std::string& path);

// Throws Fault::checkpoint if the head was trained on another model.
void require_model(const HeadFile& file, const OpenedModel& model, const std::string& path);

}  // namespace genossm
