// Genome: a FASTA file with random access (plain or bgzip, .fai/.gzi), and regions of it.
//
// A missing index is built: beside the file if that is possible, else in memory, and so is one that
// takes the place of an index that does not fit the file. What is read is compared with the index:
// line ends where it says, and nothing but nucleotide codes between them.
// Errors: Fault::missing, Fault::input (not indexable, duplicate names, unknown contig, region
// outside the contig unless clipped).
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/core/view.h"

namespace genossm {

// 0-based, end exclusive.
struct Region {
  std::string contig;
  Index begin = 0;
  Index end = 0;
  std::string name;  // BED column 4, else "contig:begin+1-end" as samtools writes it
  std::string kept;  // of a BED line: the column that was asked for
  Index line = 0;    // of the BED file, from 1
};

class Genome {
 public:
  static Genome open(const std::string& path);
  ~Genome();
  Genome(Genome&&) noexcept;
  Genome& operator=(Genome&&) noexcept;

  const std::vector<std::string>& contigs() const;  // in file order
  Index length(const std::string& contig) const;    // Fault::input if unknown
  bool has(const std::string& contig) const;
  // Bases [begin, end) as they stand in the file. Any number of threads may call it at once.
  std::string fetch(const std::string& contig, Index begin, Index end) const;
  const std::vector<std::string>& warnings() const;  // whole sentences

 private:
  struct Impl;
  explicit Genome(std::unique_ptr<Impl>);
  std::unique_ptr<Impl> impl_;
};

// "chr", "chr:5" and "chr:5-" (to the end, as samtools reads it), "chr:5-10", "chr:-10",
// "{name:with:colons}:5-10"; 1-based, inclusive; a comma-separated list in one string. Commas in
// numbers stand before three digits and belong to the number if they can. A whole contig name wins
// over a split. With `clip`, what is left of a region is its part inside the contig, perhaps
// nothing. Throws Fault::usage for the form of the text, Fault::input for contigs and places.
std::vector<Region> parse_regions(std::string_view text, const Genome& genome, bool clip);
// BED (plain, gzip or "-"): 0-based; track, browser, # and blank lines skipped; columns by tabs, or
// by white space in lines without tabs. `keep`: a column (from 1) to keep as text, which every line
// must then have; 0: none. Errors (Fault::input) name the line.
std::vector<Region> read_bed(const std::string& path, const Genome& genome, bool clip,
                             Index keep = 0);

}  // namespace genossm
