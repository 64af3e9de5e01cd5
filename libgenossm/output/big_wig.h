// BigWig: values of bases, in the order of the contigs, with zoom levels. NaN is left out.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "libgenossm/output/writer.h"

namespace genossm {

class BigWig {
 public:
  // Throws Fault::output, Fault::usage (a contig of 2^32 bases or more), Fault::input (no contigs).
  BigWig(const OutputRequest& request, const std::vector<std::pair<std::string, Index>>& contigs);
  ~BigWig();
  // The values to come begin there. Throws Fault::input for a place that is not after all before.
  void begin(const std::string& contig, Index begin);
  void add(std::span<const float> values);
  // Completes the file, under its temporary name; publish() gives it its own.
  void close();
  void publish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace genossm
