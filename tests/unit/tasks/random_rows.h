// Rows that a test can make labels for.
#pragma once

#include <cmath>
#include <vector>

#include "libgenossm/tasks/features.h"
#include "libgenossm/tasks/random_stream.h"

namespace genossm::testing {

// About normal: twelve uniform numbers, less six.
inline double normal(RandomStream& random) {
  double sum = -6;
  for (int i = 0; i < 12; ++i) sum += random.uniform();
  return sum;
}

// Correlated columns of different means and scales.
inline FeatureRows random_rows(Index rows, Index columns, std::uint64_t seed) {
  RandomStream random(seed, 77);
  FeatureRows out;
  out.columns = columns;
  for (Index i = 0; i < rows; ++i) {
    const double common = normal(random);
    for (Index c = 0; c < columns; ++c) {
      const double own = normal(random);
      const auto scale = 1 + 0.3 * static_cast<double>(c % 5), mean = static_cast<double>(c % 3);
      out.values.push_back(static_cast<float>((own + 0.7 * common) * scale + mean));
    }
  }
  return out;
}

// Classes drawn from a softmax of random weights on the columns, `sharp` times as sure.
inline Targets random_classes(const FeatureTable& rows, Index classes, double sharp,
                              std::uint64_t seed) {
  RandomStream random(seed, 78);
  std::vector<double> weights;
  for (Index i = 0; i < classes * rows.columns; ++i) weights.push_back(sharp * normal(random));
  Targets out;
  out.classes = classes;
  for (Index i = 0; i < rows.rows; ++i) {
    Index best = 0;
    double most = -1e300;
    for (Index j = 0; j < classes; ++j) {
      double z = -std::log(-std::log(random.uniform() + 1e-15) + 1e-15);  // Gumbel's trick
      for (Index c = 0; c < rows.columns; ++c) {
        const auto w = weights[static_cast<std::size_t>(j * rows.columns + c)];
        z += w * (static_cast<double>(rows.row(i)[c]) - static_cast<double>(c % 3));
      }
      if (z > most) {
        most = z;
        best = j;
      }
    }
    out.labels.push_back(static_cast<std::int32_t>(best));
  }
  return out;
}

inline Targets random_values(const FeatureTable& rows, double noise, std::uint64_t seed) {
  RandomStream random(seed, 79);
  std::vector<double> weights;
  for (Index c = 0; c < rows.columns; ++c) weights.push_back(normal(random));
  Targets out;
  for (Index i = 0; i < rows.rows; ++i) {
    double y = 3 + noise * normal(random);
    for (Index c = 0; c < rows.columns; ++c) {
      y += weights[static_cast<std::size_t>(c)] * static_cast<double>(rows.row(i)[c]);
    }
    out.values.push_back(y);
  }
  return out;
}

}  // namespace genossm::testing
