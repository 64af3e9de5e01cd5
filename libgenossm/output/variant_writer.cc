#include "libgenossm/output/variant_writer.h"

#include "kernels/core/error.h"
#include "libgenossm/output/byte_sink.h"
#include "libgenossm/output/number_text.h"
#include "libgenossm/output/variant_writers.h"

namespace genossm {

std::string info_line(const VariantField& field) {
  const char* type = field.type == VariantField::Type::real      ? "Float"
                     : field.type == VariantField::Type::integer ? "Integer"
                                                                 : "String";
  return "##INFO=<ID=" + field.id + ",Number=A,Type=" + type + ",Description=\"" +
         field.description + "\">";
}

std::string field_text(const VariantField& field, const FieldValues& values) {
  std::string out;
  const auto add = [&](bool missing, auto put) {
    if (!out.empty()) out += ',';
    if (missing) {
      out += '.';
    } else {
      put();
    }
  };
  for (const float v : values.reals) {
    add(!(v == v), [&] { put_number(out, v); });
  }
  for (const std::int32_t v : values.integers) {
    add(v == FieldValues::kMissing, [&] { out += std::to_string(v); });
  }
  for (const std::string& v : values.texts) {
    add(v.empty(), [&] { out += v; });
  }
  require(field.type == VariantField::Type::text || values.texts.empty(), Fault::internal,
          "variants: a text in a field of numbers");
  return out.empty() ? "." : out;
}

std::vector<std::string> vcf_header(const VariantOutput& output, const VariantHeader& header) {
  std::vector<std::string> lines;
  std::string columns = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO";
  if (header.format == VariantFormat::table) {
    lines.emplace_back("##fileformat=VCFv4.2");
    for (const auto& [name, length] : output.contigs) {
      lines.push_back("##contig=<ID=" + name + ",length=" + std::to_string(length) + ">");
    }
  } else {
    for (const std::string& line : header.lines) {
      bool ours = false;
      for (const VariantField& field : output.fields) {
        ours = ours || line.starts_with("##INFO=<ID=" + field.id + ",");
      }
      if (!ours) lines.push_back(line);
    }
    columns = lines.back();
    lines.pop_back();
  }
  for (const VariantField& field : output.fields) lines.push_back(info_line(field));
  if (!output.provenance.empty()) lines.push_back("##genossm=" + output.provenance);
  lines.push_back(columns);
  return lines;
}

std::string vcf_line(const VariantRecord& record) {
  std::string alts;
  for (const std::string& alt : record.alts) alts += (alts.empty() ? "" : ",") + alt;
  return record.contig + '\t' + std::to_string(record.at + 1) + "\t.\t" + record.ref + '\t' +
         (alts.empty() ? "." : alts) + "\t.\t.\t.";
}

std::string variant_type(const VariantOutput& output, const VariantHeader& header) {
  const char* same = header.format == VariantFormat::table ? "tsv"
                     : header.format == VariantFormat::bcf ? "bcf"
                                                           : "vcf";
  const std::string type =
      output_type(output.request, {"vcf", "vcf.gz", "bcf", "tsv", "tsv.gz"}, same);
  if (!output.index.empty()) {
    if (output.index != "csi" && output.index != "tbi") {
      fail(Fault::usage, "--write-index '" + output.index + "' is none of csi, tbi");
    }
    if (is_standard_output(output.request.path)) {
      fail(Fault::usage, "--write-index: standard output cannot be indexed; want -o FILE");
    }
    if (type != "vcf.gz" && type != "bcf") {
      fail(Fault::usage, "--write-index: " + type + " cannot be indexed; want vcf.gz or bcf");
    }
    if (type == "bcf" && output.index == "tbi") {
      fail(Fault::usage, "--write-index=tbi: BCF is indexed by csi");
    }
  }
  return type;
}

std::unique_ptr<VariantWriter> open_variants(const VariantOutput& output,
                                             const VariantHeader& header) {
  const std::string type = variant_type(output, header);
  if (type == "bcf") return write_bcf(output, header);
  if (type.starts_with("vcf")) return write_vcf(output, header, type == "vcf.gz");
  return write_variant_table(output, header, type == "tsv.gz");
}

}  // namespace genossm
