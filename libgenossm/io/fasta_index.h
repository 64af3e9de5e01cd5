// The index of a FASTA file: where each contig begins and how its lines are laid out (PATH.fai, the
// five columns of samtools faidx).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libgenossm/io/file_bytes.h"

namespace genossm {

struct Contig {
  std::string name;
  Index length = 0;
  Index offset = 0;      // of the first base in the text
  Index line_bases = 0;  // in every line but the last
  Index line_width = 0;  // with the end of the line

  // The place of base `at`; for at == length, where the last line's end may stand.
  Index place(Index at) const {
    return line_bases == 0 ? offset : offset + at / line_bases * line_width + at % line_bases;
  }
};

// A FASTA file with an index that fits it.
struct IndexedFasta {
  FileBytes bytes;
  std::vector<Contig> contigs;
  bool index_beside = false;  // PATH.fai stands there and fits
  std::vector<std::string> warnings;
};

// Reads PATH.fai, or makes it where there is none; in memory only where it cannot be written. An
// index that does not fit the file is left alone and another made in memory.
// Throws Fault::missing, Fault::input.
IndexedFasta open_indexed_fasta(const std::string& path);

// From the whole text, every letter of which is looked at.
std::vector<Contig> index_fasta(const FileBytes& bytes);

std::optional<std::vector<Contig>> parse_fai(std::string_view text);
std::string fai_text(const std::vector<Contig>& contigs);

// Whether each contig begins where the index says, and nothing follows the last. Of more than a few
// thousand contigs an even selection is looked at.
bool index_fits(const std::vector<Contig>& contigs, const FileBytes& bytes);

}  // namespace genossm
