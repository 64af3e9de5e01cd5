// An SVG of what every change of a short region does: a logo of the reference whose letters are as
// tall as the loss that their changes bring on average, above a heat map of the changes.
#pragma once

#include <string>
#include <vector>

#include "kernels/core/view.h"

namespace genossm {

struct EffectPlot {
  std::string title;
  std::string contig;
  Index begin = 0;                // 0-based place of the first base
  std::string bases;              // of the reference, upper case
  std::vector<std::string> rows;  // names of the columns of `scores`
  std::vector<float> scores;      // [bases, rows], NaN where there is none
};

// Bases that fit a plot.
inline constexpr Index kMostPlotBases = 2000;

std::string effect_svg(const EffectPlot& plot);

}  // namespace genossm
