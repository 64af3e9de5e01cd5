// Windows: how a sequence longer than the model's context is cut, and which bases each window
// reports.
//
// Every base is reported exactly once, from the window that sees most around it: two-way models
// split an overlap in its middle, one-way models report it from the earlier window.
#pragma once

#include <vector>

#include "kernels/core/view.h"

namespace genossm {

struct Window {
  Index begin = 0, end = 0;                // bases the model sees
  Index report_begin = 0, report_end = 0;  // bases whose rows are used
};

// window 0: the whole length at once. stride 0: half a window for two-way models, `window` for
// one-way ones. The last window ends at the last base and is as long as the others. An empty
// sequence has no windows. Throws Fault::usage if the stride is longer than the window.
std::vector<Window> cut_windows(Index length, Index window, Index stride, bool two_way);

}  // namespace genossm
