// MemoryMatrix: rows that stay in memory, for jobs that go on computing with them.
#pragma once

#include "libgenossm/output/writer.h"
#include "libgenossm/tasks/features.h"

namespace genossm {

class MemoryMatrix final : public MatrixWriter {
 public:
  explicit MemoryMatrix(FeatureRows& rows) : rows_(rows) {}
  void begin_record(const RowLabel&) override {}
  void rows(View<const float, 2> rows) override {
    for (Index i = 0; i < rows.extent[0]; ++i) {
      rows_.values.insert(rows_.values.end(), rows.row(i), rows.row(i) + rows.extent[1]);
    }
    rows_.columns = rows.extent[1];
  }
  void end_record() override {}
  void finish() override {}

 private:
  FeatureRows& rows_;
};

}  // namespace genossm
