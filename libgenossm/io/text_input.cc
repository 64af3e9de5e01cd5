#include "libgenossm/io/text_input.h"

#include <algorithm>
#include <cstring>
#include <system_error>

#include "kernels/core/error.h"

namespace genossm {
namespace {

constexpr std::size_t kBuffer = 256 * 1024;

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

// Lines end with CR alone if the first end of a line is one.
char find_line_end(std::string_view text) {
  const auto at = text.find_first_of("\r\n");
  if (at == std::string_view::npos || text[at] == '\n') return '\n';
  return at + 1 < text.size() && text[at + 1] != '\n' ? '\r' : '\n';
}

}  // namespace

TextInput::TextInput(HFileHandle file, std::string label)
    : label_(std::move(label)), buffer_(kBuffer) {
  file_.reset(bgzf_hopen(file.get(), "r"));
  if (!file_) fail(Fault::input, label_ + ": cannot be read, its compression is not known");
  static_cast<void>(file.release());  // the BGZF owns it now
}

bool TextInput::fill() {
  buffer_offset_ += static_cast<std::int64_t>(end_);
  begin_ = end_ = 0;
  const ssize_t n = bgzf_read(file_.get(), buffer_.data(), buffer_.size());
  if (n < 0 || file_->errcode != 0) {
    if (const int error = herrno(file_->fp); error != 0) {
      fail(Fault::missing,
           label_ + ": cannot be read (" + std::generic_category().message(error) + ")");
    }
    fail(Fault::input,
         label_ + ": the compressed data are truncated or damaged" +
             (line_ == 0 ? ", within their first lines" : " after line " + std::to_string(line_)));
  }
  end_ = static_cast<std::size_t>(n);
  if (!started_ && n > 0) {
    started_ = true;
    constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
    if (std::string_view(buffer_.data(), end_).starts_with(kByteOrderMark)) {
      begin_ = kByteOrderMark.size();
    }
    line_end_ = find_line_end({buffer_.data(), end_});
  }
  return n > 0;
}

int TextInput::first_byte() {
  if (begin_ == end_) fill();
  const char* const found =
      std::find_if_not(buffer_.data() + begin_, buffer_.data() + end_, is_blank);
  return found == buffer_.data() + end_ ? -1 : static_cast<unsigned char>(*found);
}

bool TextInput::next(Piece& piece) {
  piece.starts_line = !in_line_;
  for (;;) {
    if (begin_ == end_ && !fill()) {
      // A line without an end: whatever it held has been given already.
      held_return_ = false;
      if (!in_line_) return false;
      in_line_ = false;
      ends_in_line_ = true;
      piece.text = {};
      piece.ends_line = true;
      return true;
    }
    if (!in_line_) ++line_;
    piece_offset_ = buffer_offset_ + static_cast<std::int64_t>(begin_);
    const char* const from = buffer_.data() + begin_;
    if (held_return_ && *from != '\n') {
      held_return_ = false;
      --piece_offset_;
      piece.text = "\r";
      piece.ends_line = false;
      in_line_ = true;
      return true;
    }
    held_return_ = false;
    const auto* const stop = static_cast<const char*>(std::memchr(from, line_end_, end_ - begin_));
    piece.ends_line = stop != nullptr;
    piece.text = {from, static_cast<std::size_t>((stop ? stop : buffer_.data() + end_) - from)};
    begin_ += piece.text.size() + (stop ? 1 : 0);
    in_line_ = !stop;
    if (line_end_ == '\n' && piece.text.ends_with('\r')) {
      piece.text.remove_suffix(1);
      held_return_ = !stop;
    }
    if (!piece.text.empty() || piece.ends_line) return true;
  }
}

std::string TextInput::rest_of_line(const Piece& piece, std::size_t most) {
  std::string line(piece.text);
  Piece more = piece;
  while (!more.ends_line && next(more)) {
    line += more.text;
    if (line.size() > most) {
      fail_line(most == kLongestLine
                    ? "the line is longer than a megabyte"
                    : "the line is longer than " + std::to_string(most) + " bytes");
    }
  }
  return line;
}

void TextInput::fail_line(const std::string& sentence) const {
  fail(Fault::input, label_ + ":" + std::to_string(line_) + ": " + sentence);
}

void TextInput::fail_byte(std::size_t at, const std::string& sentence) const {
  fail(Fault::input, label_ + "@" + std::to_string(piece_offset_ + static_cast<std::int64_t>(at)) +
                         ": " + sentence + " (line " + std::to_string(line_) + ")");
}

}  // namespace genossm
