// ContigText: bases of a reference as windows of models want them: in upper case, N beyond the ends
// of a contig, of either strand; nearby windows share what was read of the file.
#pragma once

#include <deque>
#include <string>

#include "libgenossm/io/genome.h"

namespace genossm {

class ContigText {
 public:
  explicit ContigText(const Genome& genome) : genome_(genome) {}

  // Bases [begin, end) of the contig, which may lie outside it. `reverse`: of the other strand, in
  // its own direction; place t is there base length - 1 - t.
  std::string window(const std::string& contig, Index begin, Index end, bool reverse = false);
  Index length(const std::string& contig) const { return genome_.length(contig); }

 private:
  struct Piece {
    std::string contig;
    Index begin = 0;
    std::string bases;
  };
  const Piece& piece(const std::string& contig, Index begin);

  const Genome& genome_;
  std::deque<Piece> pieces_;  // the latest first
};

}  // namespace genossm
