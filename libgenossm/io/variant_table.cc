// A table of variants: tab-separated, a line of column names first.
#include <algorithm>
#include <array>

#include "kernels/core/error.h"
#include "libgenossm/base/text.h"
#include "libgenossm/io/variant_readers.h"

namespace genossm {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

class TableReader final : public VariantReader {
 public:
  explicit TableReader(TextInput input) : input_(std::move(input)) {
    header_.format = VariantFormat::table;
    TextInput::Piece piece;
    do {
      if (!input_.next(piece)) {
        fail(Fault::input, input_.label() + ": is neither VCF, BCF nor a table of variants");
      }
      header_.lines.push_back(input_.rest_of_line(piece));
    } while (header_.lines.back().starts_with("##") || header_.lines.back().empty());
    if (header_.lines.front().starts_with("##fileformat") ||
        header_.lines.back().starts_with("#CHROM\tPOS\tID\t")) {
      fail(Fault::input,
           input_.label() +
               ": has the form of VCF, but its first line is not ##fileformat=VCF with "
               "a version");
    }
    std::string names = lower(header_.lines.back());
    if (names.starts_with('#')) names.erase(0, 1);
    const std::vector<std::string_view> fields = split_tabs(names);
    columns_ = fields.size();
    const auto find = [&](std::initializer_list<std::string_view> spellings) {
      for (const std::string_view spelling : spellings) {
        const auto at = std::find(fields.begin(), fields.end(), spelling);
        if (at != fields.end()) return static_cast<std::size_t>(at - fields.begin());
      }
      return kNone;
    };
    contig_ = find({"chrom", "contig", "chr"});
    pos_ = find({"pos"});
    ref_ = find({"ref"});
    alt_ = find({"alt"});
    window_ = find({"sequences", "sequence"});
    const bool placed = contig_ != kNone && pos_ != kNone;
    if (ref_ == kNone || alt_ == kNone || !(placed || window_ != kNone)) {
      fail(Fault::input,
           input_.label() +
               ": is neither VCF nor BCF, and its first line does not name the columns "
               "of a table: chrom, pos, ref and alt, separated by tabs");
    }
  }

  bool next(VariantRecord& record) override {
    TextInput::Piece piece;
    do {
      if (!input_.next(piece)) return false;  // a table's last line may lack its end
      record.line = input_.rest_of_line(piece);
    } while (record.line.empty());
    const std::vector<std::string_view> fields = split_tabs(record.line);
    if (fields.size() != columns_) {
      input_.fail_line("has " + std::to_string(fields.size()) + " columns, want " +
                       std::to_string(columns_));
    }
    record.number = input_.line();
    record.bcf.reset();
    record.contig = contig_ == kNone ? "" : fields[contig_];
    record.window = window_ == kNone ? "" : fields[window_];
    record.at = -1;
    if (pos_ != kNone) {
      const auto pos = parse_pos(fields[pos_]);
      if (!pos) input_.fail_line("pos is '" + shown(fields[pos_]) + "', want a number");
      record.at = *pos - 1;
    }
    record.ref = fields[ref_];
    record.alts = split_alts(fields[alt_]);
    if (record.ref.empty() || fields[alt_].empty()) input_.fail_line("ref or alt is empty");
    return true;
  }

 private:
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  TextInput input_;
  std::size_t columns_ = 0;
  std::size_t contig_ = kNone, pos_ = kNone, ref_ = kNone, alt_ = kNone, window_ = kNone;
};

}  // namespace

std::unique_ptr<VariantReader> read_variant_table(TextInput input) {
  return std::make_unique<TableReader>(std::move(input));
}

}  // namespace genossm
