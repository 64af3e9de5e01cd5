// FASTQ: title, sequence lines, '+' line, as many quality characters as bases. Quality lines may
// begin with '@' or '+', so that their number of characters alone says where a record ends.
#include <algorithm>

#include "libgenossm/base/text.h"
#include "libgenossm/io/letters.h"
#include "libgenossm/io/readers.h"

namespace genossm {
namespace {

class FastqReader final : public TextReader {
 public:
  explicit FastqReader(TextInput input) : TextReader(std::move(input)) {}

  std::string format() const override { return "FASTQ"; }

  bool next(Record& record) override {
    TextInput::Piece piece;
    do {
      if (!input_.next(piece)) {
        warn_of_end();
        return false;
      }
    } while (piece.text.empty());
    if (piece.text[0] != '@') {
      input_.fail_line("begins with " + letters::shown_byte(piece.text[0]) +
                       ", want '@' of record " + std::to_string(tally_.records + 1));
    }
    const std::string title = input_.rest_of_line(piece);
    read_title(title, record);
    read_sequence(title, record);
    read_quality(record);
    count(record);
    // The two reads of a pair bear one name, one after the other.
    const bool mate = !last_was_mate_ && tally_.records > 1 && record.name == last_name_;
    if (!mate) count_duplicate(record.name);
    last_was_mate_ = mate;
    last_name_ = record.name;
    return true;
  }

 private:
  [[noreturn]] void fail_record(const Record& record, const std::string& sentence) const {
    input_.fail_line("record " + std::to_string(tally_.records + 1) + " ('" + shown(record.name) +
                     "') " + sentence);
  }

  // Up to the '+' line and with it.
  void read_sequence(const std::string& title, Record& record) {
    TextInput::Piece piece;
    for (;;) {
      if (!input_.next(piece))
        fail_record(record, "is truncated: the file ends before its '+' line");
      if (piece.starts_line) {
        if (piece.text.starts_with('+')) break;
        if (piece.text.starts_with('@') || piece.text.starts_with('>')) {
          fail_record(record, "has no '+' line before the next record");
        }
      }
      append(piece, record.bases, false);
    }
    const std::string plus = input_.rest_of_line(piece);
    if (plus.size() > 1 && plus.compare(1, std::string::npos, title, 1) != 0) {
      fail_record(record, "repeats its title as '" + shown(plus.substr(1)) +
                              "' in its '+' line, want the same title or none");
    }
  }

  void read_quality(const Record& record) {
    const std::size_t wanted = record.bases.size();
    std::size_t got = 0;
    TextInput::Piece piece;
    piece.ends_line = true;
    while (got < wanted || !piece.ends_line) {
      const bool more = input_.next(piece);
      if (!more || (piece.starts_line && piece.text.empty())) {
        fail_record(record, "has " + std::to_string(got) + " quality characters, want " +
                                std::to_string(wanted) +
                                (more ? ", as many as bases" : ": the file is truncated"));
      }
      const auto wrong = std::find_if(piece.text.begin(), piece.text.end(),
                                      [](char c) { return c < '!' || c > '~'; });
      if (wrong != piece.text.end()) {
        input_.fail_byte(static_cast<std::size_t>(wrong - piece.text.begin()),
                         "record " + std::to_string(tally_.records + 1) + " ('" +
                             shown(record.name) + "') has " + letters::shown_byte(*wrong) +
                             " in its quality, want characters from '!' to '~'");
      }
      got += piece.text.size();
      if (got > wanted) {
        fail_record(record, "has quality lines that do not add up to " + std::to_string(wanted) +
                                " characters, as many as bases");
      }
    }
  }

  std::string last_name_;
  bool last_was_mate_ = false;
};

}  // namespace

std::unique_ptr<SequenceReader> read_fastq(TextInput input) {
  return std::make_unique<FastqReader>(std::move(input));
}

}  // namespace genossm
