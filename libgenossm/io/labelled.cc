#include "libgenossm/io/labelled.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>

#include "kernels/core/error.h"
#include "libgenossm/base/text.h"
#include "libgenossm/io/genome.h"
#include "libgenossm/io/letters.h"
#include "libgenossm/io/text_input.h"
#include "libgenossm/io/variant_readers.h"

namespace genossm {
namespace {

constexpr std::size_t kNone = static_cast<std::size_t>(-1);

std::string line_place(const TextInput& input) {
  return input.label() + ":" + std::to_string(input.line());
}

void check_label(std::string_view label, const TextInput& input) {
  if (label.find_first_not_of(' ') == std::string_view::npos) {
    input.fail_line("the label is empty");
  }
  if (find_bad_utf8(label) || letters::find_kind(label, letters::kControl) != kNone) {
    input.fail_line("the label '" + shown(label) + "' is no plain text");
  }
}

class TableReader {
 public:
  TableReader(TextInput input, const LabelledOptions& options)
      : input_(std::move(input)),
        label_name_(options.label_column.empty() ? "label" : options.label_column) {
    TextInput::Piece piece;
    do {
      if (!input_.next(piece)) fail(Fault::input, input_.label() + ": is empty");
      header_ = input_.rest_of_line(piece);
    } while (header_.empty() || header_.starts_with("##"));
    std::string_view names(header_);
    if (names.starts_with('#')) names.remove_prefix(1);
    columns_ = split_tabs(names);
    sequence_ = find(options.sequence_column);
    label_ = find(label_name_);
    id_ = find(options.id_column);
    if (sequence_ == kNone) refuse_column("sequence", options.sequence_column);
    if (label_ == kNone) refuse_column("label", label_name_);
  }

  void read(LabelledSet& set) {
    TextInput::Piece piece;
    while (input_.next(piece)) {
      const std::string line = input_.rest_of_line(piece, kLongestRecord);
      if (line.empty()) continue;
      const std::vector<std::string_view> fields = split_tabs(line);
      if (fields.size() != columns_.size()) {
        input_.fail_line("has " + std::to_string(fields.size()) + " columns, want " +
                         std::to_string(columns_.size()) + " as in the first line");
      }
      LabelledRecord record;
      record.place = line_place(input_);
      record.bases = fields[sequence_];
      record.label = fields[label_];
      if (id_ != kNone) record.name = fields[id_];
      check_sequence(record.bases);
      check_label(record.label, input_);
      if (find_bad_utf8(record.name)) input_.fail_line("the id is not UTF-8");
      set.tally.records += 1;
      set.tally.bases += static_cast<std::int64_t>(record.bases.size());
      set.records.push_back(std::move(record));
    }
  }

 private:
  static constexpr std::size_t kLongestRecord = std::size_t{1} << 30;

  std::size_t find(const std::string& name) const {
    const auto at = std::find(columns_.begin(), columns_.end(), name);
    return at == columns_.end() ? kNone : static_cast<std::size_t>(at - columns_.begin());
  }

  [[noreturn]] void refuse_column(const std::string& what, const std::string& name) const {
    std::string there;
    for (const std::string_view column : columns_) {
      if (!there.empty()) there += ", ";
      there += shown(column);
      if (there.size() > 200) break;
    }
    input_.fail_line("no column '" + shown(name) + "'; the columns are " + there +
                     ". Name it with --" + what + "-column" +
                     (columns_.size() == 1 ? " (columns are separated by tabs)" : "") +
                     (looks_like_bed() ? ", or give the reference of a BED file by -f" : ""));
  }

  bool looks_like_bed() const {
    return columns_.size() >= 3 && !columns_[1].empty() && !columns_[2].empty() &&
           columns_[1].find_first_not_of("0123456789") == kNone &&
           columns_[2].find_first_not_of("0123456789") == kNone;
  }

  void check_sequence(std::string_view bases) const {
    if (bases.empty()) input_.fail_line("the sequence is empty");
    const auto wrong = letters::kWrong | letters::kControl | letters::kBlank;
    if (const auto at = letters::find_kind(bases, wrong); at != kNone) {
      input_.fail_line(letters::shown_byte(bases[at]) + " in the sequence is no nucleotide code");
    }
  }

