#include "libgenossm/tasks/pooling.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/core/error.h"

namespace genossm {
namespace {

// Rows 0, 1, 2 ... with columns t and -t.
std::vector<float> pooled(const std::string& text, Index rows, Index piece) {
  Device device{Cpu(1)};
  Pooling pooling(parse_pool(text), 2);
  pooling.begin(rows);
  std::vector<float> values;
  for (Index t = 0; t < rows; ++t) {
    values.push_back(static_cast<float>(t));
    values.push_back(static_cast<float>(-t));
  }
  for (Index t = 0; t < rows; t += piece) {
    const Index n = std::min(piece, rows - t);
    pooling.take(device, {values.data() + 2 * t, {n, 2}});
  }
  return pooling.finish();
}

TEST(Pooling, PartsByHand) {
  using Values = std::vector<float>;
  EXPECT_EQ(pooled("mean", 10, 10), (Values{4.5f, -4.5f}));
  EXPECT_EQ(pooled("max", 10, 10), (Values{9, 0}));
  EXPECT_EQ(pooled("first+last", 10, 10), (Values{0, 0, 9, -9}));
  // Ten rows have their middle between rows 4 and 5; one row: the later.
  EXPECT_EQ(pooled("center", 10, 10), (Values{5, -5}));
  EXPECT_EQ(pooled("center:2", 10, 10), (Values{4.5f, -4.5f}));
  EXPECT_EQ(pooled("center:1", 9, 9), (Values{4, -4}));
  EXPECT_EQ(pooled("center:20", 10, 10), (Values{4.5f, -4.5f}));
  // [0, 3), [3, 6), [6, 10)
  EXPECT_EQ(pooled("segments:3", 10, 10), (Values{1, -1, 4, -4, 7.5f, -7.5f}));
  // More segments than rows: every one has a row.
  EXPECT_EQ(pooled("segments:4", 2, 2), (Values{0, 0, 0, 0, 1, -1, 1, -1}));
}

TEST(Pooling, DoesNotDependOnTheCut) {
  for (const char* text : {"mean+max", "center:5+segments:7", "first+last+center"}) {
    for (const Index rows : {1, 2, 7, 64}) {
      const auto whole = pooled(text, rows, rows);
      for (const Index piece : {1, 3, 5}) EXPECT_EQ(pooled(text, rows, piece), whole) << text;
    }
  }
}

TEST(Pooling, SumsMayComeFromElsewhere) {
  EXPECT_FALSE(Pooling(parse_pool("mean+last"), 2).sums());
  EXPECT_FALSE(Pooling(parse_pool("mean"), 2).maxima());
  Pooling pooling(parse_pool("max+mean"), 2);
  ASSERT_TRUE(pooling.sums() && pooling.maxima());
  const double sum[] = {45, -45}, max[] = {9, 0};
  pooling.begin(10);
  pooling.put(sum, max, 10);
  EXPECT_EQ(pooling.finish(), pooled("max+mean", 10, 3));
  // In two parts, the sums of the first handed on.
  const double less_sum[] = {6, -6}, less_max[] = {3, 0};
  pooling.begin(10);
  pooling.put(less_sum, less_max, 4);
  double sum_then[2] = {}, max_then[2] = {};
  pooling.get(sum_then, max_then);
  EXPECT_TRUE(std::equal(sum_then, sum_then + 2, less_sum));
  EXPECT_TRUE(std::equal(max_then, max_then + 2, less_max));
  pooling.put(sum, max, 6);
  EXPECT_EQ(pooling.finish(), pooled("max+mean", 10, 3));
  pooling.begin(0);
  pooling.put(sum, max, 0);
  for (const float value : pooling.finish()) EXPECT_TRUE(std::isnan(value));
}

TEST(Pooling, NoRowsAreNaN) {
  for (const float value : pooled("mean+segments:3", 0, 1)) EXPECT_TRUE(std::isnan(value));
}

TEST(Pooling, Text) {
  for (const char* text : {"none", "mean", "mean+max", "center:1", "first+segments:16+last"}) {
    EXPECT_EQ(pool_text(parse_pool(text)), text);
  }
  EXPECT_EQ(pool_text(parse_pool("center")), "center:1");
  EXPECT_EQ(pooled_columns(parse_pool("mean+max+segments:3"), 8), 40);
  for (const char* text : {"", "median", "mean+", "segments", "segments:0", "center:-1", "mean:3",
                           "center:x", "none+mean", "segments:9999999999999999999"}) {
    EXPECT_THROW(parse_pool(text), Error) << text;
  }
}

}  // namespace
}  // namespace genossm
