// Alleles as VCF writes them: what kind an ALT is, and the smallest change that it stands for.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "libgenossm/io/genome.h"

namespace genossm {

enum class AlleleKind {
  dna,        // A, C, G, T (U counts as T) of either case
  symbolic,   // <DEL>, <*>, <NON_REF>
  breakend,   // G]17:198982], .A, A.
  star,       // *: missing because of a deletion upstream
  missing,    // . among others, or nothing
  ambiguous,  // N and the other IUPAC codes
  other,      // anything else
};

AlleleKind kind_of_allele(std::string_view allele);

// `ref` and `alt` without the bases that they share: those at their ends first, so that an indel in
// a repeat stands as far left as it was written, then those at their beginnings. In upper case, U
// as T. `at`: where the change begins, 0-based.
struct Change {
  Index at = 0;
  std::string ref, alt;
  bool is_snv() const { return ref.size() == 1 && alt.size() == 1; }
};
Change smallest_change(Index at, std::string_view ref, std::string_view alt);

// The contig as the reference spells it: as it stands, with or without "chr", or chrM for MT.
std::optional<std::string> find_contig(const Genome& genome, const std::string& name);

}  // namespace genossm
