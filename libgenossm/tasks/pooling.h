// Pooling: the rows of one record, in order, reduced to one vector.
#pragma once

#include <string>
#include <vector>

#include "kernels/core/device.h"

namespace genossm {

enum class PoolKind { mean, max, mean_max, first, last, none };

// "mean", "max", "mean+max", "first", "last", "none"; throws Fault::usage.
PoolKind parse_pool(const std::string& text);

class Pooling {
 public:
  // columns: of the rows. kind is not none.
  Pooling(PoolKind kind, Index columns);
  Index columns() const { return kind_ == PoolKind::mean_max ? 2 * columns_ : columns_; }

  void begin();
  void take(Device& device, View<const float, 2> rows);
  // The vector; all NaN when no rows came.
  std::vector<float> finish() const;

 private:
  PoolKind kind_;
  Index columns_;
  Index count_ = 0;
  std::vector<double> sum_, max_;
  std::vector<float> kept_;
};

}  // namespace genossm
