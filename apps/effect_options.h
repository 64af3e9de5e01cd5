// Options of the commands that score alleles: variants and mutate.
#pragma once

#include "apps/shared_options.h"
#include "libgenossm/jobs/effect.h"

namespace genossm {

// --score, --window, --anchor, --suffix, --grid, --length-rule, --reduce, --settle, --no-reuse,
// --pool-window, --alphabet, --bos, --strand, --chunk
struct EffectFlags {
  std::string score, strand, length_rule = "equal", reduce = "sum", alphabet, bos;
  Index window = 0, anchor = -1, suffix = 0, grid = 0, pool = -1, chunk = 0;
  double settle = 0;
  bool no_reuse = false;

  void add(CLI::App& app);
  // The model named, or the bundled one that has the score. Fault::usage.
  OpenedModel open(ModelOptions& model, Device& device, bool quiet) const;
  EffectOptions options(const ModelOptions& model, const OpenedModel& opened) const;
};

}  // namespace genossm
