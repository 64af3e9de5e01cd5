// Pooling: the rows of one record, in order, reduced to one vector.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kernels/core/device.h"

namespace genossm {

// One part of a pooled vector. Of n rows (n > 0):
//   mean, max      over all rows
//   first, last    that row
//   center W       mean of the W rows in the middle, [(n - W + 1) / 2, +W), all of them if W >= n
//   segments K     K means, of the rows [s n / K, (s + 1) n / K), at least one each: what stands
//                  where along the record
struct PoolPart {
  enum class Kind { mean, max, first, last, center, segments };
  Kind kind = Kind::mean;
  Index size = 1;  // W or K
};

// The parts put side by side; empty: no pooling, one row a base.
using PoolParts = std::vector<PoolPart>;

// "none", or parts joined by '+': mean, max, first, last, center[:W] (W is 1), segments:K;
// "mean+max". Throws Fault::usage.
PoolParts parse_pool(const std::string& text);
std::string pool_text(const PoolParts& parts);  // reads back as the same parts
// Values of a pooled vector of rows with `columns` values.
Index pooled_columns(const PoolParts& parts, Index columns);

class Pooling {
 public:
  // columns: of the rows. `parts` is not empty.
  Pooling(PoolParts parts, Index columns);
  Index columns() const { return pooled_columns(parts_, columns_); }

  // The record has `rows` rows.
  void begin(Index rows);
  void take(Device& device, View<const float, 2> rows);
  // Whether all parts are means and maxima over all rows; then put() may take the place of take()
  // of so many rows: the sums of all rows up to these and, where maxima() are wanted, the largest
  // values. get(): these of the rows so far. max: null where no maxima are wanted.
  bool sums() const;
  bool maxima() const;
  void put(const double* sum, const double* max, Index rows);
  void get(double* sum, double* max) const;
  // What was taken so far, for a journal; restore() comes after begin() with as many rows. Throws
  // Fault::input for bytes of another size.
  std::string state() const;
  void restore(std::string_view bytes);
  // The vector; all NaN for a record without rows.
  std::vector<float> finish() const;

 private:
  struct Span {  // one vector of the result
    PoolPart::Kind kind = PoolPart::Kind::mean;
    Index begin = 0, end = 0;  // rows
    std::size_t at = 0;        // in values_
  };

  PoolParts parts_;
  Index columns_;
  Index count_ = 0, rows_ = 0;
  std::vector<Span> spans_;
  std::vector<double> values_;
};

}  // namespace genossm
