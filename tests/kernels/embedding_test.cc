#include "kernels/embedding/embedding.h"

#include "tests/kernels/kernel_test.h"

namespace genossm::testing {
namespace {

TEST(Embedding, CopiesTheRowOfEachToken) {
  std::mt19937 random(3);
  Device reference{Reference()}, one{Cpu(1)}, three{Cpu(3)};
  for (const auto& [V, D] : {std::pair<Index, Index>{1, 1}, {16, 3}, {12, 24}, {16, 236}}) {
    for (const Index L : {0, 1, 63, 64, 65, 257, 600}) {
      Matrix table = random_matrix(random, V, D, 2);
      std::uniform_int_distribution<std::int32_t> token(0, static_cast<std::int32_t>(V) - 1);
      std::vector<std::int32_t> tokens;
      for (Index t = 0; t < L; ++t) tokens.push_back(token(random));
      for (Device* device : {&reference, &one, &three}) {
        Matrix y(L, D, 5);
        launch(*device,
               Embedding{.tokens = {tokens.data(), {L}}, .table = table.view(), .y = y.view()});
        for (Index t = 0; t < L; ++t) {
          const Index row = tokens[static_cast<std::size_t>(t)];
          ASSERT_TRUE(same_bits(rows(y.view(), t, t + 1), rows(table.view(), row, row + 1)));
        }
        ASSERT_TRUE(y.intact());
      }
    }
  }
}

TEST(Embedding, RefusesWhatDoesNotFit) {
  Matrix table(16, 4), y(3, 4), narrow(3, 3);
  std::vector<std::int32_t> tokens = {0, 15, 3};
  Embedding op{.tokens = {tokens.data(), {3}}, .table = table.view(), .y = y.view()};
  EXPECT_EQ(refusal([&] { check(op); }), "");
  tokens[2] = 16;
  EXPECT_EQ(refusal([&] { check(op); }), "embedding: token 2 is 16, want 0 to 15");
  tokens[1] = -1;
  EXPECT_EQ(refusal([&] { check(op); }), "embedding: token 1 is -1, want 0 to 15");
  op.y = narrow.view();
  EXPECT_EQ(refusal([&] { check(op); }), "embedding: y is [3, 3], want [3, 4]");
}

}  // namespace
}  // namespace genossm::testing
