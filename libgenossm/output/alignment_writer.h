// TaggedAlignments: the alignments of a SAM, BAM or CRAM file again, as SAM or BAM, every one kept
// and in order, those that were handed out with the class that was found for them:
//   gc:Z  the class        gq:f  its probability (or, of a regression head, the value)
// An @PG line is added to the header unless the program is not to be named.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "libgenossm/io/alignment_tap.h"
#include "libgenossm/output/writer.h"

namespace genossm {

struct AlignmentOutput {
  OutputRequest request;
  std::string type;  // "sam", "bam"
  // For @PG; version empty: none is written.
  std::string version, command;
};

class TaggedAlignments : public AlignmentTap {
 public:
  static std::unique_ptr<TaggedAlignments> open(const AlignmentOutput& output);
  // The result of the next alignment that was given and has none yet; `label` empty: no gc tag.
  virtual void result(const std::string& label, float value) = 0;
  // Completes the file and gives it its name. Without it nothing is left. Throws Fault::output.
  virtual void finish() = 0;
};

}  // namespace genossm
