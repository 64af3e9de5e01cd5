// SAM, BAM and CRAM. What a read is taken for is its sequence: positions, CIGAR and tags are not
// looked at beyond what htslib refuses by itself.
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "kernels/core/error.h"
#include "libgenossm/base/text.h"
#include "libgenossm/io/alignment_tap.h"
#include "libgenossm/io/readers.h"
#include "libgenossm/io/reference_copy.h"

namespace genossm {
namespace {

// Sixteen letters by four bits, A, C, G and T one bit each ('=' is "as the reference", which is not
// looked up). Reversed bits are the complement.
constexpr std::string_view kLetters = "NACMGRSVTWYHKDBN";
constexpr std::string_view kComplements = "NTGKCYSBAWRDMHVN";

// Without these htslib would look for references by checksum and address, on networks too.
void forget_addresses(cram_fd* cram) {
  sam_hdr_t* const header = cram_fd_get_header(cram);
  if (header == nullptr) return;
  std::vector<std::string> names;
  for (int i = 0; i < sam_hdr_nref(header); ++i) {
    if (const char* name = sam_hdr_tid2name(header, i)) names.emplace_back(name);
  }
  for (const std::string& name : names) {
    for (const char* tag : {"M5", "UR"}) {
      sam_hdr_remove_tag_id(header, "SQ", "SN", name.c_str(), tag);
    }
  }
}

class AlignmentReader final : public SequenceReader {
 public:
  AlignmentReader(HFileHandle file, const htsFormat& format, const std::string& path,
                  const ReaderOptions& options)
      : label_(shown_path(path)), has_reference_(!options.reference.empty()), tap_(options.tap) {
    if (format.format == cram && has_reference_) {
      reference_.emplace(options.reference, options.temporary_folder);
      for (const std::string& warning : reference_->warnings()) ++tally_.warnings[warning];
    }
    const std::string name = std::filesystem::path(path).filename();
    file_.reset(hts_hopen(file.get(), name.c_str(), "r"));
    if (!file_) refuse("cannot be opened as " + this->format());
    static_cast<void>(file.release());  // the htsFile owns it now
    if (file_->format.format == cram) prepare_cram();
    header_.reset(sam_hdr_read(file_.get()));
    if (!header_) refuse("the header is damaged or truncated");
    check_header();
    if (tap_ != nullptr) tap_->header(whole_header_ ? *whole_header_ : *header_);
    alignment_.reset(bam_init1());
    if (!alignment_) fail(Fault::memory, label_ + ": no memory to read it");
    if (file_->format.format == bam && file_->format.compression != bgzf) {
      warn("has no bgzip blocks, so that an end cut off between two reads cannot be noticed");
    }
  }

  std::string format() const override {
    if (!file_ || file_->format.format == sam) return "SAM";
    return file_->format.format == bam ? "BAM" : "CRAM";
  }
  const ReadTally& tally() const override { return tally_; }

  bool next(Record& record) override {
    for (;;) {
      const int result = sam_read1(file_.get(), header_.get(), alignment_.get());
      if (result == -1) {
        check_end();
        return false;
      }
      if (result < -1) refuse_read();
      ++alignments_;
      const bam1_core_t& core = alignment_->core;
      const bool given =
          (core.flag & (BAM_FSECONDARY | BAM_FSUPPLEMENTARY)) == 0 && core.l_qseq > 0;
      if (tap_ != nullptr) tap_->alignment(*alignment_, given);
      if (core.flag & BAM_FSECONDARY) {
        ++tally_.skipped_secondary;
      } else if (core.flag & BAM_FSUPPLEMENTARY) {
        ++tally_.skipped_supplementary;
      } else if (core.l_qseq == 0) {
        ++tally_.skipped_no_sequence;
      } else {
        take(record);
        return true;
      }
    }
  }

 private:
  void prepare_cram() {
    cram_fd* const cram = file_->fp.cram;
    if (tap_ != nullptr) {
      whole_header_.reset(sam_hdr_dup(cram_fd_get_header(cram)));
      if (!whole_header_) fail(Fault::memory, label_ + ": no memory to read it");
    }
    forget_addresses(cram);
    // All fields are decoded, although few are used: a block that is left out is not checked
    // either.
    if (reference_ &&
        hts_set_opt(file_.get(), CRAM_OPT_REFERENCE, reference_->path().c_str()) != 0) {
      refuse("its reference cannot be used");
    }
  }

