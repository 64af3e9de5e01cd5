// What the tests of single ops share: random matrices with guarded gaps, comparisons, devices.
#pragma once

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "kernels/core/device.h"
#include "kernels/core/error.h"
#include "kernels/core/view.h"

namespace genossm::testing {

inline constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
inline constexpr float kInfinity = std::numeric_limits<float>::infinity();

// A matrix whose rows lie `gap` elements apart. The gaps, and the space before and behind, hold
// NaN: an op that reads them spoils its result, one that writes them fails intact().
struct Matrix {
  Matrix(Index row_count, Index column_count, Index gap = 0)
      : rows(row_count),
        columns(column_count),
        stride(column_count + gap),
        values(static_cast<std::size_t>(2 * kGuard + row_count * stride), kNaN) {}

  View<float, 2> view() { return {values.data() + kGuard, {rows, columns}, {stride, 1}}; }
  float& at(Index row, Index column) { return view().row(row)[column]; }

  bool intact() const {
    const Index size = static_cast<Index>(values.size());
    for (Index i = 0; i < size; ++i) {
      const Index inside = i - kGuard;
      const bool used = inside >= 0 && inside < rows * stride && inside % stride < columns;
      const float value = values[static_cast<std::size_t>(i)];
      if (!used && std::bit_cast<std::uint32_t>(value) != std::bit_cast<std::uint32_t>(kNaN)) {
        return false;
      }
    }
    return true;
  }

  static constexpr Index kGuard = 19;  // odd, so that rows are not aligned
  Index rows, columns, stride;
  std::vector<float> values;
};

inline Matrix random_matrix(std::mt19937& random, Index rows, Index columns, Index gap = 0,
                            float largest = 1.0f) {
  Matrix m(rows, columns, gap);
  std::uniform_real_distribution<float> value(-largest, largest);
  for (Index i = 0; i < rows; ++i) {
    for (Index j = 0; j < columns; ++j) m.at(i, j) = value(random);
  }
  return m;
}

inline View<const float, 1> vector_of(Matrix& one_row) {
  return {one_row.view().data, {one_row.columns}};
}

// The same values without gaps.
inline Matrix dense(View<const float, 2> v) {
  Matrix m(v.extent[0], v.extent[1]);
  for (Index i = 0; i < m.rows; ++i) std::copy_n(v.row(i), m.columns, m.view().row(i));
  return m;
}

// |got - want| <= tolerance * max |want| + floor; NaN and infinities where `want` has them.
inline ::testing::AssertionResult close(View<const float, 2> got, View<const float, 2> want,
                                        double tolerance, double floor = 0) {
  if (got.extent != want.extent) return ::testing::AssertionFailure() << "shapes differ";
  double largest = 0;
  for (Index i = 0; i < want.extent[0]; ++i) {
    for (Index j = 0; j < want.extent[1]; ++j) {
      const double w = want.row(i)[j];
      if (std::isfinite(w)) largest = std::max(largest, std::abs(w));
    }
  }
  for (Index i = 0; i < want.extent[0]; ++i) {
    for (Index j = 0; j < want.extent[1]; ++j) {
      const double g = got.row(i)[j], w = want.row(i)[j];
      const bool good = std::isfinite(w) ? std::abs(g - w) <= tolerance * largest + floor
                        : std::isnan(w)  ? std::isnan(g)
                                         : g == w;
      if (!good) {
        return ::testing::AssertionFailure() << "[" << i << ", " << j << "] is " << g << ", want "
                                             << w << " (largest " << largest << ")";
      }
    }
  }
  return ::testing::AssertionSuccess();
}

inline ::testing::AssertionResult same_bits(View<const float, 2> got, View<const float, 2> want) {
  if (got.extent != want.extent) return ::testing::AssertionFailure() << "shapes differ";
  for (Index i = 0; i < want.extent[0]; ++i) {
    for (Index j = 0; j < want.extent[1]; ++j) {
      const float g = got.row(i)[j], w = want.row(i)[j];
      if (std::bit_cast<std::uint32_t>(g) != std::bit_cast<std::uint32_t>(w)) {
        return ::testing::AssertionFailure()
               << "[" << i << ", " << j << "] is " << g << ", want the bits of " << w;
      }
    }
  }
  return ::testing::AssertionSuccess();
}

// The sentence with which `action` is refused as a shape; "" if it is not.
template <class Action>
std::string refusal(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error.fault() == Fault::shape ? error.what()
                                         : std::string("not a shape: ") + error.what();
  }
  return "";
}

// Runs `test` once for every instruction set that this machine and the library have.
template <class Test>
void for_each_instruction_set(Test test) {
  for (const std::int64_t target : hwy::SupportedAndGeneratedTargets()) {
    SCOPED_TRACE(hwy::TargetName(target));
    hwy::SetSupportedTargetsForTest(target);
    test();
  }
  hwy::SetSupportedTargetsForTest(0);
}

}  // namespace genossm::testing
