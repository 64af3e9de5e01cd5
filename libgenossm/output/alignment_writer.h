// TaggedAlignments: the alignments of a SAM, BAM or CRAM file again, as SAM or BAM, every one kept
// and in order, those that were handed out with what was found for them:
//   gc:Z  the class        gq:f    its probability (or, of a regression head, the value)
//   gl:f  ln p of the read gb:B:f  ln p of each base, as sequenced, NaN where there is none
// An @PG line is added to the header unless the program is not to be named.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "libgenossm/io/alignment_tap.h"
#include "libgenossm/output/writer.h"

namespace genossm {

struct AlignmentOutput {
  OutputRequest request;
  std::string type;  // "sam", "bam"
  // For @PG; version empty: none is written.
  std::string version, command;
  // Tags that an earlier run may have left, to be removed.
  std::vector<std::string> tags{"gc", "gq"};
};

class TaggedAlignments : public AlignmentTap {
 public:
  static std::unique_ptr<TaggedAlignments> open(const AlignmentOutput& output);
  // The result of the next alignment that was given and has none yet; `label` empty: no gc tag.
  virtual void result(const std::string& label, float value) = 0;
  // The same with scores; no sum: no gl tag.
  virtual void scores(std::optional<float> sum, const std::vector<float>& bases) = 0;
  // Completes the file and gives it its name. Without it nothing is left. Throws Fault::output.
  virtual void finish() = 0;
};

}  // namespace genossm
