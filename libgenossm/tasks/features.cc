#include "libgenossm/tasks/features.h"

#include <cmath>

#include "kernels/core/error.h"

namespace genossm {

void require_finite(const FeatureTable& features, const std::string& what) {
  for (Index i = 0; i < features.rows; ++i) {
    for (Index c = 0; c < features.columns; ++c) {
      if (!std::isfinite(features.row(i)[c])) {
        fail(Fault::input, what + ": row " + std::to_string(i + 1) + ", column " +
                               std::to_string(c + 1) + " is not a finite number");
      }
    }
  }
}

FeatureRows take_rows(const FeatureTable& features, const std::vector<Index>& rows) {
  FeatureRows out;
  out.columns = features.columns;
  out.values.reserve(rows.size() * static_cast<std::size_t>(features.columns));
  for (const Index i : rows) {
    out.values.insert(out.values.end(), features.row(i), features.row(i) + features.columns);
  }
  return out;
}

Targets take_rows(const Targets& targets, const std::vector<Index>& rows) {
  Targets out;
  out.classes = targets.classes;
  for (const Index row : rows) {
    const auto i = static_cast<std::size_t>(row);
    if (targets.classes > 0) {
      out.labels.push_back(targets.labels[i]);
    } else {
      out.values.push_back(targets.values[i]);
    }
  }
  return out;
}

}  // namespace genossm
