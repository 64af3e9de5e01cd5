// L-BFGS (Nocedal and Wright 2006, algorithm 7.5) for a convex function. Private to the fitting of
// heads.
#pragma once

#include <functional>

#include "libgenossm/tasks/algebra.h"

namespace genossm {

struct LbfgsOptions {
  double tolerance = 0;  // ends when |gradient|^2 / 2 is no more than this
  Index max_iterations = 500;
  Index memory = 20;  // pairs kept
  // Relative rounding error of the function's value: a rise within it is taken for none.
  double noise = 1e-9;
};

struct LbfgsResult {
  Index iterations = 0;
  // Also true if steps no longer lead down and the gradient is within a hundred times the
  // tolerance: rounding ends the descent there.
  bool converged = false;
  double value = 0;
};

// function(x, gradient) returns the value and fills the gradient. x: the start, then the minimum.
LbfgsResult minimise(const std::function<double(const Vector&, Vector&)>& function,
                     const LbfgsOptions& options, Vector& x);

}  // namespace genossm
