#include "libgenossm/runtime/windows.h"

#include <gtest/gtest.h>

#include "kernels/core/error.h"

namespace genossm::testing {
namespace {

// Every base is reported once, in order, by a window that sees it; all windows are of full length.
void expect_sound(Index length, Index window, Index stride, bool two_way) {
  SCOPED_TRACE(std::to_string(length) + " " + std::to_string(window) + " " +
               std::to_string(stride) + (two_way ? " two-way" : " one-way"));
  const std::vector<Window> windows = cut_windows(length, window, stride, two_way);
  Index next = 0;
  for (const Window& w : windows) {
    EXPECT_EQ(w.report_begin, next);
    EXPECT_LE(w.begin, w.report_begin);
    EXPECT_LE(w.report_begin, w.report_end);
    EXPECT_LE(w.report_end, w.end);
    EXPECT_LE(w.end, length);
    if (window > 0) {
      EXPECT_EQ(w.end - w.begin, std::min(window, length));
    }
    next = w.report_end;
  }
  EXPECT_EQ(next, length);
}

TEST(Windows, EveryBaseIsReportedOnce) {
  for (const bool two_way : {false, true}) {
    for (const Index window : {0, 1, 2, 7, 64, 100}) {
      for (const Index stride : {0, 1, 2, 5, 64}) {
        if (window > 0 && stride > window) continue;
        for (const Index length : {1, 2, 6, 7, 8, 13, 64, 99, 100, 101, 150, 151, 400}) {
          expect_sound(length, window, stride, two_way);
        }
      }
    }
  }
}

TEST(Windows, AnEmptySequenceHasNone) { EXPECT_TRUE(cut_windows(0, 10, 0, true).empty()); }

TEST(Windows, TwoWayWindowsSplitTheirOverlapInTheMiddle) {
  const auto windows = cut_windows(200, 100, 50, true);
  ASSERT_EQ(windows.size(), 3u);
  EXPECT_EQ(windows[0].report_end, 75);
  EXPECT_EQ(windows[1].report_end, 125);
}

TEST(Windows, OneWayWindowsReportAnOverlapFromTheEarlier) {
  const auto windows = cut_windows(150, 100, 60, false);
  ASSERT_EQ(windows.size(), 2u);
  EXPECT_EQ(windows[1].begin, 50);  // as long as the first
  EXPECT_EQ(windows[1].report_begin, 100);
}

TEST(Windows, AStrideLongerThanTheWindowIsRefused) {
  EXPECT_THROW(cut_windows(100, 10, 11, true), Error);
  EXPECT_NO_THROW(cut_windows(100, 10, 10, true));
}

}  // namespace
}  // namespace genossm::testing
