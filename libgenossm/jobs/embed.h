// The embed job: sequences in, one vector a record (or a base) out.
#pragma once

#include <functional>
#include <memory>

#include "libgenossm/jobs/job.h"
#include "libgenossm/jobs/job_plan.h"
#include "libgenossm/output/writer.h"
#include "libgenossm/tasks/pooling.h"

namespace genossm {

struct EmbedOptions {
  SourceOptions source;
  RunOptions run;
  Features features;
  PoolParts pool{PoolPart{}};
  Index bin = 0;               // instead of `pool`: the mean of every so many bases; 0: no bins
  bool special_tokens = true;  // as the published tokenizer adds them
  // Rows of the special tokens too, as published classification heads pool them; a record must then
  // fit into one window.
  bool special_rows = false;
  OutputRequest output;
  Element element = Element::f32;
  std::string plot;       // an SVG of the vectors' principal components; empty: none
  Provenance provenance;  // put before the job's own
};

JobReport embed(const OpenedModel& model, Device& device, const EmbedOptions& options);

// What that would do. Nothing is written.
JobPlan plan_embed(const OpenedModel& model, Device& device, const EmbedOptions& options);

// embed() with sequences and rows that come from and go to other places than files: the classifier
// jobs. `open` is called once, after the first sequence was read.
using OpenMatrix = std::function<std::unique_ptr<MatrixWriter>(const MatrixSpec&)>;
JobReport embed(const OpenedModel& model, Device& device, const EmbedOptions& options,
                SequenceSource& source, const OpenMatrix& open);

// The strand mode that embed uses by default (product.md section 7).
StrandMode default_strand(const OpenedModel& model, bool token_ids, bool logits);

}  // namespace genossm
