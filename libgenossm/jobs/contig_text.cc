#include "libgenossm/jobs/contig_text.h"

#include <algorithm>

#include "libgenossm/tokenizer/tokenizer.h"

namespace genossm {
namespace {

constexpr Index kPiece = Index{1} << 18;
constexpr std::size_t kMostPieces = 8;

}  // namespace

const ContigText::Piece& ContigText::piece(const std::string& contig, Index begin) {
  const auto found = std::find_if(pieces_.begin(), pieces_.end(), [&](const Piece& piece) {
    return piece.begin == begin && piece.contig == contig;
  });
  if (found != pieces_.end()) return *found;
  if (pieces_.size() == kMostPieces) pieces_.pop_back();
  const Index end = std::min(begin + kPiece, genome_.length(contig));
  Piece fresh{contig, begin, genome_.fetch(contig, begin, end)};
  for (char& c : fresh.bases) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  pieces_.push_front(std::move(fresh));
  return pieces_.front();
}

std::string ContigText::window(const std::string& contig, Index begin, Index end, bool reverse) {
  const Index length = genome_.length(contig);
  if (reverse) return reverse_complement(window(contig, length - end, length - begin));
  std::string out;
  out.reserve(static_cast<std::size_t>(end - begin));
  for (Index at = begin; at < end;) {
    if (at < 0 || at >= length) {
      const Index stop = at < 0 ? std::min<Index>(end, 0) : end;
      out.append(static_cast<std::size_t>(stop - at), 'N');
      at = stop;
      continue;
    }
    const Piece& part = piece(contig, at / kPiece * kPiece);
    const Index stop = std::min({end, length, part.begin + kPiece});
    out.append(part.bases, static_cast<std::size_t>(at - part.begin),
               static_cast<std::size_t>(stop - at));
    at = stop;
  }
  return out;
}

}  // namespace genossm
