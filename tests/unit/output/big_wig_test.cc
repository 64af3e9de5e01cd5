// bigWigs of long contigs: the same bytes however values are handed over and by any number of
// threads, in memory that does not grow.
#include "libgenossm/output/big_wig.h"

#include <sys/resource.h>

#include <limits>

#include "tests/unit/output/rows.h"

namespace genossm::testing {
namespace {

std::string written(const std::string& path, Index bases, std::size_t piece, int threads = 1) {
  BigWig file({path, "bw", true, threads}, {{"one", 3}, {"two", 100'000'000}, {"three", 70}});
  std::vector<float> values;
  std::uint32_t state = 1;
  const auto add = [&](const std::string& contig, Index begin, Index n) {
    file.begin(contig, begin);
    for (Index i = 0; i < n; ++i) {
      state = state * 1664525u + 1013904223u;
      const bool none = (state >> 20) == 0;
      values.push_back(none ? std::numeric_limits<float>::quiet_NaN()
                            : static_cast<float>(state >> 8) * 1e-6f);
      if (values.size() < piece && i + 1 < n) continue;
      file.add(values);
      values.clear();
    }
  };
  add("one", 0, 3);
  add("two", 7, bases);
  add("two", bases + 1000, 50);
  add("three", 69, 1);
  file.close();
  file.publish();
  return path;
}

TEST(BigWig, TheCutOfTheValuesChangesNothing) {
  const TemporaryFolder folder;
  const std::string path = (folder.path() / "a.bw").string();
  const std::string whole = slurp(written(path, 300'000, 1'000'000));
  for (const std::size_t piece : {1u, 7u, 4096u}) {
    EXPECT_TRUE(slurp(written(path, 300'000, piece)) == whole) << piece;
  }
  EXPECT_EQ(entries(folder.path()), 1u);
}

TEST(BigWig, TheNumberOfThreadsChangesNothing) {
  const TemporaryFolder folder;
  const std::string path = (folder.path() / "a.bw").string();
  const std::string one = slurp(written(path, 300'000, 4096));
  for (const int threads : {2, 5}) {
    EXPECT_TRUE(slurp(written(path, 300'000, 4096, threads)) == one) << threads;
  }
}

TEST(BigWig, MemoryIsFlat) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "skipped: this sanitizer holds back what was freed";
#endif
  const TemporaryFolder folder;
  const std::string path = (folder.path() / "a.bw").string();
  const auto peak = [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;  // KiB
  };
  written(path, 1'000'000, 4096);
  const auto before = peak();
  written(path, 8'000'000, 4096);
  EXPECT_LT(peak() - before, 4096);
}

}  // namespace
}  // namespace genossm::testing
