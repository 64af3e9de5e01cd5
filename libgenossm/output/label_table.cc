#include "libgenossm/output/label_table.h"

namespace genossm {

void LabelTable::add(const RowLabel& label) {
  names_ += label.name;
  name_ends_.push_back(names_.size());
  lengths_.push_back(label.length);
  if (!has_region(label)) return;
  has_regions_ = true;
  const auto [at, fresh] =
      contig_numbers_.try_emplace(label.contig, static_cast<std::uint32_t>(contigs_.size()));
  if (fresh) contigs_.push_back(label.contig);
  contig_of_.push_back(at->second);
  begins_.push_back(label.begin);
  ends_.push_back(label.end);
}

std::string_view LabelTable::name(std::size_t i) const {
  const std::size_t begin = i == 0 ? 0 : name_ends_[i - 1];
  return std::string_view(names_).substr(begin, name_ends_[i] - begin);
}

std::string_view LabelTable::contig(std::size_t i) const { return contigs_[contig_of_[i]]; }

}  // namespace genossm
