// An SVG of points in a plane, as principal components give them.
#pragma once

#include <string>
#include <vector>

namespace genossm {

struct PcaPlot {
  std::string title;
  std::string x_axis, y_axis;
  std::vector<double> x, y;
  std::vector<std::string> names;   // of the points
  std::vector<std::string> groups;  // of the points; "" everywhere: no groups
};

// Names are written where points are few and there is room; groups, up to ten, have colours.
std::string pca_svg(const PcaPlot& plot);

}  // namespace genossm
