// FeatureTable: what a head sees of the records, one row each. (`Features` of runtime is what a
// model is asked for.)
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/core/view.h"

namespace genossm {

// [rows, columns], row-major and contiguous. A view: it owns nothing.
struct FeatureTable {
  const float* data = nullptr;
  Index rows = 0;
  Index columns = 0;

  const float* row(Index i) const { return data + i * columns; }
};

// Throws Fault::input, naming `what` and the first row and column that is NaN or infinite.
void require_finite(const FeatureTable& features, const std::string& what);

// Owning copy of some rows, in the order given.
struct FeatureRows {
  std::vector<float> values;
  Index columns = 0;

  FeatureTable table() const {
    return {values.data(), columns > 0 ? static_cast<Index>(values.size()) / columns : 0, columns};
  }
};
FeatureRows take_rows(const FeatureTable& features, const std::vector<Index>& rows);

// What is to be predicted, one value a row. Classes: labels in [0, classes). Regression: classes is
// 0 and values holds the numbers.
struct Targets {
  Index classes = 0;
  std::vector<std::int32_t> labels;
  std::vector<double> values;

  Index rows() const { return static_cast<Index>(classes > 0 ? labels.size() : values.size()); }
};
Targets take_rows(const Targets& targets, const std::vector<Index>& rows);

}  // namespace genossm
