// A picture of vectors: their first two principal components, drawn while they are written.
#pragma once

#include <memory>
#include <string>

#include "libgenossm/output/writer.h"

namespace genossm {

// Vectors that one picture holds.
inline constexpr Index kMostPlotVectors = 10'000;

// Hands everything on to `to`; the SVG appears with its file. One row a record; rows that are not
// finite are left out. Throws Fault::output as a file does, and Fault::usage beyond
// kMostPlotVectors.
std::unique_ptr<MatrixWriter> plot_components(std::unique_ptr<MatrixWriter> to,
                                              const std::string& title, const std::string& path,
                                              bool force);

}  // namespace genossm
