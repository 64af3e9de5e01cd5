// VCF text and tables.
#include <htslib/vcf.h>

#include <algorithm>

#include "kernels/core/error.h"
#include "libgenossm/output/text_file.h"
#include "libgenossm/output/variant_writers.h"

namespace genossm {
namespace {

constexpr std::size_t kInfoColumn = 7;

// Where column `n` of a line stands: its first byte and the one after its last.
std::pair<std::size_t, std::size_t> column(const std::string& line, std::size_t n) {
  std::size_t from = 0;
  for (std::size_t i = 0; i < n; ++i) from = line.find('\t', from) + 1;
  return {from, std::min(line.find('\t', from), line.size())};
}

class VcfWriter final : public VariantWriter {
 public:
  VcfWriter(const VariantOutput& output, const VariantHeader& header, bool compressed)
      : fields_(output.fields),
        hts_(header.hts),
        file_(output.request.path, output.request.force, compressed, output.request.threads) {
    if (!output.index.empty()) index_.emplace(output.request, output.index);
    for (const std::string& line : vcf_header(output, header)) file_.line(line);
  }

  void write(const VariantRecord& record, std::span<const FieldValues> values) override {
    std::string line = record.bcf        ? formatted(*record.bcf)
                       : hts_ == nullptr ? vcf_line(record)
                                         : record.line;
    const auto [from, to] = column(line, kInfoColumn);
    std::string info = kept(std::string_view(line).substr(from, to - from));
    if (!record.alts.empty()) {
      for (std::size_t f = 0; f < fields_.size(); ++f) {
        if (!info.empty()) info += ';';
        info += fields_[f].id + '=' + field_text(fields_[f], values[f]);
      }
    }
    line.replace(from, to - from, info.empty() ? "." : info);
    file_.line(line);
  }

  void finish() override {
    if (index_) {
      file_.sync();
      index_->build(file_.temporary(), false);
    }
    file_.publish();
    if (index_) index_->publish();
  }

 private:
  std::string formatted(const bcf1_t& record) const {
    kstring_t text = KS_INITIALIZE;
    const int result = vcf_format(hts_.get(), &record, &text);
    std::string line(text.s ? text.s : "", text.l);
    ks_free(&text);
    require(result == 0, Fault::input, "a BCF record cannot be written as VCF");
    while (line.ends_with('\n')) line.pop_back();
    return line;
  }

  // The entries of INFO that are not ours.
  std::string kept(std::string_view info) const {
    std::string out;
    if (info == ".") return out;
    for (std::size_t from = 0; from <= info.size();) {
      const std::size_t end = std::min(info.find(';', from), info.size());
      const std::string_view entry = info.substr(from, end - from);
      const std::string_view key = entry.substr(0, entry.find('='));
      const bool ours = std::any_of(fields_.begin(), fields_.end(),
                                    [&](const VariantField& field) { return field.id == key; });
      if (!ours) {
        if (!out.empty()) out += ';';
        out += entry;
      }
      from = end + 1;
    }
    return out;
  }

  std::vector<VariantField> fields_;
  std::shared_ptr<bcf_hdr_t> hts_;
  TextFile file_;
  std::optional<VariantIndex> index_;
};

class VariantTable final : public VariantWriter {
 public:
  VariantTable(const VariantOutput& output, const VariantHeader& header, bool compressed)
      : fields_(output.fields),
        from_table_(header.format == VariantFormat::table),
        file_(output.request.path, output.request.force, compressed, output.request.threads) {
    std::string columns = "#chrom\tpos\tref\talt";
    if (from_table_) {
      for (std::size_t i = 0; i + 1 < header.lines.size(); ++i) file_.line(header.lines[i]);
      columns = header.lines.back();
    }
    if (!output.provenance.empty()) file_.line("##genossm=" + output.provenance);
    for (const VariantField& field : fields_) columns += '\t' + field.id;
    file_.line(columns);
  }

  void write(const VariantRecord& record, std::span<const FieldValues> values) override {
    if (from_table_) {
      std::string line = record.line;
      for (std::size_t f = 0; f < fields_.size(); ++f) {
        line += '\t' + field_text(fields_[f], values[f]);
      }
      file_.line(line);
      return;
    }
    const std::string place =
        record.contig + '\t' + std::to_string(record.at + 1) + '\t' + record.ref + '\t';
    for (std::size_t a = 0; a < std::max<std::size_t>(1, record.alts.size()); ++a) {
      std::string line = place + (record.alts.empty() ? "." : record.alts[a]);
      for (std::size_t f = 0; f < fields_.size(); ++f) {
        FieldValues one;
        if (a < values[f].reals.size()) one.reals = {values[f].reals[a]};
        if (a < values[f].integers.size()) one.integers = {values[f].integers[a]};
        if (a < values[f].texts.size()) one.texts = {values[f].texts[a]};
        line += '\t' + field_text(fields_[f], one);
      }
      file_.line(line);
    }
  }

  void finish() override { file_.publish(); }

 private:
  std::vector<VariantField> fields_;
  bool from_table_;
  TextFile file_;
};

}  // namespace

std::unique_ptr<VariantWriter> write_vcf(const VariantOutput& output, const VariantHeader& header,
                                         bool compressed) {
  return std::make_unique<VcfWriter>(output, header, compressed);
}

std::unique_ptr<VariantWriter> write_variant_table(const VariantOutput& output,
                                                   const VariantHeader& header, bool compressed) {
  return std::make_unique<VariantTable>(output, header, compressed);
}

}  // namespace genossm
