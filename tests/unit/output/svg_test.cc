#include "libgenossm/output/svg.h"

#include <gtest/gtest.h>

namespace genossm {
namespace {

TEST(Axis, RoundNumbersWithin) {
  const Axis axis(0.3, 9.7, 0, 100);
  EXPECT_EQ(axis.ticks(5), (std::vector<double>{0, 2, 4, 6, 8, 10}));
  EXPECT_EQ(Axis(-3, 1, 0, 1).ticks(5), (std::vector<double>{-3, -2, -1, 0, 1}));
  const std::vector<double> small = Axis(0.0012, 0.0019, 0, 1).ticks(4);
  ASSERT_EQ(small.size(), 4u);
  EXPECT_EQ(Axis::label(small[0]), "0.0012");
}

TEST(Axis, PowersOfTen) {
  const Axis axis(0.5, 3000, 0, 100, true);
  EXPECT_EQ(axis.ticks(5), (std::vector<double>{1, 10, 100, 1000}));
  EXPECT_NEAR(axis.at(10) - axis.at(1), axis.at(1000) - axis.at(100), 1e-9);
  // Within one power there are round numbers all the same.
  EXPECT_GE(Axis(210, 420, 0, 1, true).ticks(5).size(), 3u);
}

TEST(Axis, OneValueStandsInTheMiddle) {
  for (const double value : {0.0, 1.0, -7e9, 1e-20}) {
    EXPECT_NEAR(Axis(value, value, 0, 100).at(value), 50, 1e-6) << value;
  }
  EXPECT_NEAR(Axis(5, 5, 0, 100, true).at(5), 50, 1e-6);
}

TEST(Axis, Places) {
  EXPECT_EQ(round_places(1, 48502, 8),
            (std::vector<long long>{5000, 10000, 15000, 20000, 25000, 30000, 35000, 40000, 45000}));
  EXPECT_EQ(round_places(101, 110, 8),
            (std::vector<long long>{101, 102, 103, 104, 105, 106, 107, 108, 109, 110}));
  EXPECT_EQ(round_places(7, 7, 8), (std::vector<long long>{7}));
}

TEST(Svg, TextIsEscaped) {
  Svg svg(10, 10);
  svg.text(1, 2, "a<b>&\"c\"\n");
  const std::string text = svg.finish();
  EXPECT_NE(text.find("a&lt;b&gt;&amp;&quot;c&quot; </text>"), std::string::npos);
  EXPECT_TRUE(text.ends_with("</svg>\n"));
}

}  // namespace
}  // namespace genossm
