#include "libgenossm/tasks/standardizer.h"

#include <algorithm>
#include <cmath>

#include "kernels/core/error.h"

namespace genossm {
namespace {

// Columns that one task takes: each sum is added up by one thread, from the first row to the last.
constexpr Index kColumns = 64;

void measure(const FeatureTable& features, Index begin, Index end, double* mean, double* scale) {
  const auto n = static_cast<double>(features.rows);
  std::vector<double> largest(static_cast<std::size_t>(end - begin), 0.0);
  for (Index i = 0; i < features.rows; ++i) {
    const float* row = features.row(i);
    for (Index c = begin; c < end; ++c) {
      const double x = static_cast<double>(row[c]);
      mean[c] += x;
      double& most = largest[static_cast<std::size_t>(c - begin)];
      most = std::max(most, std::abs(x));
    }
  }
  for (Index c = begin; c < end; ++c) mean[c] /= n;
  for (Index i = 0; i < features.rows; ++i) {
    const float* row = features.row(i);
    for (Index c = begin; c < end; ++c) {
      const double d = static_cast<double>(row[c]) - mean[c];
      scale[c] += d * d;
    }
  }
  for (Index c = begin; c < end; ++c) {
    const double deviation = std::sqrt(scale[c] / n);
    const double rounding = 1e-6 * largest[static_cast<std::size_t>(c - begin)];
    scale[c] = deviation > rounding ? deviation : 1.0;
  }
}

}  // namespace

Standardizer Standardizer::fit(const FeatureTable& features, Cpu& cpu) {
  require(features.rows > 0, Fault::input, "training part: no rows, want some");
  Standardizer out;
  out.mean.assign(static_cast<std::size_t>(features.columns), 0.0);
  out.scale.assign(static_cast<std::size_t>(features.columns), 0.0);
  cpu.for_each((features.columns + kColumns - 1) / kColumns, [&](Index part) {
    measure(features, part * kColumns, std::min(features.columns, (part + 1) * kColumns),
            out.mean.data(), out.scale.data());
  });
  return out;
}

void Standardizer::apply(const float* row, float* out) const {
  for (std::size_t c = 0; c < mean.size(); ++c) {
    out[c] = static_cast<float>((static_cast<double>(row[c]) - mean[c]) / scale[c]);
  }
}

}  // namespace genossm
