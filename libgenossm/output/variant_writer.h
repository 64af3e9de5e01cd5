// Variants with what was found of their alleles: VCF, BCF or a table.
//
// VCF and BCF: the records as they were read, in order, with INFO fields of one value an ALT and
// the header lines that define them; what an earlier run left under the same names is replaced. VCF
// text that was read as text keeps every other byte. Table from a table: its columns, then ours;
// table from VCF: a row an allele.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "libgenossm/io/variants.h"
#include "libgenossm/output/writer.h"

namespace genossm {

struct VariantField {
  enum class Type { real, integer, text };
  std::string id;  // "GSSM_LLR"
  Type type = Type::real;
  std::string description;
};

// One field's values of one record, one an ALT, in the vector of the field's type.
struct FieldValues {
  static constexpr std::int32_t kMissing = std::numeric_limits<std::int32_t>::min();
  std::vector<float> reals;  // NaN: missing
  std::vector<std::int32_t> integers;
  std::vector<std::string> texts;
};

struct VariantOutput {
  OutputRequest request;
  std::string index;       // "csi", "tbi"; empty: none
  std::string provenance;  // one line of JSON; empty: none
  std::vector<VariantField> fields;
  // Of the reference: a table has none of its own, and BCF needs all that records are on.
  std::vector<std::pair<std::string, Index>> contigs;
};

class VariantWriter {
 public:
  virtual ~VariantWriter() = default;
  // values[f] belongs to field f. Throws Fault::input for a record that the format cannot hold.
  virtual void write(const VariantRecord& record, std::span<const FieldValues> values) = 0;
  // Completes the file (and its index) and gives it its name. Without it nothing is left.
  virtual void finish() = 0;
};

// The type that is written; nothing is opened. Throws Fault::usage.
std::string variant_type(const VariantOutput& output, const VariantHeader& header);

// Types vcf, vcf.gz, bcf, tsv, tsv.gz; a path without a known suffix and standard output are what
// was read. Throws Fault::usage, Fault::output.
std::unique_ptr<VariantWriter> open_variants(const VariantOutput& output,
                                             const VariantHeader& header);

}  // namespace genossm
