#include "kernels/token_scores/token_scores.h"

#include <numeric>

#include "tests/kernels/kernel_test.h"

namespace genossm::testing {
namespace {

struct Case {
  Case(std::mt19937& random, Index L, Index V, Index K, float spread)
      : logits(random_matrix(random, L, V, 3, spread)) {
    alphabet.resize(static_cast<std::size_t>(V));
    std::iota(alphabet.begin(), alphabet.end(), 0);
    std::shuffle(alphabet.begin(), alphabet.end(), random);
    alphabet.resize(static_cast<std::size_t>(K));
    std::uniform_int_distribution<std::int32_t> position(-1, static_cast<std::int32_t>(K) - 1);
    for (Index t = 0; t < L; ++t) target.push_back(position(random));
  }

  TokenScores op(Matrix& scores) {
    const Index L = logits.rows;
    return {.logits = logits.view(),
            .alphabet = {alphabet.data(), {static_cast<Index>(alphabet.size())}},
            .target = {target.data(), {L}},
            .logp = {scores.view().row(0), {L}},
            .entropy = {scores.view().row(1), {L}}};
  }
  // Row 0: logp; row 1: entropy.
  Matrix run(Device& device) {
    Matrix scores(2, logits.rows, 1);
    launch(device, op(scores));
    EXPECT_TRUE(scores.intact());
    return scores;
  }