  TextInput input_;
  std::string header_, label_name_;
  std::vector<std::string_view> columns_;  // of header_
  std::size_t sequence_ = kNone, label_ = kNone, id_ = kNone;
};

// name -> label; the line of each for messages.
std::map<std::string, std::string, std::less<>> read_label_table(const LabelledOptions& options) {
  TextInput input(open_input(options.labels), shown_path(options.labels));
  std::map<std::string, std::string, std::less<>> labels;
  std::size_t name = 0, label = 1;
  bool first = true;
  TextInput::Piece piece;
  while (input.next(piece)) {
    const std::string line = input.rest_of_line(piece);
    if (line.empty() || line.starts_with("##")) continue;
    const std::vector<std::string_view> fields = split_tabs(line);
    if (first) {
      first = false;
      // A first line that names a column of labels is no record.
      const std::string wanted = options.label_column.empty() ? "label" : options.label_column;
      const auto at = std::find(fields.begin(), fields.end(), wanted);
      if (at != fields.end()) {
        label = static_cast<std::size_t>(at - fields.begin());
        const auto id = std::find(fields.begin(), fields.end(), options.id_column);
        name = id != fields.end() ? static_cast<std::size_t>(id - fields.begin())
                                  : (label == 0 ? 1 : 0);
        continue;
      }
      if (!options.label_column.empty()) {
        input.fail_line("no column '" + shown(options.label_column) + "'");
      }
    }
    if (fields.size() <= std::max(name, label)) {
      input.fail_line("has " + std::to_string(fields.size()) +
                      " columns, want a name and a label separated by a tab");
    }
    check_label(fields[label], input);
    const auto [there, added] =
        labels.try_emplace(std::string(fields[name]), std::string(fields[label]));
    if (!added && there->second != fields[label]) {
      input.fail_line("the record '" + shown(fields[name]) + "' has two labels: '" +
                      shown(there->second) + "' and '" + shown(fields[label]) + "'");
    }
  }
  if (labels.empty()) fail(Fault::input, input.label() + ": holds no labels");
  return labels;
}

void read_sequences(const LabelledOptions& options, LabelledSet& set) {
  std::optional<std::map<std::string, std::string, std::less<>>> labels;
  if (!options.labels.empty()) labels = read_label_table(options);
  const auto reader = SequenceReader::open(options.path, {options.reference});
  Record record;
  const std::string file = shown_path(options.path);
  while (reader->next(record)) {
    LabelledRecord out;
    out.name = record.name;
    out.place = file + ": record '" + shown(record.name) + "'";
    if (labels) {
      const auto found = labels->find(record.name);
      if (found == labels->end()) {
        fail(Fault::input, out.place + " has no label in " + shown_path(options.labels));
      }
      out.label = found->second;
    } else {
      out.label = record.comment.substr(0, record.comment.find_first_of(" \t"));
      if (out.label.empty()) {
        fail(Fault::input, out.place +
                               " has no label: want one after its name, or a table of names and "
                               "labels by --labels");
      }
    }
    if (record.bases.empty()) fail(Fault::input, out.place + ": the sequence is empty");
    out.bases = std::move(record.bases);
    set.records.push_back(std::move(out));
  }
  set.tally = reader->tally();
}

void read_intervals(const LabelledOptions& options, LabelledSet& set) {
  Index column = 4;
  if (!options.label_column.empty()) {
    const char* begin = options.label_column.data();
    const char* end = begin + options.label_column.size();
    const auto [rest, error] = std::from_chars(begin, end, column);
    if (error != std::errc() || rest != end || column < 4) {
      fail(Fault::usage, "--label-column '" + options.label_column +
                             "': the columns of a BED file are numbered; want 4 or more");
    }
  }
  const Genome genome = Genome::open(options.reference);
  for (const std::string& warning : genome.warnings()) ++set.tally.warnings[warning];
  const std::string file = shown_path(options.path);
  for (const Region& region : read_bed(options.path, genome, options.clip, column)) {
    LabelledRecord out;
    out.place = file + ":" + std::to_string(region.line);
    out.name = column == 4 ? region.contig + ":" + std::to_string(region.begin + 1) + "-" +
                                 std::to_string(region.end)
                           : region.name;
    out.label = region.kept;
    if (out.label.empty() || out.label == ".")
      fail(Fault::input, out.place + ": the label is empty");
    out.bases = genome.fetch(region.contig, region.begin, region.end);
    if (out.bases.empty()) fail(Fault::input, out.place + ": the interval is empty");
    ++set.tally.records;
    set.tally.bases += region.end - region.begin;
    set.records.push_back(std::move(out));
  }
}

// '>' or '@' begins FASTA, FASTQ or SAM. From standard input, which cannot be read twice, comes a
// table.
bool is_sequence_file(const std::string& path) {
  if (path == "-") return false;
  TextInput input(open_input(path), shown_path(path));
  const int byte = input.first_byte();
  return byte == '>' || byte == '@';
}

}  // namespace

LabelledSet read_labelled(const LabelledOptions& options) {
  LabelledSet set;
  if (!options.labels.empty()) {
    read_sequences(options, set);
  } else if (!options.reference.empty()) {
    read_intervals(options, set);
  } else if (is_sequence_file(options.path)) {
    read_sequences(options, set);
  } else {
    TableReader(TextInput(open_input(options.path), shown_path(options.path)), options).read(set);
  }
  if (set.records.empty()) fail(Fault::input, shown_path(options.path) + ": holds no records");
  return set;
}

}  // namespace genossm
