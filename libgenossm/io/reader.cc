#include "libgenossm/io/reader.h"

#include <algorithm>
#include <iterator>

#include "kernels/core/error.h"
#include "libgenossm/base/text.h"
#include "libgenossm/io/letters.h"
#include "libgenossm/io/readers.h"

namespace genossm {
namespace {

constexpr const char* kWanted = "want FASTA, FASTQ, SAM, BAM or CRAM";

std::string describe(const htsFormat& format) {
  const CText text(hts_format_description(&format));
  return text ? text.get() : "of an unknown format";
}

std::unique_ptr<SequenceReader> read_text(TextInput input, const htsFormat& format) {
  const int first = input.first_byte();
  if (first == '>') return read_fasta(std::move(input));
  if (first == '@') return read_fastq(std::move(input));
  const std::string& label = input.label();
  if (first < 0) fail(Fault::input, label + ": is empty but for white space, " + kWanted);
  if (format.format != unknown_format && format.format != text_format &&
      format.format != fasta_format && format.format != fastq_format) {
    fail(Fault::input, label + ": is " + describe(format) + ", " + kWanted);
  }
  fail(Fault::input, label + ":1: begins with " + letters::shown_byte(static_cast<char>(first)) +
                         ", want a header line ('>' for FASTA, '@' for FASTQ), SAM, BAM or CRAM");
}

}  // namespace

std::unique_ptr<SequenceReader> SequenceReader::open(const std::string& path,
                                                     const ReaderOptions& options) {
  HFileHandle file = open_input(path);
  const std::string label = shown_path(path);
  htsFormat format = {};
  if (hts_detect_format(file.get(), &format) != 0) {
    fail(Fault::missing, label + ": cannot be read");
  }
  switch (format.format) {
    case empty_format:
      fail(Fault::input, label +
                             (format.compression == no_compression
                                  ? ": is empty"
                                  : ": the compressed data hold nothing: they are empty, "
                                    "truncated or damaged") +
                             ", " + kWanted);
    case sam:
    case bam:
    case cram:
      return read_alignments(std::move(file), format, path, options);
    default:
      break;
  }
  if (options.tap != nullptr) {
    fail(Fault::usage,
         label + ": is no SAM, BAM or CRAM file; alignments cannot be written from it");
  }
  switch (format.compression) {
    case no_compression:
    case gzip:
    case bgzf:
      return read_text(TextInput(std::move(file), label), format);
    default:
      fail(Fault::input,
           label + ": is " + describe(format) + "; decompress it, or re-compress it with bgzip");
  }
}

void TextReader::warn(const std::string& sentence, std::int64_t times) {
  tally_.warnings[input_.label() + ": " + sentence] += times;
}

void TextReader::warn_of_end() {
  if (input_.lacks_end_block()) {
    warn("the bgzip end-of-file block is absent: all blocks are whole, but some may be missing");
  }
}

void TextReader::refuse_letter(std::string_view text, std::size_t at) const {
  const std::string byte = letters::shown_byte(text[at]);
  if (letters::kind(text[at]) & letters::kControl) {
    input_.fail_byte(at, byte + ", want a sequence");
  }
  input_.fail_line(byte + " is no nucleotide code");
}

void TextReader::read_title(const std::string& line, Record& record) {
  std::string_view text(line);
  text.remove_prefix(1);
  if (const auto at = letters::find_kind(text, letters::kControl); at != std::string_view::npos) {
    input_.fail_line(letters::shown_byte(text[at]) + " in the header line");
  }
  const auto is_blank = [](char c) { return c == ' ' || c == '\t'; };
  const auto name_begin = std::find_if_not(text.begin(), text.end(), is_blank);
  const auto name_end = std::find_if(name_begin, text.end(), is_blank);
  const auto comment = std::find_if_not(name_end, text.end(), is_blank);
  record.name.assign(name_begin, name_end);
  record.comment.assign(comment, text.end());
  record.bases.clear();
  if (find_bad_utf8(record.name)) {
    input_.fail_line("the name '" + shown(record.name) + "' is not UTF-8");
  }
  if (record.name.empty()) warn("records without a name");
}

void TextReader::append(const TextInput::Piece& piece, std::string& bases, bool drop_blanks) {
  std::string_view text = piece.text;
  const std::uint8_t kinds = letters::kinds(text);
  const std::size_t before = bases.size();
  if (kinds & (letters::kWrong | letters::kControl)) {
    refuse_letter(text, letters::find_kind(text, letters::kWrong | letters::kControl));
  }
  if (kinds & letters::kBlank) {
    if (!drop_blanks) {
      input_.fail_line(letters::shown_byte(text[letters::find_kind(text, letters::kBlank)]) +
                       " inside the sequence");
    }
    std::copy_if(text.begin(), text.end(), std::back_inserter(bases),
                 [](char c) { return !(letters::kind(c) & letters::kBlank); });
    warn("spaces or tabs removed from sequence lines",
         static_cast<std::int64_t>(text.size() - (bases.size() - before)));
  } else {
    bases.append(text);
  }
  if (kinds & (letters::kLower | letters::kAmbiguous)) {
    std::int64_t lower = 0, ambiguous = 0, gaps = 0;
    for (const char c : text) {
      const std::uint8_t kind = letters::kind(c);
      lower += kind & letters::kLower;
      ambiguous += (kind & letters::kAmbiguous) / letters::kAmbiguous;
      gaps += (kind & letters::kGap) / letters::kGap;
    }
    tally_.lower_case += lower;
    tally_.ambiguous += ambiguous;
    if (gaps > 0) warn("'-', '.' or '*' kept as unknown bases", gaps);
  }
}

void TextReader::count(const Record& record) {
  ++tally_.records;
  tally_.bases += static_cast<std::int64_t>(record.bases.size());
  if (record.bases.empty()) ++tally_.empty_records;
}

void TextReader::count_duplicate(const std::string& name) {
  if (names_.full()) {
    warn("more than " + std::to_string(NameSet::kMost) +
         " records: names beyond these are not checked for duplicates");
  } else if (names_.seen(name)) {
    ++tally_.duplicate_names;
    warn("duplicate names");
  }
}

}  // namespace genossm
