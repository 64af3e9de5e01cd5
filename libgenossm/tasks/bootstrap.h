// Percentile intervals of figures over resamples of the rows. Private to the metrics.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "kernels/core/cpu.h"
#include "libgenossm/tasks/metrics.h"
#include "libgenossm/tasks/random_stream.h"

namespace genossm {

inline constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();

// Linear between order statistics; NaN for none. `sorted` ascends.
inline double percentile(const std::vector<double>& sorted, double part) {
  if (sorted.empty()) return kUndefined;
  const double at = part * static_cast<double>(sorted.size() - 1);
  const auto low = static_cast<std::size_t>(at);
  const std::size_t high = std::min(low + 1, sorted.size() - 1);
  return sorted[low] + (at - static_cast<double>(low)) * (sorted[high] - sorted[low]);
}

// figures(times) -> std::array<double, N>: the figures when row i counts times[i] times. A resample
// draws as many rows as there are, from a stream of its own.
template <std::size_t N, class Figures>
std::array<Estimate, N> with_intervals(Index rows, const BootstrapOptions& options, Cpu& cpu,
                                       const Figures& figures) {
  const auto n = static_cast<std::size_t>(rows);
  std::vector<std::array<double, N>> drawn(static_cast<std::size_t>(options.resamples));
  cpu.for_each(options.resamples, [&](Index r) {
    RandomStream random(options.seed, static_cast<std::uint64_t>(r));
    std::vector<std::uint32_t> times(n, 0);
    for (std::size_t i = 0; i < n; ++i) ++times[random.below(n)];
    drawn[static_cast<std::size_t>(r)] = figures(times);
  });
  const std::array<double, N> values = figures(std::vector<std::uint32_t>(n, 1));
  std::array<Estimate, N> out;
  for (std::size_t f = 0; f < N; ++f) {
    std::vector<double> sorted;
    for (const auto& resample : drawn) {
      if (!std::isnan(resample[f])) sorted.push_back(resample[f]);
    }
    std::sort(sorted.begin(), sorted.end());
    out[f] = {values[f], percentile(sorted, 0.025), percentile(sorted, 0.975)};
  }
  return out;
}

}  // namespace genossm
