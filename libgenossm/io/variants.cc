#include "libgenossm/io/variants.h"

#include <htslib/vcf.h>

#include <charconv>

#include "kernels/core/error.h"
#include "libgenossm/base/text.h"
#include "libgenossm/io/variant_readers.h"

namespace genossm {

void FreeBcf::operator()(bcf1_t* record) const { bcf_destroy(record); }
void FreeBcf::operator()(bcf_hdr_t* header) const { bcf_hdr_destroy(header); }

std::string VariantRecord::place() const { return shown(contig) + ":" + std::to_string(at + 1); }

std::unique_ptr<VariantReader> VariantReader::open(const std::string& path) {
  const std::string label = shown_path(path);
  HFileHandle file = open_input(path);
  htsFormat format = {};
  if (hts_detect_format(file.get(), &format) != 0) {
    fail(Fault::missing, label + ": cannot be read");
  }
  if (format.format == bcf) return read_bcf(std::move(file), label);
  switch (format.format) {
    case sam:
    case bam:
    case cram:
    case fasta_format:
    case fastq_format:
      fail(Fault::input, label + ": holds sequences, want variants: VCF, BCF or a table");
    default:
      break;
  }
  TextInput input(std::move(file), label);
  const int first = input.first_byte();
  if (first < 0) fail(Fault::input, label + ": is empty, want VCF, BCF or a table of variants");
  if (format.format == vcf) return read_vcf(std::move(input));
  return read_variant_table(std::move(input));
}

std::vector<std::string_view> split_tabs(std::string_view line) {
  std::vector<std::string_view> fields;
  for (std::size_t from = 0;;) {
    const std::size_t tab = line.find('\t', from);
    fields.push_back(line.substr(from, tab - from));
    if (tab == std::string_view::npos) return fields;
    from = tab + 1;
  }
}

std::optional<Index> parse_pos(std::string_view text) {
  Index value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  constexpr Index kMost = Index{1} << 40;
  if (error != std::errc() || end != text.data() + text.size() || value < 0 || value > kMost) {
    return std::nullopt;
  }
  return value;
}

std::vector<std::string> split_alts(std::string_view text) {
  std::vector<std::string> alts;
  if (text == ".") return alts;
  for (std::size_t from = 0;;) {
    const std::size_t comma = text.find(',', from);
    alts.emplace_back(text.substr(from, comma - from));
    if (comma == std::string_view::npos) return alts;
    from = comma + 1;
  }
}

void require_whole(const TextInput& input) {
  if (input.ends_in_line()) {
    input.fail_line("the last line has no end: it may have been cut, and what followed it lost");
  }
  if (input.lacks_end_block()) {
    fail(Fault::input, input.label() +
                           ": the end-of-file block of bgzip is absent: records may have been cut "
                           "off with it");
  }
}

}  // namespace genossm
