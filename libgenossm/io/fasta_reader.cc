#include "libgenossm/io/readers.h"

namespace genossm {
namespace {

class FastaReader final : public TextReader {
 public:
  explicit FastaReader(TextInput input) : TextReader(std::move(input)) {}

  std::string format() const override { return "FASTA"; }

  bool next(Record& record) override {
    TextInput::Piece piece;
    while (!has_title_ && input_.next(piece)) take(piece, record);  // blank lines at the start
    if (!has_title_) return false;
    read_title(title_, record);
    has_title_ = false;
    bool more = false;
    while (!has_title_ && (more = input_.next(piece))) take(piece, record);
    if (!more) warn_of_end();
    count(record);
    count_duplicate(record.name);
    return true;
  }

 private:
  void take(const TextInput::Piece& piece, Record& record) {
    if (piece.starts_line && piece.text.starts_with('>')) {
      title_ = input_.rest_of_line(piece);
      has_title_ = true;
    } else {
      append(piece, record.bases, true);
    }
  }

  std::string title_;
  bool has_title_ = false;
};

}  // namespace

std::unique_ptr<SequenceReader> read_fasta(TextInput input) {
  return std::make_unique<FastaReader>(std::move(input));
}

}  // namespace genossm