  Matrix logits;
  std::vector<std::int32_t> alphabet, target;
};

TEST(TokenScores, AgreesWithTheDefinitionOnAnyThreads) {
  std::mt19937 random(3);
  Device reference{Reference()}, one{Cpu(1)}, three{Cpu(3)};
  for (const auto& [V, K] : {std::pair<Index, Index>{1, 1},
                             {2, 2},
                             {5, 4},
                             {8, 4},
                             {16, 16},
                             {31, 5},
                             {33, 33},
                             {300, 300},
                             {4096, 64}}) {
    for (const Index L : {0, 1, 63, 64, 65, 257, 600}) {
      for (const float spread : {0.1f, 5.0f, 60.0f}) {
        SCOPED_TRACE(::testing::Message() << L << " x " << V << ", " << K << " letters");
        Case c(random, L, V, K, spread);
        Matrix want = c.run(reference), got = c.run(one);
        for (const Index row : {0, 1}) {
          // The definition adds up to 1 in double, which hides what lies below 1e-16.
          EXPECT_TRUE(
              close(rows(got.view(), row, row + 1), rows(want.view(), row, row + 1), 1e-5, 1e-15));
        }
        EXPECT_TRUE(same_bits(c.run(three).view(), got.view()));
      }
    }
  }
}

TEST(TokenScores, EveryInstructionSet) {
  std::mt19937 random(4);
  Device reference{Reference()}, cpu{Cpu(1)};
  for (const Index V : {1, 3, 16, 20, 300}) {
    Case c(random, 40, V, V, 6);
    Matrix want = c.run(reference);
    for_each_instruction_set([&] { EXPECT_TRUE(close(c.run(cpu).view(), want.view(), 1e-5)); });
  }
}

TEST(TokenScores, Definition) {
  // Softmax of ln 1, ln 2, ln 5 among other tokens: 1/8, 1/4, 5/8.
  std::vector<float> logits(10, 50.0f);
  logits[7] = 0;
  logits[2] = std::log(2.0f);
  logits[4] = std::log(5.0f);
  const std::vector<std::int32_t> alphabet = {7, 2, 4};
  const double entropy = std::log(8.0) / 8 + std::log(4.0) / 4 + 5 * std::log(1.6) / 8;
  for (const bool on_cpu : {false, true}) {
    Device device = on_cpu ? Device{Cpu(1)} : Device{Reference()};
    for (const std::int32_t target : {-1, 0, 1, 2}) {
      float logp = 0, h = 0;
      launch(device, TokenScores{.logits = {logits.data(), {1, 10}},
                                 .alphabet = {alphabet.data(), {3}},
                                 .target = {&target, {1}},
                                 .logp = {&logp, {1}},
                                 .entropy = {&h, {1}}});
      EXPECT_NEAR(h, entropy, 1e-6);
      if (target < 0) {
        EXPECT_TRUE(std::isnan(logp));
      } else {
        EXPECT_NEAR(logp, std::log(std::vector<double>{0.125, 0.25, 0.625}[std::size_t(target)]),
                    1e-6);
      }
    }
  }
}

// Nearly certain: the digits of ln p and of the entropy must not vanish beside 1.
TEST(TokenScores, KeepsTheDigitsOfNearCertainty) {
  Device reference{Reference()}, cpu{Cpu(1)};
  for (const float lead : {12.0f, 20.0f, 30.0f}) {
    std::vector<float> logits(16, 0.0f);
    logits[3] = lead;
    const std::int32_t target = 3;
    float logp[2], entropy[2];
    int i = 0;
    for (Device* device : {&reference, &cpu}) {
      launch(*device, TokenScores{.logits = {logits.data(), {1, 16}},
                                  .target = {&target, {1}},
                                  .logp = {&logp[i], {1}},
                                  .entropy = {&entropy[i], {1}}});
      ++i;
    }
    const double rest = 15 * std::exp(-static_cast<double>(lead));
    EXPECT_NEAR(logp[1], -std::log1p(rest), 1e-6 * rest);
    EXPECT_NEAR(entropy[1], std::log1p(rest) + rest * lead / (1 + rest), 1e-6 * rest * lead);
    EXPECT_NEAR(logp[0], logp[1], 1e-14 + 1e-6 * rest);
    EXPECT_NEAR(entropy[0], entropy[1], 1e-14 + 1e-6 * rest * lead);
  }
}

TEST(TokenScores, InfinityAndNaN) {
  for (const bool on_cpu : {false, true}) {
    Device device = on_cpu ? Device{Cpu(1)} : Device{Reference()};
    const auto scores = [&](std::vector<float> logits, std::int32_t target) {
      float logp = 0, entropy = 0;
      launch(device, TokenScores{.logits = {logits.data(), {1, static_cast<Index>(logits.size())}},
                                 .target = {&target, {1}},
                                 .logp = {&logp, {1}},
                                 .entropy = {&entropy, {1}}});
      return std::pair{logp, entropy};
    };
    // An impossible token takes no part.
    auto [logp, entropy] = scores({0, -kInfinity, 0}, 0);
    EXPECT_NEAR(logp, -std::log(2.0), 1e-7);
    EXPECT_NEAR(entropy, std::log(2.0), 1e-7);
    EXPECT_EQ(scores({0, -kInfinity, 0}, 1).first, -kInfinity);
    for (const auto& spoilt : {std::vector<float>{0, kNaN, 1},
                               {kNaN, 0, 1},
                               {0, 1, kInfinity},
                               {-kInfinity, -kInfinity, -kInfinity}}) {
      EXPECT_TRUE(std::isnan(scores(spoilt, 0).first));
      EXPECT_TRUE(std::isnan(scores(spoilt, 0).second));
    }
  }
}

TEST(TokenScores, ProbabilitiesAddUpToOne) {
  std::mt19937 random(5);
  Device cpu{Cpu(1)};
  Case c(random, 1, 12, 12, 4);
  double total = 0;
  for (c.target[0] = 0; c.target[0] < 12; ++c.target[0]) total += std::exp(c.run(cpu).at(0, 0));
  EXPECT_NEAR(total, 1, 1e-6);
}

TEST(TokenScores, WritesOnlyWhatIsWanted) {
  std::mt19937 random(6);
  Device cpu{Cpu(1)};
  Case c(random, 20, 12, 5, 4);
  Matrix both = c.run(cpu);
  for (const bool with_logp : {false, true}) {
    Matrix scores(2, 20);
    TokenScores op = c.op(scores);
    if (with_logp) {
      op.entropy = {};
    } else {
      op.logp = {};
      op.target = {};
    }
    launch(cpu, op);
    const Index kept = with_logp ? 0 : 1;
    EXPECT_TRUE(same_bits(rows(scores.view(), kept, kept + 1), rows(both.view(), kept, kept + 1)));
    for (Index t = 0; t < 20; ++t) EXPECT_TRUE(std::isnan(scores.at(1 - kept, t)));
  }
}

TEST(TokenScores, RefusesWhatDoesNotFit) {
  std::mt19937 random(7);
  Case c(random, 3, 12, 4, 1);
  c.target = {0, 3, -1};
  Matrix scores(2, 4);
  const auto sentence = [&](auto change) {
    TokenScores op = c.op(scores);
    change(op);
    return refusal([&] { check(op); });
  };
  std::vector<std::int32_t> wrong = {0, 4, 12};
  EXPECT_EQ(sentence([](TokenScores&) {}), "");
  EXPECT_EQ(sentence([&](TokenScores& op) { op.target.data = wrong.data(); }),
            "token_scores: target 1 is 4, want -1 to 3");
  EXPECT_EQ(sentence([&](TokenScores& op) {
              op.alphabet = {wrong.data(), {3}};
            }),
            "token_scores: token 2 of the alphabet is 12, want 0 to 11");
  EXPECT_EQ(sentence([](TokenScores& op) { op.target.extent[0] = 2; }),
            "token_scores: target is [2], want [3]");
  EXPECT_EQ(sentence([](TokenScores& op) { op.logp.extent[0] = 4; }),
            "token_scores: logp is [4], want [3]");
  EXPECT_EQ(sentence([](TokenScores& op) { op.entropy.extent[0] = 4; }),
            "token_scores: entropy is [4], want [3]");
  EXPECT_EQ(sentence([](TokenScores& op) { op.target = {}; }),
            "token_scores: logp is wanted without a target, want a target for every token");
  EXPECT_EQ(sentence([](TokenScores& op) { op.alphabet.extent[0] = 0; }),
            "token_scores: the alphabet has no token, want at least one");
}

}  // namespace
}  // namespace genossm::testing
