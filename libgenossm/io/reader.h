// SequenceReader: FASTA, FASTQ, SAM, BAM and CRAM, plain, gzip or bgzip, from a file or stdin
// ("-"), told apart by content, read through htslib.
//
// BAM, SAM and CRAM reads are given in sequencing orientation (reverse-strand reads are
// reverse-complemented back); secondary and supplementary alignments are skipped and counted; so
// are reads without a sequence ("*"). A missing end-of-file block or container is an error: reads
// may have been cut off with it.
//
// FASTA/FASTQ: CRLF accepted, multi-line accepted. Letters: A, C, G, T, U and the IUPAC codes of
// either case; '-', '.' and '*' are kept with a warning; blanks inside FASTA lines are removed with
// a warning. NUL bytes, control characters, any other letter, missing headers, truncated records
// and truncated compression are errors that name file, line or record. A bgzip text whose blocks
// are all whole but for the closing one is accepted with a warning.
//
// Errors: Fault::missing when the file is not there or unreadable, Fault::input when it is broken
// or empty. Nothing is ever fetched from a network.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "libgenossm/io/record.h"

namespace genossm {

// What happened while reading; counted, summarised once at the end, written to the summary.
struct ReadTally {
  std::int64_t records = 0;  // given to the caller
  std::int64_t bases = 0;
  std::int64_t empty_records = 0;
  std::int64_t duplicate_names = 0;    // FASTA and FASTQ
  std::int64_t skipped_secondary = 0;  // alignments
  std::int64_t skipped_supplementary = 0;
  std::int64_t skipped_no_sequence = 0;
  std::int64_t lower_case = 0;                   // bases
  std::int64_t ambiguous = 0;                    // letters other than ACGTU of either case
  std::map<std::string, std::int64_t> warnings;  // text -> times
};

class AlignmentTap;

struct ReaderOptions {
  std::string reference;  // FASTA for CRAM; empty: embedded only
  // Where a private folder may be made for an index that cannot stand beside the reference.
  std::string temporary_folder = "/tmp";
  // Sees every alignment of the file; the file must then be SAM, BAM or CRAM (Fault::usage).
  AlignmentTap* tap = nullptr;
};

class SequenceReader {
 public:
  static std::unique_ptr<SequenceReader> open(const std::string& path, const ReaderOptions& = {});
  virtual ~SequenceReader() = default;
  // The next record, or nothing at the end of a file that was whole.
  virtual bool next(Record& record) = 0;
  virtual const ReadTally& tally() const = 0;
  virtual std::string format() const = 0;  // "FASTA", "FASTQ", "SAM", "BAM", "CRAM"

  SequenceReader(const SequenceReader&) = delete;
  SequenceReader& operator=(const SequenceReader&) = delete;

 protected:
  SequenceReader() = default;
};

}  // namespace genossm
