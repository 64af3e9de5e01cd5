#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "kernels/core/error.h"
#include "libgenossm/tasks/bootstrap.h"
#include "libgenossm/tasks/metrics.h"

namespace genossm {
namespace {

using Times = std::vector<std::uint32_t>;
enum Figure { kPearson, kSpearman, kR2, kMae, kRmse, kFigures };

// Row i counts times[i] times.
double mean_of(std::span<const double> x, const Times& times) {
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) sum += times[i] * x[i];
  return sum / static_cast<double>(x.size());
}

double correlation(std::span<const double> x, std::span<const double> y, const Times& times) {
  const double mx = mean_of(x, times), my = mean_of(y, times);
  double xx = 0, yy = 0, xy = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double dx = x[i] - mx, dy = y[i] - my;
    xx += times[i] * dx * dx;
    yy += times[i] * dy * dy;
    xy += times[i] * dx * dy;
  }
  // What rounding leaves of a constant is no spread.
  const auto n = static_cast<double>(x.size());
  const auto flat = [n](double squares, double mean) {
    return squares <= 1e-28 * n * mean * mean || squares == 0;
  };
  if (flat(xx, mx) || flat(yy, my)) return kUndefined;
  return std::clamp(xy / std::sqrt(xx) / std::sqrt(yy), -1.0, 1.0);
}

// Ascending, so that the ranks of any resample take one pass.
std::vector<std::size_t> ascending(std::span<const double> x) {
  std::vector<std::size_t> order(x.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return x[a] < x[b]; });
  return order;
}

// Mean ranks of a resample: equal values share the mean of their places.
std::vector<double> ranks(std::span<const double> x, const std::vector<std::size_t>& order,
                          const Times& times) {
  std::vector<double> out(x.size());
  double before = 0;
  for (std::size_t begin = 0, end = 0; begin < order.size(); begin = end) {
    double tied = 0;
    while (end < order.size() && x[order[end]] == x[order[begin]]) tied += times[order[end++]];
    for (std::size_t i = begin; i < end; ++i) out[order[i]] = before + 0.5 * (tied + 1);
    before += tied;
  }
  return out;
}

}  // namespace

RegressionMetrics regression_metrics(std::span<const double> predictions,
                                     std::span<const double> values,
                                     const BootstrapOptions& options, Cpu& cpu) {
  require(predictions.size() == values.size(), Fault::internal,
          "metrics: the numbers of predictions and targets differ");
  require(!values.empty(), Fault::input, "metrics: no rows, want some");
  for (std::size_t i = 0; i < values.size(); ++i) {
    require(std::isfinite(values[i]) && std::isfinite(predictions[i]), Fault::input,
            "metrics: target or prediction of row " + std::to_string(i + 1) +
                " is not a finite number");
  }
  const auto order_p = ascending(predictions), order_y = ascending(values);
  const auto figures = [&](const Times& times) {
    std::array<double, kFigures> out{};
    out[kPearson] = correlation(predictions, values, times);
    out[kSpearman] =
        correlation(ranks(predictions, order_p, times), ranks(values, order_y, times), times);
    const double mean = mean_of(values, times);
    double squares = 0, absolute = 0, spread = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double miss = values[i] - predictions[i], away = values[i] - mean;
      squares += times[i] * miss * miss;
      absolute += times[i] * std::abs(miss);
      spread += times[i] * away * away;
    }
    const auto n = static_cast<double>(values.size());
    out[kR2] = spread > 1e-28 * n * mean * mean ? 1 - squares / spread : kUndefined;
    out[kMae] = absolute / n;
    out[kRmse] = std::sqrt(squares / n);
    return out;
  };
  const auto estimates =
      with_intervals<kFigures>(static_cast<Index>(values.size()), options, cpu, figures);
  RegressionMetrics out;
  out.rows = static_cast<Index>(values.size());
  out.pearson = estimates[kPearson];
  out.spearman = estimates[kSpearman];
  out.r2 = estimates[kR2];
  out.mae = estimates[kMae];
  out.rmse = estimates[kRmse];
  return out;
}

}  // namespace genossm
