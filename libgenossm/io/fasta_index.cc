#include "libgenossm/io/fasta_index.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <unordered_set>

#include "kernels/core/error.h"
#include "libgenossm/base/text.h"
#include "libgenossm/io/letters.h"
#include "libgenossm/io/small_file.h"

namespace genossm {
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
constexpr std::size_t kChunk = 1024 * 1024;
constexpr std::size_t kLongestTitle = 1024 * 1024;

std::string_view title_name(std::string_view title) {
  title.remove_prefix(std::min(title.find_first_not_of(" \t"), title.size()));
  return title.substr(0, title.find_first_of(" \t\r\n"));
}

// The text of a FASTA file, piece by piece, to contigs.
class Indexer {
 public:
  explicit Indexer(const std::string& label) : label_(label) {}

  void take(std::string_view text, Index offset) {
    while (!text.empty()) {
      const auto stop = text.find('\n');
      const bool ends = stop != std::string_view::npos;
      const std::string_view piece = text.substr(0, stop);
      take_piece(piece, offset);
      const std::size_t used = piece.size() + (ends ? 1 : 0);
      text.remove_prefix(used);
      offset += static_cast<Index>(used);
      if (ends) end_line(offset, true);
    }
  }

  std::vector<Contig> finish(Index offset) {
    if (line_bytes_ > 0 || in_title_) end_line(offset, false);
    if (contigs_.empty()) fail(Fault::input, label_ + ": is empty, want FASTA");
    return std::move(contigs_);
  }

 private:
  [[noreturn]] void refuse(const std::string& sentence) const {
    fail(Fault::input, label_ + ":" + std::to_string(line_) + ": " + sentence);
  }

  void take_piece(std::string_view piece, Index offset) {
    if (piece.empty()) return;
    if (line_bytes_ == 0) in_title_ = piece[0] == '>';
    line_bytes_ += static_cast<Index>(piece.size());
    if (in_title_) {
      title_ += piece;
      if (title_.size() > kLongestTitle) refuse("the header line is longer than a megabyte");
      return;
    }
    if (return_) refuse_byte('\r', offset - 1);
    if (letters::kinds(piece) & (letters::kControl | letters::kWrong | letters::kBlank)) {
      check_letters(piece, offset);
    }
    if (contigs_.empty() && !(piece == "\r")) {
      refuse("begins with " + letters::shown_byte(piece[0]) + ", want '>'");
    }
  }

  void check_letters(std::string_view piece, Index offset) {
    if (piece.ends_with('\r')) {
      return_ = true;  // fitting only if the line ends here
      piece.remove_suffix(1);
    }
    const auto at =
        letters::find_kind(piece, letters::kControl | letters::kWrong | letters::kBlank);
    if (at == std::string_view::npos) return;
    if (letters::kind(piece[at]) & letters::kControl) {
      refuse_byte(piece[at], offset + static_cast<Index>(at));
    }
    if (letters::kind(piece[at]) & letters::kBlank) {
      refuse(letters::shown_byte(piece[at]) + " inside the sequence, which cannot be indexed");
    }
    refuse(letters::shown_byte(piece[at]) + " is no nucleotide code");
  }

  [[noreturn]] void refuse_byte(char c, Index offset) const {
    fail(Fault::input, label_ + "@" + std::to_string(offset) + ": " + letters::shown_byte(c) +
                           ", want a sequence (line " + std::to_string(line_) + ")");
  }

  void end_line(Index next_offset, bool newline) {
    if (in_title_) {
      end_title(next_offset);
    } else if (!contigs_.empty()) {
      end_sequence(line_bytes_ - (return_ ? 1 : 0), line_bytes_ + (newline ? 1 : 0));
    }
    line_bytes_ = 0;
    in_title_ = return_ = false;
    ++line_;
  }

  void end_title(Index next_offset) {
    std::string_view title(title_);
    title.remove_prefix(1);
    if (title.ends_with('\r')) title.remove_suffix(1);
    if (const auto at = letters::find_kind(title, letters::kControl);
        at != std::string_view::npos) {
      refuse(letters::shown_byte(title[at]) + " in the header line");
    }
    const std::string name(title_name(title));
    if (name.empty()) refuse("the record has no name, which a region could not call it by");
    if (find_bad_utf8(name)) refuse("the name '" + shown(name) + "' is not UTF-8");
    if (!names_.insert(name).second) {
      refuse("the name '" + shown(name) + "' stands twice, so that regions of it are ambiguous");
    }
    contigs_.push_back({name, 0, next_offset, 0, 0});
    closed_ = false;
    title_.clear();
  }

