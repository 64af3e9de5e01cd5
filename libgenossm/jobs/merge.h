// The parts of a job put together: the output of the same job without --shard, byte for byte.
#pragma once

#include <string>
#include <vector>

#include "libgenossm/output/writer.h"

namespace genossm {

struct MergeOptions {
  std::vector<std::string> parts;  // none: those beside the output, by their names
  OutputRequest output;
  std::string input;    // variants: where the file that was scored is now; empty: where it was
  bool remove = false;  // the parts, when the output stands
};

struct MergeReport {
  std::int64_t parts = 0;
  std::string type;
};

// Throws Fault::missing for a part that is not there; Fault::input for parts of different jobs
// (what differs is said), given twice, damaged or unfinished; Fault::output.
MergeReport merge(const MergeOptions& options);

}  // namespace genossm
