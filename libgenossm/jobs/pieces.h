// PieceSource: the sequences of another source, cut into windows that are sequences of their own.
#pragma once

#include <deque>
#include <memory>
#include <string>

#include "libgenossm/jobs/source.h"

namespace genossm {

struct SequencePart {
  std::string name, contig;  // of the sequence it belongs to
  Index at = 0;              // where the sequence begins on its contig; 0 without one
  Index sequence_end = 0;    // its end there
  Index begin = 0, end = 0;  // bases of the sequence
  bool last = false;         // of its sequence
};

class PieceSource final : public SequenceSource {
 public:
  // Pieces of `window` bases, `stride` apart, the last one ending where the sequence ends; 0: whole
  // sequences. What was handed out stands in `given` until its owner takes it away.
  PieceSource(std::unique_ptr<SequenceSource> source, Index window, Index stride,
              std::deque<SequencePart>& given);
  bool next(Sequence& sequence) override;
  const ReadTally& tally() const override { return source_->tally(); }
  Index total_bases() const override { return source_->total_bases(); }
  Index sequences() const { return sequences_; }
  Index bases() const { return bases_; }

 private:
  std::unique_ptr<SequenceSource> source_;
  Index window_, stride_;
  std::deque<SequencePart>& given_;
  Sequence current_;
  Index next_begin_ = -1;  // in current_; -1: it is used up
  Index sequences_ = 0, bases_ = 0;
};

}  // namespace genossm
