// SequenceSource: what a job works on, one sequence at a time: records of files, regions of a
// reference, or raw token ids.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "libgenossm/io/genome.h"
#include "libgenossm/io/reader.h"

namespace genossm {

struct SourceOptions {
  std::vector<std::string> inputs;  // "-" is stdin
  std::string fasta_ref;            // reference for regions and CRAM
  std::string regions;              // -r
  std::string regions_file;         // -R
  bool clip = false;
  std::string token_ids;        // .npy of int64, one dimension
  AlignmentTap* tap = nullptr;  // ReaderOptions::tap
};

struct Sequence {
  std::string name;
  std::string contig;          // of a region, else empty
  Index begin = -1, end = -1;  // 0-based, of a region
  std::string bases;
  std::vector<std::int32_t> ids;  // instead of bases
  bool is_ids = false;
  Index length() const { return static_cast<Index>(is_ids ? ids.size() : bases.size()); }
};

class SequenceSource {
 public:
  static std::unique_ptr<SequenceSource> open(const SourceOptions& options);
  virtual ~SequenceSource() = default;
  virtual bool next(Sequence& sequence) = 0;
  virtual const ReadTally& tally() const = 0;
  // Bases in all, where that is known beforehand (regions); else 0.
  virtual Index total_bases() const { return 0; }
};

}  // namespace genossm
