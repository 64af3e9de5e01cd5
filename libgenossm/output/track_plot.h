// An SVG of tracks along records: panels of lines, one under the other. Long records are drawn by
// the mean of neighbouring bases, with the band from the least to the largest where a panel has
// one line; short ones with their letters. Where there is no number the line has a gap.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "libgenossm/output/tracks.h"

namespace genossm {

struct PlotPanel {
  std::string axis;                  // what is drawn, with its unit
  std::vector<std::size_t> columns;  // of the tracks
  std::vector<std::string> names;    // one a column; with one column none is shown
  bool logarithmic = false;
};

struct TrackPlotSpec {
  std::string title;
  std::vector<PlotPanel> panels;
};

// Records that one plot holds.
inline constexpr std::size_t kMostPlotRecords = 16;

// Hands everything on to `to` and draws it on the way. The file appears with that of `to`. Throws
// Fault::output as a file does, and Fault::usage at a record more than a plot holds.
std::unique_ptr<TrackWriter> plot_tracks(std::unique_ptr<TrackWriter> to, TrackPlotSpec spec,
                                         const std::string& path, bool force);

}  // namespace genossm
