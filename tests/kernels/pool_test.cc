#include "kernels/pool/pool.h"

#include "tests/kernels/kernel_test.h"

namespace genossm::testing {
namespace {

std::vector<double> start(Pool::Kind kind, Index D) {
  return std::vector<double>(static_cast<std::size_t>(D),
                             kind == Pool::Kind::mean ? 0.0 : -static_cast<double>(kInfinity));
}

// Pools the rows [cuts[i], cuts[i + 1]) one after the other.
std::vector<double> pooled(Device& device, Pool::Kind kind, View<const float, 2> x,
                           const std::vector<Index>& cuts) {
  const Index D = x.extent[1];
  std::vector<double> sum = start(kind, D);
  for (std::size_t i = 0; i + 1 < cuts.size(); ++i) {
    launch(device,
           Pool{.kind = kind, .x = rows(x, cuts[i], cuts[i + 1]), .sum = {sum.data(), {D}}});
  }
  return sum;
}

bool same_bits(const std::vector<double>& a, const std::vector<double>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](double x, double y) {
    return std::bit_cast<std::uint64_t>(x) == std::bit_cast<std::uint64_t>(y);
  });
}

// The sums are double in token order on every device: the definition, bit for bit, however the rows
// are cut.
TEST(Pool, IsTheDefinitionHoweverTheRowsAreCut) {
  std::mt19937 random(3);
  Device reference{Reference()}, one{Cpu(1)}, three{Cpu(3)};
  for (const Pool::Kind kind : {Pool::Kind::mean, Pool::Kind::max}) {
    for (const Index D : {1, 3, 16, 24, 236, 256}) {
      for (const Index L : {0, 1, 63, 64, 65, 257}) {
        Matrix x = random_matrix(random, L, D, L % 2 == 0 ? 0 : 5);
        const auto want = pooled(reference, kind, x.view(), {0, L});
        for_each_instruction_set([&] {
          EXPECT_TRUE(same_bits(pooled(one, kind, x.view(), {0, L}), want));
          EXPECT_TRUE(same_bits(pooled(three, kind, x.view(), {0, L / 3, L / 2, L}), want));
        });
        EXPECT_TRUE(same_bits(pooled(reference, kind, x.view(), {0, L / 2, L}), want));
      }
    }
  }
}

TEST(Pool, Definition) {
  std::vector<float> x = {1, -5, 0x1p-30f, 7, 2, -6};
  for (const bool on_cpu : {false, true}) {
    Device device = on_cpu ? Device{Cpu(1)} : Device{Reference()};
    const View<const float, 2> rows(x.data(), {3, 2});
    EXPECT_EQ(pooled(device, Pool::Kind::mean, rows, {0, 3}),
              (std::vector<double>{3 + 0x1p-30, -4}));
    EXPECT_EQ(pooled(device, Pool::Kind::max, rows, {0, 3}), (std::vector<double>{2, 7}));
    EXPECT_EQ(pooled(device, Pool::Kind::max, flip_rows(rows), {0, 3}),
              (std::vector<double>{2, 7}));
  }
}

TEST(Pool, NaNWins) {
  std::mt19937 random(4);
  for (const bool on_cpu : {false, true}) {
    Device device = on_cpu ? Device{Cpu(1)} : Device{Reference()};
    for (const Index D : {3, 40}) {
      for (const Index at : {0, 5, 9}) {
        Matrix x = random_matrix(random, 10, D);
        x.at(at, D - 1) = kNaN;
        for (const Pool::Kind kind : {Pool::Kind::mean, Pool::Kind::max}) {
          const auto sum = pooled(device, kind, x.view(), {0, 4, 10});
          EXPECT_TRUE(std::isnan(sum.back()));
          for (std::size_t d = 0; d + 1 < sum.size(); ++d) EXPECT_TRUE(std::isfinite(sum[d]));
        }
      }
    }
  }
}

TEST(Pool, RefusesWhatDoesNotFit) {
  Matrix x(3, 24);
  std::vector<double> sum(23);
  EXPECT_EQ(refusal([&] {
              check(Pool{.x = x.view(), .sum = {sum.data(), {23}}});
            }),
            "pool: sum is [23], want [24]");
}

}  // namespace
}  // namespace genossm::testing