  // The sequences of the reads do not depend on it: what is against the specification is only said.
  void check_header() {
    sam_hdr_t* const header = header_.get();
    if (sam_hdr_count_lines(header, "SQ") != sam_hdr_nref(header)) {
      warn("the header's @SQ lines are malformed, or name a sequence twice");
    }
    kstring_t text = KS_INITIALIZE;
    const bool has_version = sam_hdr_find_tag_hd(header, "VN", &text) == 0;
    ks_free(&text);
    if (sam_hdr_count_lines(header, "HD") > 0 && !has_version) {
      warn("the header's @HD line has no version");
    }
    for (int i = 0; i < sam_hdr_nref(header); ++i) {
      const char* const name = sam_hdr_tid2name(header, i);
      if (name == nullptr || *name == '=' || *name == '*' || sam_hdr_tid2len(header, i) < 1) {
        warn("the header has sequences without length, or with names that begin with '=' or '*'");
      }
    }
  }

  // What the sequence does not depend on either.
  void check_place(const bam1_t* read) {
    const bam1_core_t& core = read->core;
    if (!(core.flag & BAM_FUNMAP) && core.tid >= 0 &&
        bam_endpos(read) > sam_hdr_tid2len(header_.get(), core.tid)) {
      warn("reads aligned past the end of their contig");
    }
    if (std::string_view(bam_get_qname(read)).find('@') != std::string_view::npos) {
      warn("read names with '@', which SAM forbids");
    }
  }

  void take(Record& record) {
    const bam1_t* const read = alignment_.get();
    check_place(read);
    record.name = bam_get_qname(read);
    record.comment.clear();
    if (find_bad_utf8(record.name))
      refuse("a read's name '" + shown(record.name) + "' is not UTF-8");
    const auto length = static_cast<std::size_t>(read->core.l_qseq);
    record.bases.resize(length);
    const std::uint8_t* const codes = bam_get_seq(read);
    const bool reverse = bam_is_rev(read);
    const std::string_view letters = reverse ? kComplements : kLetters;
    std::int64_t ambiguous = 0, as_reference = 0;
    for (std::size_t i = 0; i < length; ++i) {
      const unsigned code = bam_seqi(codes, i);
      record.bases[reverse ? length - 1 - i : i] = letters[code];
      ambiguous += (code & (code - 1)) != 0 || code == 0;
      as_reference += code == 0;
    }
    ++tally_.records;
    tally_.bases += static_cast<std::int64_t>(length);
    tally_.ambiguous += ambiguous;
    if (as_reference > 0) warn("'=' (the base of the reference) read as N", as_reference);
  }

  // Reads whose blocks were cut off whole are missed by nothing but the end mark.
  void check_end() {
    if (alignments_ == 0) warn("holds no alignments");
    if (file_->format.format == cram) {
      if (cram_eof(file_->fp.cram) != 1)
        refuse("is truncated: the end-of-file container is absent");
    } else if (file_->format.compression == bgzf && file_->fp.bgzf->no_eof_block) {
      refuse("is truncated: the bgzip end-of-file block is absent");
    }
  }

  [[noreturn]] void refuse_read() {
    const std::string place = "after " + std::to_string(alignments_) + " alignments";
    if (file_->format.format == sam && file_->format.compression == no_compression) {
      fail(Fault::input, label_ + ":" + std::to_string(file_->lineno) + ": is no SAM record");
    }
    if (file_->format.format != cram) {
      refuse("is damaged or truncated " + place +
             (file_->format.format == sam ? " (line " + std::to_string(file_->lineno) + ")" : ""));
    }
    if (cram_eof(file_->fp.cram) == 2) refuse("is truncated " + place);
    refuse("cannot be decoded " + place +
           (has_reference_
                ? ": it is damaged or truncated, or " + reference_name() + " is not its reference"
                : ": it is damaged or truncated, or it needs its reference: give it by -f"));
  }

  std::string reference_name() const { return "the FASTA file given by -f"; }

  [[noreturn]] void refuse(const std::string& sentence) const {
    fail(Fault::input, label_ + ": " + sentence);
  }
  void warn(const std::string& sentence, std::int64_t times = 1) {
    tally_.warnings[label_ + ": " + sentence] += times;
  }

  std::string label_;
  bool has_reference_;
  std::optional<IndexedReference> reference_;  // outlives the file that reads it
  HtsFileHandle file_;
  HeaderHandle header_;
  HeaderHandle whole_header_;  // of a CRAM with a tap: as it was before addresses were forgotten
  AlignmentTap* tap_;
  AlignmentHandle alignment_;
  ReadTally tally_;
  std::int64_t alignments_ = 0;
};

}  // namespace

std::unique_ptr<SequenceReader> read_alignments(HFileHandle file, const htsFormat& format,
                                                const std::string& path,
                                                const ReaderOptions& options) {
  return std::make_unique<AlignmentReader>(std::move(file), format, path, options);
}

}  // namespace genossm
