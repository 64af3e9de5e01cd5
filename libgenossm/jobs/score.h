// The score job: how likely a model finds every base.
//
// Causal models: ln p(base | bases to its left), all bases of a window in one pass. Masked models:
// each base masked in turn, ln p(base | everything else), one pass a base. Probabilities are over
// A, C, G, T unless the whole vocabulary is asked for.
#pragma once

#include "libgenossm/jobs/job.h"
#include "libgenossm/jobs/job_plan.h"
#include "libgenossm/output/tsv.h"
#include "libgenossm/output/writer.h"
#include "libgenossm/tasks/likelihood.h"

namespace genossm {

enum class Track { logp, entropy, info };

// "logp", "entropy", "info" or a comma-separated list; Fault::usage.
std::vector<Track> parse_tracks(const std::string& text);
std::string_view name_of(Track track);

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
  std::string plot;  // an SVG of the tracks; empty: none
  Provenance provenance;
  // Instead of tracks: four, the heights of A, C, G and T in the logo of the prediction (p times
  // 2 - entropy, bits), as a folder for genome browsers at the output's path.
  bool logo = false;
  std::string assembly;  // of the hub: what genome browsers call it; empty: by the file's name
  bool header = true;    // provenance lines
  std::string version, command;  // for the @PG line of bam; empty: none
};

// What the job would do. Nothing is written.
JobPlan plan_score(const OpenedModel& model, Device& device, const ScoreOptions& options);

JobReport score(const OpenedModel& model, Device& device, const ScoreOptions& options);

}  // namespace genossm
