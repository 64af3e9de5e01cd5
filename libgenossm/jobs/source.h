// SequenceSource: what a job works on, one sequence at a time: records of files, regions of a
// reference, or raw token ids.
#pragma once

#include <memory>
#include <string>
#include <utility>
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
  // Regions of a reference are not read but come as `text`, so that a chromosome need not stand in
  // memory.
  bool lazy = false;
};

// The letters of a sequence, in memory or in an indexed reference.
class SequenceText {
 public:
  explicit SequenceText(std::string bases)
      : bases_(std::move(bases)), length_(static_cast<Index>(bases_.size())) {}
  SequenceText(std::shared_ptr<const Genome> genome, std::string contig, Index begin, Index end)
      : genome_(std::move(genome)),
        contig_(std::move(contig)),
        begin_(begin),
        length_(end - begin) {}
  Index length() const { return length_; }
  // Bases [begin, end). Any number of threads may call it at once.
  std::string piece(Index begin, Index end) const;

 private:
  std::string bases_;
  std::shared_ptr<const Genome> genome_;  // none: bases_
  std::string contig_;
  Index begin_ = 0, length_ = 0;
};

struct Sequence {
  std::string name;
  std::string contig;          // of a region, else empty
  Index begin = -1, end = -1;  // 0-based, of a region
  std::string bases;
  std::shared_ptr<const SequenceText> text;  // instead of bases, with SourceOptions::lazy
  std::vector<std::int32_t> ids;             // instead of bases
  bool is_ids = false;
  Index length() const {
    if (text) return text->length();
    return static_cast<Index>(is_ids ? ids.size() : bases.size());
  }
  std::string piece(Index from, Index to) const {
    if (text) return text->piece(from, to);
    return bases.substr(static_cast<std::size_t>(from), static_cast<std::size_t>(to - from));
  }
  // Its letters; the bases are moved out.
  std::shared_ptr<const SequenceText> take_text() {
    return text ? text : std::make_shared<const SequenceText>(std::move(bases));
  }
};

class SequenceSource {
 public:
  static std::unique_ptr<SequenceSource> open(const SourceOptions& options);
  virtual ~SequenceSource() = default;
  virtual bool next(Sequence& sequence) = 0;
  virtual const ReadTally& tally() const = 0;
  // Bases in all, where that is known beforehand (regions); else 0.
  virtual Index total_bases() const { return 0; }
  // Of the reference that regions are taken from; else none.
  virtual std::vector<std::pair<std::string, Index>> contigs() const { return {}; }
};

}  // namespace genossm
