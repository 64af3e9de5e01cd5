// The readers behind SequenceReader::open, and what those of texts share.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "libgenossm/io/name_set.h"
#include "libgenossm/io/reader.h"
#include "libgenossm/io/text_input.h"

namespace genossm {

class TextReader : public SequenceReader {
 public:
  const ReadTally& tally() const override { return tally_; }

 protected:
  explicit TextReader(TextInput input) : input_(std::move(input)) {}

  // Name and comment from a line that begins with '>' or '@', which input_ has just given.
  void read_title(const std::string& line, Record& record);
  // The letters of a piece of a sequence line; what cannot be a base is an error.
  void append(const TextInput::Piece& piece, std::string& bases, bool drop_blanks);
  void count(const Record& record);
  void count_duplicate(const std::string& name);
  void warn(const std::string& sentence, std::int64_t times = 1);
  void warn_of_end();

  TextInput input_;
  ReadTally tally_;

 private:
  [[noreturn]] void refuse_letter(std::string_view text, std::size_t at) const;

  NameSet names_;
};

std::unique_ptr<SequenceReader> read_fasta(TextInput input);
std::unique_ptr<SequenceReader> read_fastq(TextInput input);
// SAM, BAM or CRAM, as `format` says.
std::unique_ptr<SequenceReader> read_alignments(HFileHandle file, const htsFormat& format,
                                                const std::string& path,
                                                const ReaderOptions& options);

}  // namespace genossm
