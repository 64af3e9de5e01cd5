// The writers behind open_variants, and what they share.
#pragma once

#include <optional>

#include "libgenossm/output/atomic_file.h"
#include "libgenossm/output/variant_writer.h"

namespace genossm {

std::unique_ptr<VariantWriter> write_vcf(const VariantOutput& output, const VariantHeader& header,
                                         bool compressed);
std::unique_ptr<VariantWriter> write_bcf(const VariantOutput& output, const VariantHeader& header);
std::unique_ptr<VariantWriter> write_variant_table(const VariantOutput& output,
                                                   const VariantHeader& header, bool compressed);

// The header lines of a VCF with our fields: those of `header`, or a new one for a table.
std::vector<std::string> vcf_header(const VariantOutput& output, const VariantHeader& header);
std::string info_line(const VariantField& field);
// "0.5,.,-1": the field's values.
std::string field_text(const VariantField& field, const FieldValues& values);
// A record of a table as a line of VCF.
std::string vcf_line(const VariantRecord& record);

// The index of a compressed VCF or a BCF, made from the finished file before it has its name.
class VariantIndex {
 public:
  // `type`: csi or tbi. Throws Fault::output.
  VariantIndex(const OutputRequest& request, const std::string& type);
  // Throws Fault::input where records are not sorted.
  void build(const std::string& data, bool bcf);
  void publish() { file_.publish(); }

 private:
  AtomicFile file_;
  bool csi_;
};

}  // namespace genossm
