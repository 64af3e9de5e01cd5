// TextInput: the lines of a text, plain, gzip or bgzip, read once from front to back.
//
// Lines end with LF, CR LF, or (if the first line does) CR alone. A line longer than the buffer
// comes in pieces, so that memory does not grow with the length of lines. Errors: Fault::input when
// the compression is damaged or cut, Fault::missing when reading fails.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "libgenossm/io/hts.h"

namespace genossm {

class TextInput {
 public:
  TextInput(HFileHandle file, std::string label);

  // The first byte that is no white space, without taking it; -1 if there is none.
  int first_byte();

  // A part of a line. The view holds until the next call.
  struct Piece {
    std::string_view text;  // without the end of the line
    bool starts_line = false;
    bool ends_line = false;
  };
  bool next(Piece& piece);  // false at the end

  // The rest of the line that `piece` starts; Fault::input if it is longer than `most` bytes.
  static constexpr std::size_t kLongestLine = 1024 * 1024;
  std::string rest_of_line(const Piece& piece, std::size_t most = kLongestLine);

  const std::string& label() const { return label_; }
  std::int64_t line() const { return line_; }  // of the last piece, from 1
  // True after a last line that no line end closes: it may have been cut.
  bool ends_in_line() const { return ends_in_line_; }
  // True at the end of a bgzip file that lacks its closing block.
  bool lacks_end_block() const { return file_->no_eof_block; }

  [[noreturn]] void fail_line(const std::string& sentence) const;
  // `at` is an offset in the last piece.
  [[noreturn]] void fail_byte(std::size_t at, const std::string& sentence) const;

 private:
  bool fill();

  std::string label_;
  BgzfHandle file_;
  std::vector<char> buffer_;
  std::size_t begin_ = 0, end_ = 0;
  std::int64_t buffer_offset_ = 0;  // of buffer_[0] in the uncompressed text
  std::int64_t piece_offset_ = 0;
  std::int64_t line_ = 0;
  char line_end_ = '\n';
  bool started_ = false;
  bool in_line_ = false;
  bool ends_in_line_ = false;
  bool held_return_ = false;  // a CR at the end of the buffer, which may belong to a CR LF
};

}  // namespace genossm