  void end_sequence(Index bases, Index width) {
    Contig& contig = contigs_.back();
    if (bases == 0) {
      closed_ = true;
      return;
    }
    if (closed_ || (contig.line_bases > 0 && bases > contig.line_bases)) {
      refuse("lines of '" + shown(contig.name) +
             "' differ in length, which cannot be indexed: re-wrap the file");
    }
    if (contig.line_bases == 0) {
      contig.line_bases = bases;
      contig.line_width = width;
    }
    contig.length += bases;
    // A line that differs can only be the last.
    closed_ = bases < contig.line_bases || width != contig.line_width;
  }

  std::string label_;
  std::vector<Contig> contigs_;
  std::unordered_set<std::string> names_;
  std::string title_;
  Index line_ = 1;
  Index line_bytes_ = 0;
  bool in_title_ = false;
  bool return_ = false;  // the line's last byte so far is a CR
  bool closed_ = false;  // the contig's last line has been seen
};

bool starts_with_mark(const FileBytes& bytes) {
  std::string start(kByteOrderMark.size(), '\0');
  return bytes.read(0, start) == static_cast<Index>(start.size()) && start == kByteOrderMark;
}

// At `end` the sequence before this contig is over: line ends, the contig's header, its first base.
bool header_fits(const Contig& contig, Index end, const FileBytes& bytes) {
  if (contig.offset <= end || contig.offset > bytes.size()) return false;
  std::string text(static_cast<std::size_t>(
                       std::min<Index>(contig.offset - end, static_cast<Index>(kLongestTitle) + 8)),
                   '\0');
  bytes.read(end, text);
  if (static_cast<Index>(text.size()) != contig.offset - end) return false;
  const auto start = text.find_first_not_of("\r\n");
  if (start == std::string::npos || text[start] != '>') return false;
  std::string_view title = std::string_view(text).substr(start + 1);
  const auto stop = title.find('\n');
  // A header without a line end is the end of the file.
  if (stop == std::string_view::npos ? contig.offset != bytes.size() : stop + 1 != title.size()) {
    return false;
  }
  return title_name(title) == contig.name;
}

bool is_over(Index end, const FileBytes& bytes) {
  constexpr Index kMostBlank = 65536;
  if (end >= bytes.size()) return true;
  if (bytes.size() - end > kMostBlank) return false;
  std::string rest(static_cast<std::size_t>(bytes.size() - end), '\0');
  bytes.read(end, rest);
  return rest.find_first_not_of("\r\n") == std::string::npos;
}

// Under a name of our own first, so that nobody finds half an index.
bool write_whole(const std::string& path, const std::string& text) {
  const std::string unfinished = path + "." + std::to_string(::getpid()) + ".tmp";
  std::error_code error;
  {
    std::ofstream file(unfinished, std::ios::binary);
    file << text;
    file.close();
    if (!file) {
      std::filesystem::remove(unfinished, error);
      return false;
    }
  }
  std::filesystem::rename(unfinished, path, error);
  if (!error) return true;
  std::filesystem::remove(unfinished, error);
  return false;
}

// Other tools divide by the length of a contig's lines, which an empty contig has not.
bool fit_for_others(const std::vector<Contig>& contigs) {
  return std::none_of(contigs.begin(), contigs.end(),
                      [](const Contig& c) { return c.length == 0; });
}

}  // namespace

std::vector<Contig> index_fasta(const FileBytes& bytes) {
  Indexer indexer(bytes.path());
  std::string chunk(kChunk, '\0');
  Index offset = starts_with_mark(bytes) ? static_cast<Index>(kByteOrderMark.size()) : 0;
  for (Index n; (n = bytes.read(offset, chunk)) > 0; offset += n) {
    indexer.take(std::string_view(chunk).substr(0, static_cast<std::size_t>(n)), offset);
  }
  return indexer.finish(offset);
}

