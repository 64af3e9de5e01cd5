#include "libgenossm/jobs/source.h"

#include <algorithm>

#include "kernels/core/error.h"
#include "libgenossm/jobs/npy_ids.h"

namespace genossm {
namespace {

// Every record of one file after the other.
class FileSource final : public SequenceSource {
 public:
  explicit FileSource(const SourceOptions& options) : options_(options) {
    if (std::count(options.inputs.begin(), options.inputs.end(), "-") > 1) {
      fail(Fault::usage, "standard input ('-') is given twice");
    }
  }

  bool next(Sequence& sequence) override {
    Record record;
    for (;;) {
      if (!reader_) {
        if (file_ == options_.inputs.size()) return false;
        reader_ = SequenceReader::open(options_.inputs[file_],
                                       {.reference = options_.fasta_ref, .tap = options_.tap});
      }
      if (reader_->next(record)) break;
      add(reader_->tally());
      reader_.reset();
      ++file_;
    }
    sequence = Sequence{};
    sequence.name = std::move(record.name);
    sequence.bases = std::move(record.bases);
    return true;
  }
  const ReadTally& tally() const override { return tally_; }

 private:
  void add(const ReadTally& t) {
    tally_.records += t.records;
    tally_.bases += t.bases;
    tally_.empty_records += t.empty_records;
    tally_.duplicate_names += t.duplicate_names;
    tally_.skipped_secondary += t.skipped_secondary;
    tally_.skipped_supplementary += t.skipped_supplementary;
    tally_.skipped_no_sequence += t.skipped_no_sequence;
    tally_.lower_case += t.lower_case;
    tally_.ambiguous += t.ambiguous;
    for (const auto& [text, n] : t.warnings) tally_.warnings[text] += n;
  }

  SourceOptions options_;
  std::size_t file_ = 0;
  std::unique_ptr<SequenceReader> reader_;
  ReadTally tally_;
};

class RegionSource final : public SequenceSource {
 public:
  RegionSource(const SourceOptions& options, const std::string& reference)
      : shared_(std::make_shared<const Genome>(Genome::open(reference))), lazy_(options.lazy) {
    const Genome& genome = *shared_;
    if (!options.regions.empty()) regions_ = parse_regions(options.regions, genome, options.clip);
    if (!options.regions_file.empty()) {
      const auto more = read_bed(options.regions_file, genome, options.clip);
      regions_.insert(regions_.end(), more.begin(), more.end());
    }
    if (options.regions.empty() && options.regions_file.empty()) {
      for (const std::string& contig : genome.contigs()) {
        regions_.push_back({contig, 0, genome.length(contig), contig});
      }
    }
    for (const Region& region : regions_) total_ += region.end - region.begin;
    for (const std::string& warning : genome.warnings()) ++tally_.warnings[warning];
  }

  bool next(Sequence& sequence) override {
    if (next_ == regions_.size()) return false;
    const Region& region = regions_[next_++];
    sequence = Sequence{};
    sequence.name = region.name;
    sequence.contig = region.contig;
    sequence.begin = region.begin;
    sequence.end = region.end;
    if (lazy_) {
      sequence.text =
          std::make_shared<const SequenceText>(shared_, region.contig, region.begin, region.end);
    } else {
      sequence.bases = shared_->fetch(region.contig, region.begin, region.end);
    }
    ++tally_.records;
    tally_.bases += region.end - region.begin;
    if (region.begin == region.end) ++tally_.empty_records;
    return true;
  }
  const ReadTally& tally() const override { return tally_; }
  Index total_bases() const override { return total_; }
  std::vector<std::pair<std::string, Index>> contigs() const override {
    std::vector<std::pair<std::string, Index>> out;
    for (const std::string& contig : shared_->contigs()) {
      out.emplace_back(contig, shared_->length(contig));
    }
    return out;
  }

 private:
  std::shared_ptr<const Genome> shared_;
  bool lazy_;
  std::vector<Region> regions_;
  std::size_t next_ = 0;
  Index total_ = 0;
  ReadTally tally_;
};

class IdSource final : public SequenceSource {
 public:
  explicit IdSource(const std::string& path) : path_(path), ids_(read_token_ids(path)) {}

  bool next(Sequence& sequence) override {
    if (done_) return false;
    done_ = true;
    sequence = Sequence{};
    const auto slash = path_.find_last_of('/');
    sequence.name = slash == std::string::npos ? path_ : path_.substr(slash + 1);
    sequence.ids = std::move(ids_);
    sequence.is_ids = true;
    ++tally_.records;
    tally_.bases += sequence.length();
    if (sequence.ids.empty()) ++tally_.empty_records;
    return true;
  }
  const ReadTally& tally() const override { return tally_; }
  Index total_bases() const override { return static_cast<Index>(ids_.size()); }

 private:
  std::string path_;
  std::vector<std::int32_t> ids_;
  bool done_ = false;
  ReadTally tally_;
};

}  // namespace

std::string SequenceText::piece(Index begin, Index end) const {
  if (genome_) return genome_->fetch(contig_, begin_ + begin, begin_ + end);
  return bases_.substr(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
}

std::unique_ptr<SequenceSource> SequenceSource::open(const SourceOptions& options) {
  const bool regions = !options.regions.empty() || !options.regions_file.empty();
  if (!options.token_ids.empty()) {
    if (!options.inputs.empty() || regions) {
      fail(Fault::usage, "--token-ids stands instead of sequences and regions");
    }
    return std::make_unique<IdSource>(options.token_ids);
  }
  if (regions) {
    if (!options.fasta_ref.empty() && !options.inputs.empty()) {
      fail(Fault::usage,
           "regions are taken from one reference: give it by -f or as input, not both");
    }
    if (options.fasta_ref.empty() && options.inputs.size() != 1) {
      fail(Fault::usage, "regions (-r, -R) need one indexed reference by -f or as the only input");
    }
    return std::make_unique<RegionSource>(
        options, options.fasta_ref.empty() ? options.inputs[0] : options.fasta_ref);
  }
  if (options.inputs.empty()) {
    if (options.fasta_ref.empty()) {
      fail(Fault::usage, "no input: give FASTA, FASTQ, SAM, BAM or CRAM files, or '-'");
    }
    return std::make_unique<RegionSource>(options, options.fasta_ref);
  }
  return std::make_unique<FileSource>(options);
}

}  // namespace genossm
