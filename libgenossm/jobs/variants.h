// The variants job: a file of variants in, the same file out, every allele scored or a reason
// given.
#pragma once

#include "libgenossm/jobs/effect.h"
#include "libgenossm/output/variant_writer.h"

namespace genossm {

// What to do where REF is not what the reference has there.
enum class RefMismatch {
  skip,     // no score, status REF_MISMATCH
  error,    // Fault::input
  use_vcf,  // REF of the file stands in for the reference
};
RefMismatch parse_ref_mismatch(const std::string& text);  // Fault::usage

struct VariantsOptions {
  std::string input;      // VCF, BCF or table; "-" is stdin
  std::string reference;  // FASTA; empty only for tables that bring their windows
  EffectOptions effect;
  RefMismatch ref_mismatch = RefMismatch::skip;
  OutputRequest output;  // also npz and npy: the vectors of embdist
  std::string index;     // "csi", "tbi", "auto" (csi); empty: none
  Provenance provenance;
};

JobReport score_variants(const OpenedModel& model, Device& device, const VariantsOptions& options);

}  // namespace genossm
