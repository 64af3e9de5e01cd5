// The score job: how likely a model finds every base.
//
// Causal models: ln p(base | bases to its left), all bases of a window in one pass. Masked models:
// each base masked in turn, ln p(base | everything else), one pass a base. Probabilities are over
// A, C, G, T unless the whole vocabulary is asked for.
#pragma once

#include "libgenossm/jobs/job.h"
#include "libgenossm/output/tsv.h"
#include "libgenossm/output/writer.h"
#include "libgenossm/tasks/likelihood.h"

namespace genossm {

enum class Track { logp, entropy, info };

// "logp", "entropy", "info" or a comma-separated list; Fault::usage.
std::vector<Track> parse_tracks(const std::string& text);

struct ScoreOptions {
  SourceOptions source;
  RunOptions run;
  bool masked = false;
  bool per_record = false;
  bool full_alphabet = false;
  bool bos =
      false;  // causal: a window begins with the tokenizer's bos(), which predicts its first base
  std::vector<Track> tracks{Track::logp};
  OutputRequest output;
  Provenance provenance;
  bool header = true;  // provenance lines
};

JobReport score(const OpenedModel& model, Device& device, const ScoreOptions& options);

}  // namespace genossm
