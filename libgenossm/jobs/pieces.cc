#include "libgenossm/jobs/pieces.h"

#include <algorithm>

#include "kernels/core/error.h"

namespace genossm {

PieceSource::PieceSource(std::unique_ptr<SequenceSource> source, Index window, Index stride,
                         std::deque<SequencePart>& given)
    : source_(std::move(source)),
      window_(window),
      stride_(stride > 0 ? stride : window),
      given_(given) {
  if (window > 0 && stride_ > window) {
    fail(Fault::usage, "--stride " + std::to_string(stride_) + " is longer than the window of " +
                           std::to_string(window) + ": bases would be left out");
  }
}

bool PieceSource::next(Sequence& sequence) {
  if (next_begin_ < 0) {
    if (!source_->next(current_)) return false;
    ++sequences_;
    bases_ += current_.length();
    next_begin_ = 0;
  }
  const Index length = current_.length();
  SequencePart piece{current_.name, current_.contig, std::max<Index>(current_.begin, 0),
                     current_.end,  next_begin_,     length,
                     true};
  if (window_ > 0 && !current_.is_ids && next_begin_ + window_ < length) {
    piece.end = next_begin_ + window_;
    piece.last = false;
    next_begin_ = std::min(next_begin_ + stride_, length - window_);
  } else {
    next_begin_ = -1;
  }
  sequence = Sequence{};
  sequence.name = current_.name;
  if (current_.is_ids) {
    sequence.is_ids = true;
    sequence.ids = std::move(current_.ids);
  } else if (piece.begin == 0 && piece.last) {
    sequence.bases = std::move(current_.bases);
  } else {
    sequence.bases = current_.bases.substr(static_cast<std::size_t>(piece.begin),
                                           static_cast<std::size_t>(piece.end - piece.begin));
  }
  given_.push_back(std::move(piece));
  return true;
}

}  // namespace genossm
