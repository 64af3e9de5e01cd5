// LabelTable: the labels of all records, for the formats that need them after the last row. Names
// lie in one text and contigs are kept once, so that a record takes little more than its name.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "libgenossm/output/writer.h"

namespace genossm {

class LabelTable {
 public:
  void add(const RowLabel& label);

  std::size_t size() const { return lengths_.size(); }
  bool has_regions() const { return has_regions_; }
  std::string_view name(std::size_t i) const;
  std::string_view contig(std::size_t i) const;
  const std::vector<std::int64_t>& begins() const { return begins_; }
  const std::vector<std::int64_t>& ends() const { return ends_; }
  const std::vector<std::int64_t>& lengths() const { return lengths_; }

 private:
  bool has_regions_ = false;
  std::string names_;
  std::vector<std::size_t> name_ends_;  // in names_
  std::vector<std::string> contigs_;    // different ones
  std::unordered_map<std::string, std::uint32_t> contig_numbers_;
  std::vector<std::uint32_t> contig_of_;  // begins_ and ends_ too: empty without regions
  std::vector<std::int64_t> begins_, ends_, lengths_;
};

// A label has a region; either all records of an output have one or none.
inline bool has_region(const RowLabel& label) { return !label.contig.empty(); }

}  // namespace genossm
