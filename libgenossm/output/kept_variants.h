// What is kept of scored variants: their numbers alone. The records are read again from the input
// when the output is written, be it from the journal of a run or from the parts of a job.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "libgenossm/output/journal.h"
#include "libgenossm/output/variant_writer.h"

namespace genossm {

// One record: the values of all fields; or, where vectors are wanted, one an allele.
std::string kept_values(std::span<const FieldValues> values);
std::string kept_vectors(std::span<const std::vector<float>> alleles);

// The row of an allele's vector.
RowLabel allele_label(const VariantRecord& record, std::size_t allele);

// Gives the frames of all records, one after the other, to a writer, beside the records themselves.
class VariantReplay {
 public:
  // Opens `input` from its beginning.
  VariantReplay(const std::string& input, VariantWriter& to, std::size_t fields);
  VariantReplay(const std::string& input, MatrixWriter& to, Index columns);
  // Throws Fault::input where the input has fewer records.
  void operator()(std::string_view frames);
  // After the last one. Throws Fault::input where the input has more.
  void end();

 private:
  bool next();

  std::string input_;
  std::unique_ptr<VariantReader> reader_;
  VariantRecord record_;
  VariantWriter* variants_ = nullptr;  // one of the two
  MatrixWriter* features_ = nullptr;
  std::vector<FieldValues> values_;
  std::vector<float> row_;
};

// What a part says of the output, and back; all but the request.
Facts facts_of(const VariantOutput& output, const std::string& input);
VariantOutput variant_output(const Part& part);

}  // namespace genossm
