#include "libgenossm/runtime/windows.h"

#include <algorithm>
#include <string>

#include "kernels/core/error.h"

namespace genossm {

std::vector<Window> cut_windows(Index length, Index window, Index stride, bool two_way) {
  if (length <= 0) return {};
  if (window <= 0) return {{0, length, 0, length}};
  if (stride > window) {  // whatever the length: the next sequence may be longer
    fail(Fault::usage, "--stride " + std::to_string(stride) + " is longer than --window " +
                           std::to_string(window) + ": bases between windows would be lost");
  }
  if (length <= window) return {{0, length, 0, length}};
  if (stride <= 0) stride = two_way ? std::max<Index>(1, window / 2) : window;
  std::vector<Window> windows;
  for (Index begin = 0;; begin += stride) {
    begin = std::min(begin, length - window);
    windows.push_back({begin, begin + window, begin, begin + window});
    if (begin + window >= length) break;
  }
  for (std::size_t i = 1; i < windows.size(); ++i) {
    Window& left = windows[i - 1];
    Window& right = windows[i];
    const Index border = two_way ? (left.end + right.begin) / 2 : left.end;
    left.report_end = border;
    right.report_begin = border;
  }
  windows.front().report_begin = 0;
  return windows;
}

}  // namespace genossm
