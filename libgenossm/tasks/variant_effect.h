// Variant effects: what is said of an allele, and the extents over which it is scored.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kernels/core/view.h"

namespace genossm {

// Why an allele has a score or none.
enum class AlleleStatus {
  ok,
  ref_mismatch,  // REF is not what the reference has there
  symbolic,      // <DEL> and the like
  breakend,      // BND notation, also single breakends
  star,          // *
  missing,       // . among the ALTs
  ambiguous,     // N or another IUPAC code in REF or ALT
  not_dna,       // other letters
  no_contig,     // the reference has no such contig
  edge,          // runs past the contig's end, or nothing stands before it that a model could read
  too_long,      // longer than the part of the window that begins with the variant
  not_snv,       // the score is defined for single bases only
  same,          // ALT is REF
  not_finite,    // the model gave NaN or infinity
};
std::string_view name_of(AlleleStatus status);  // "OK", "REF_MISMATCH", ...
// All of them, for the header: "OK, REF_MISMATCH, ...".
std::string status_list();

// How the bases after a variant are counted when its alleles differ in length. equal: as many bases
// of both; free: up to the same base of the reference, so that a longer allele has more to explain.
enum class LengthRule { equal, free };

struct ReuseGeometry {
  Index window = 0;  // bases that the model sees at least, where the contig has them
  Index suffix = 0;  // of these, bases from the variant on
  Index grid = 0;    // windows begin at multiples of this
};

// The window of a variant at `at`: [begin, end) of the contig. It ends `suffix` bases after the
// variant's beginning and begins at the last grid point that leaves `window` bases, so that the
// variants of a stretch share the beginning and with it everything before them. Cut at the contig's
// ends. Length: window to window + grid - 1.
struct Extent {
  Index begin = 0, end = 0;
};
Extent reuse_extent(const ReuseGeometry& geometry, Index at, Index contig);

// Bases from the variant on that are scored of the two alleles; 0 where nothing is left.
struct ScoredBases {
  Index ref = 0, alt = 0;
};
ScoredBases scored_bases(LengthRule rule, Index suffix, Index at, Index ref, Index alt,
                         Index contig);

// The last multiple of `tile` before place `at` of a sequence, at > 0: from there on a branch
// computes.
Index branch_place(Index at, Index tile);

// A mean over rows [at - reach, at + reach] of a window; rows beyond its ends count as its first
// and last (Caduceus vep_embeddings clamps its indices). weights[i] belongs to row first + i.
struct RowWeights {
  Index first = 0;
  std::vector<double> weights;
};
RowWeights rows_around(Index at, Index reach, Index window);

// Distances of two vectors of n values, in double.
double l2_distance(const float* a, const float* b, Index n);
double cosine_distance(const float* a, const float* b, Index n);  // 1 - cos; NaN of a zero vector

}  // namespace genossm
