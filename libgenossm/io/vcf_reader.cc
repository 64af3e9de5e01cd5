// VCF text. Every line is kept as it stands; htslib parses a copy, as a second opinion.
#include <htslib/vcf.h>

#include <charconv>

#include "kernels/core/error.h"
#include "libgenossm/base/text.h"
#include "libgenossm/io/variant_readers.h"

namespace genossm {
namespace {

constexpr std::string_view kColumns = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO";
constexpr std::size_t kFixed = 8;

// "GT::GL"
bool has_empty_key(std::string_view format) {
  return format.empty() || format.starts_with(':') || format.ends_with(':') ||
         format.find("::") != std::string_view::npos;
}

// htslib's text, which it may enlarge.
struct HtsText {
  kstring_t text = KS_INITIALIZE;
  HtsText() = default;
  HtsText(const HtsText&) = delete;
  HtsText& operator=(const HtsText&) = delete;
  ~HtsText() { ks_free(&text); }
  void set(std::string_view from) {
    ks_clear(&text);
    if (kputsn(from.data(), from.size(), &text) < 0) throw std::bad_alloc();
  }
};

class VcfReader final : public VariantReader {
 public:
  explicit VcfReader(TextInput input) : input_(std::move(input)), parsed_(bcf_init()) {
    if (!parsed_) throw std::bad_alloc();
    read_header();
  }

  bool next(VariantRecord& record) override {
    TextInput::Piece piece;
    if (!input_.next(piece)) {
      require_whole(input_);
      return false;
    }
    record.line = input_.rest_of_line(piece, kLongestVariantLine);
    if (input_.ends_in_line()) require_whole(input_);
    if (record.line.empty()) input_.fail_line("is empty, want a VCF record");
    record.number = input_.line();
    record.bcf.reset();
    record.window.clear();
    take_fields(record);
    parse(record);
    return true;
  }

 private:
  void read_header() {
    std::string all;
    TextInput::Piece piece;
    for (bool columns = false; !columns;) {
      if (!input_.next(piece)) {
        fail(Fault::input, input_.label() + ": ends within the VCF header (no line of columns)");
      }
      std::string line = input_.rest_of_line(piece, kLongestVariantLine);
      columns = line.starts_with("#CHROM");
      if (!line.starts_with('#')) {
        input_.fail_line("no line of columns (#CHROM ...) before the first record");
      }
      if (columns) {
        const bool whole = line.starts_with(kColumns) &&
                           (line.size() == kColumns.size() || line[kColumns.size()] == '\t');
        if (!whole) input_.fail_line("the line of columns does not begin as VCF wants it");
        columns_ = split_tabs(line).size();
      } else if (line.find('=') == std::string::npos) {
        ++warnings_["header lines that are no KEY=VALUE, kept as they are"];
      }
      all.append(line).push_back('\n');
      header_.lines.push_back(std::move(line));
    }
    header_.hts = std::shared_ptr<bcf_hdr_t>(bcf_hdr_init("r"), FreeBcf());
    if (!header_.hts) throw std::bad_alloc();
    if (bcf_hdr_parse(header_.hts.get(), all.data()) != 0) {
      fail(Fault::input, input_.label() + ": the VCF header is malformed");
    }
  }

  void take_fields(VariantRecord& record) {
    const std::vector<std::string_view> fields = split_tabs(record.line);
    if (fields.size() != columns_ || fields.size() < kFixed) {
      input_.fail_line("has " + std::to_string(fields.size()) + " columns, want " +
                       std::to_string(columns_));
    }
    const auto pos = parse_pos(fields[1]);
    if (!pos) input_.fail_line("POS is '" + shown(fields[1]) + "', want a number");
    double quality = 0;
    const auto [end, error] =
        std::from_chars(fields[5].data(), fields[5].data() + fields[5].size(), quality);
    if (fields[5] != "." &&
        (error == std::errc::invalid_argument || end != fields[5].data() + fields[5].size())) {
      input_.fail_line("QUAL is '" + shown(fields[5]) + "', want a number");
    }
    if (fields.size() > kFixed && has_empty_key(fields[kFixed])) {
      input_.fail_line("FORMAT is '" + shown(fields[kFixed]) + "', which has an empty key");
    }
    if (fields[3].empty() || fields[4].empty()) input_.fail_line("REF or ALT is empty");
    record.contig = fields[0];
    record.at = *pos - 1;
    record.ref = fields[3];
    record.alts = split_alts(fields[4]);
  }

  void parse(const VariantRecord& record) {
    copy_.set(record.line);
    const int result = vcf_parse(&copy_.text, header_.hts.get(), parsed_.get());
    constexpr int kUndefined = BCF_ERR_CTG_UNDEF | BCF_ERR_TAG_UNDEF;
    if (result != 0 || (parsed_->errcode & ~kUndefined) != 0) {
      input_.fail_line("is no VCF record (htslib cannot parse " + record.place() + ")");
    }
    if (parsed_->errcode & BCF_ERR_CTG_UNDEF) {
      ++warnings_["records on contigs that the VCF header does not define"];
    }
    if (parsed_->errcode & BCF_ERR_TAG_UNDEF) {
      ++warnings_["records with INFO, FORMAT or FILTER tags that the VCF header does not define"];
    }
  }

  TextInput input_;
  BcfHandle parsed_;
  HtsText copy_;
  std::size_t columns_ = 0;
};

}  // namespace

std::unique_ptr<VariantReader> read_vcf(TextInput input) {
  return std::make_unique<VcfReader>(std::move(input));
}

}  // namespace genossm
