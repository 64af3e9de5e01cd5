#include "libgenossm/tasks/pooling.h"

#include <algorithm>
#include <limits>

#include "kernels/pool/pool.h"

namespace genossm {

PoolKind parse_pool(const std::string& text) {
  if (text == "mean") return PoolKind::mean;
  if (text == "max") return PoolKind::max;
  if (text == "mean+max") return PoolKind::mean_max;
  if (text == "first") return PoolKind::first;
  if (text == "last") return PoolKind::last;
  if (text == "none") return PoolKind::none;
  fail(Fault::usage, "--pool '" + text + "' is none of mean, max, mean+max, first, last, none");
}

Pooling::Pooling(PoolKind kind, Index columns) : kind_(kind), columns_(columns) {
  require(kind != PoolKind::none, Fault::internal, "pooling: none");
  begin();
}

void Pooling::begin() {
  const auto n = static_cast<std::size_t>(columns_);
  count_ = 0;
  sum_.assign(n, 0.0);
  max_.assign(n, -std::numeric_limits<double>::infinity());
  kept_.assign(n, 0.0f);
}

void Pooling::take(Device& where, View<const float, 2> rows) {
  const Index n = rows.extent[0];
  if (n == 0) return;
  // Rows are in host memory, whatever device they came from.
  Device host{Cpu(1)};
  Device& device = as_cuda(where) != nullptr ? host : where;
  const bool mean = kind_ == PoolKind::mean || kind_ == PoolKind::mean_max;
  const bool max = kind_ == PoolKind::max || kind_ == PoolKind::mean_max;
  if (mean) {
    launch(device, Pool{.kind = Pool::Kind::mean, .x = rows, .sum = {sum_.data(), {columns_}}});
  }
  if (max) {
    launch(device, Pool{.kind = Pool::Kind::max, .x = rows, .sum = {max_.data(), {columns_}}});
  }
  if (kind_ == PoolKind::first && count_ == 0) std::copy_n(rows.row(0), columns_, kept_.begin());
  if (kind_ == PoolKind::last) std::copy_n(rows.row(n - 1), columns_, kept_.begin());
  count_ += n;
}

std::vector<float> Pooling::finish() const {
  std::vector<float> out;
  if (count_ == 0) {
    out.assign(static_cast<std::size_t>(columns()), std::numeric_limits<float>::quiet_NaN());
    return out;
  }
  if (kind_ == PoolKind::mean || kind_ == PoolKind::mean_max) {
    for (const double s : sum_) out.push_back(static_cast<float>(s / static_cast<double>(count_)));
  }
  if (kind_ == PoolKind::max || kind_ == PoolKind::mean_max) {
    for (const double m : max_) out.push_back(static_cast<float>(m));
  }
  if (kind_ == PoolKind::first || kind_ == PoolKind::last) out = kept_;
  return out;
}

}  // namespace genossm
