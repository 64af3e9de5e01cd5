// Compressed blocks: the same bytes in the same order by any number of threads.
#include "libgenossm/output/packed_blocks.h"

#include <gtest/gtest.h>

#include "libgenossm/output/text_file.h"
#include "tests/unit/output/rows.h"

namespace genossm::testing {
namespace {

TEST(PackedBlocks, KeepTheirOrder) {
  for (const int threads : {1, 2, 5}) {
    PackedBlocks blocks(threads, [](std::string_view block) { return std::string(block) + ">"; });
    std::string expected, got;
    const auto put = [&](std::string_view packed) { got += packed; };
    for (int i = 0; i < 101; ++i) {
      blocks.add(std::to_string(i), put);
      expected += std::to_string(i) + ">";
      if (i == 50) blocks.flush(put);
    }
    blocks.flush(put);
    blocks.flush(put);
    EXPECT_EQ(got, expected) << threads;
  }
}

TEST(PackedBlocks, ErrorsReachTheCaller) {
  const auto nothing = [](std::string_view) {};
  for (const int threads : {1, 3}) {
    PackedBlocks blocks(threads, [](std::string_view block) -> std::string {
      if (block == "7") fail(Fault::output, "seven");
      return std::string(block);
    });
    EXPECT_THROW(
        {
          for (int i = 0; i < 50; ++i) blocks.add(std::to_string(i), nothing);
        },
        Error)
        << threads;
    EXPECT_THROW(
        {
          for (int i = 100; i < 150; ++i) {
            blocks.add(std::to_string(i), [](std::string_view) { fail(Fault::output, "full"); });
          }
        },
        Error)
        << threads;
  }
}

TEST(PackedBlocks, TextIsTheSame) {
  const TemporaryFolder folder;
  const auto written = [&](int threads) {
    const std::string path = (folder.path() / "a.txt.gz").string();
    TextFile file(path, true, true, threads);
    std::uint32_t state = 1;
    for (int i = 0; i < 100'000; ++i) {
      state = state * 1664525u + 1013904223u;
      file.line(std::to_string(state));
    }
    file.publish();
    return slurp(path);
  };
  const std::string one = written(1);
  EXPECT_GT(one.size(), 400'000u);
  for (const int threads : {2, 3}) EXPECT_TRUE(written(threads) == one) << threads;
}

}  // namespace
}  // namespace genossm::testing
