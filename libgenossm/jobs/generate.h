// generate: bases from a causal model, one after the other.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "libgenossm/jobs/job.h"
#include "libgenossm/output/writer.h"
#include "libgenossm/tasks/sampling.h"

namespace genossm {

struct GenerateOptions {
  std::vector<std::string> prompts;  // bases; none: one empty prompt, whose first base is uniform
  Index samples = 1;                 // of each prompt
  Index length = 0;                  // bases of each, the prompt not counted
  Sampling sampling;
  std::optional<std::uint64_t> seed;  // none: that of the state, else 0
  std::string save_state;             // file, written at the end; one sequence only
  std::string state;                  // file to go on from, instead of a prompt
  RunOptions run;
  OutputRequest output;  // FASTA: the new bases alone
};

// The same options and seed give the same bases on any number of threads; a state saved after n
// bases goes on with those that one run would have given. Models without a state read all of a
// sequence for each of its bases. Throws Fault::usage for states of those, Fault::input for a state
// that is damaged or of another model.
JobReport generate(const OpenedModel& model, Device& device, const GenerateOptions& options);

}  // namespace genossm
