// The mutate job: every single-base change of a region, and its effect.
//
// Rows are bases of the regions; columns A, C, G, T are what stands there instead (0 for the base
// itself), with indels of one base also del (the base is missing), insA, insC, insG, insT (a base
// more after it).
#pragma once

#include "libgenossm/jobs/effect.h"

namespace genossm {

struct MutateOptions {
  SourceOptions source;  // a reference and regions
  EffectOptions effect;
  bool indels = false;
  OutputRequest output;  // npz, npy, safetensors; tsv, tsv.gz, vcf, vcf.gz: a line a change
  std::string plot;      // an SVG; empty: none
  Provenance provenance;
};

JobReport mutate(const OpenedModel& model, Device& device, const MutateOptions& options);

}  // namespace genossm
