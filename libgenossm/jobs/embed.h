// The embed job: sequences in, one vector a record (or a base) out.
#pragma once

#include "libgenossm/jobs/job.h"
#include "libgenossm/output/writer.h"
#include "libgenossm/tasks/pooling.h"

namespace genossm {

struct EmbedOptions {
  SourceOptions source;
  RunOptions run;
  Features features;
  PoolKind pool = PoolKind::mean;
  bool special_tokens = true;  // as the published tokenizer adds them
  OutputRequest output;
  Element element = Element::f32;
  Provenance provenance;  // put before the job's own
};

JobReport embed(const OpenedModel& model, Device& device, const EmbedOptions& options);

// The strand mode that embed uses by default (product.md section 7).
StrandMode default_strand(const OpenedModel& model, bool token_ids, bool logits);

}  // namespace genossm