std::optional<std::vector<Contig>> parse_fai(std::string_view text) {
  std::vector<Contig> contigs;
  std::unordered_set<std::string> names;
  while (!text.empty()) {
    const auto stop = text.find('\n');
    std::string_view line = text.substr(0, stop);
    text.remove_prefix(stop == std::string_view::npos ? text.size() : stop + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) continue;
    const auto tab = line.find('\t');
    if (tab == 0 || tab == std::string_view::npos) return std::nullopt;
    Contig contig;
    contig.name = line.substr(0, tab);
    const char* at = line.data() + tab;
    const char* const end = line.data() + line.size();
    for (Index* value : {&contig.length, &contig.offset, &contig.line_bases, &contig.line_width}) {
      if (at == end || *at != '\t') return std::nullopt;
      const auto [next, error] = std::from_chars(at + 1, end, *value);
      if (error != std::errc() || *value < 0) return std::nullopt;
      at = next;
    }
    if (at != end || !names.insert(contig.name).second) return std::nullopt;
    contigs.push_back(std::move(contig));
  }
  return contigs.empty() ? std::nullopt : std::optional(std::move(contigs));
}

std::string fai_text(const std::vector<Contig>& contigs) {
  std::string text;
  for (const Contig& c : contigs) {
    text += c.name;
    for (const Index value : {c.length, c.offset, c.line_bases, c.line_width}) {
      text += '\t' + std::to_string(value);
    }
    text += '\n';
  }
  return text;
}

bool index_fits(const std::vector<Contig>& contigs, const FileBytes& bytes) {
  constexpr std::size_t kMostCompared = 4096;
  const std::size_t step = contigs.size() / kMostCompared + 1;
  Index end = starts_with_mark(bytes) ? static_cast<Index>(kByteOrderMark.size()) : 0;
  for (std::size_t i = 0; i < contigs.size(); ++i) {
    const Contig& contig = contigs[i];
    // First that nothing overflows: no number can be larger than the file.
    for (const Index value : {contig.length, contig.offset, contig.line_bases, contig.line_width}) {
      if (value > bytes.size()) return false;
    }
    const Index line_end = contig.line_width - contig.line_bases;
    const bool one_line = contig.length <= contig.line_bases;
    if (line_end > 2 || line_end < (one_line ? 0 : 1)) return false;
    if (contig.length > 0 && contig.line_bases == 0) return false;
    if (contig.length > 0 && contig.place(contig.length - 1) >= bytes.size()) return false;
    const bool compared = i % step == 0 || i + 1 == contigs.size();
    if (compared && !header_fits(contig, end, bytes)) return false;
    // Not place(length), which for a full last line lies behind an end that may be absent.
    end = contig.length == 0 ? contig.offset : contig.place(contig.length - 1) + 1;
  }
  return is_over(end, bytes);
}

IndexedFasta open_indexed_fasta(const std::string& path) {
  IndexedFasta fasta{FileBytes::open(path), {}, false, {}};
  const FileBytes& bytes = fasta.bytes;
  if (bytes.size() == 0) fail(Fault::input, path + ": is empty, want FASTA");
  if (bytes.lacks_end_block()) {
    fasta.warnings.push_back(path +
                             ": the bgzip end-of-file block is absent: all blocks are whole, "
                             "but some may be missing");
  }
  const std::string index_path = path + ".fai";
  // A line of the index is shorter than the header, but for its numbers, and each contig has one.
  const std::optional<std::string> text =
      read_small_file(index_path, 1024 + 64 * static_cast<std::uintmax_t>(bytes.size()));
  if (std::filesystem::exists(index_path)) {
    auto contigs = text ? parse_fai(*text) : std::nullopt;
    if (contigs && index_fits(*contigs, bytes)) {
      fasta.contigs = std::move(*contigs);
      fasta.index_beside = true;
      std::error_code error;
      if (std::filesystem::last_write_time(index_path, error) < bytes.changed() && !error) {
        fasta.warnings.push_back(index_path + ": is older than the FASTA file, but fits it");
      }
      return fasta;
    }
    fasta.warnings.push_back(index_path +
                             ": does not fit the FASTA file; an index was made for this run only");
  }
  fasta.contigs = index_fasta(bytes);
  if (std::filesystem::exists(index_path) || !fit_for_others(fasta.contigs)) return fasta;
  // One that is there already and does not fit is not ours to replace.
  if (bytes.compressed() && !std::filesystem::exists(path + ".gzi")) {
    write_whole(path + ".gzi", bytes.index_text());
  }
  fasta.index_beside = write_whole(index_path, fai_text(fasta.contigs));
  return fasta;
}

}  // namespace genossm
