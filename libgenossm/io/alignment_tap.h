// AlignmentTap: sees the alignments of a file as they are read, for those who write them again.
#pragma once

struct sam_hdr_t;
struct bam1_t;

namespace genossm {

class AlignmentTap {
 public:
  virtual ~AlignmentTap() = default;
  // Once, before the first alignment. Both arguments hold for the call only.
  virtual void header(const sam_hdr_t& header) = 0;
  // `given`: the reader hands its sequence out; otherwise it is skipped (secondary, supplementary,
  // without a sequence).
  virtual void alignment(const bam1_t& alignment, bool given) = 0;
};

}  // namespace genossm
