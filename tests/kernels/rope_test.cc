#include "kernels/rope/rope.h"

#include "tests/kernels/kernel_test.h"

namespace genossm::testing {
namespace {

struct Form {
  Index L = 65, heads = 3, E = 16, half = 8, gap = 0, start = 0;
  double scale = 1;
};

std::string name_of(const Form& f) {
  std::string name;
  for (const Index n : {f.L, f.heads, f.E, f.half, f.gap, f.start}) {
    name += std::to_string(n) + " ";
  }
  return name + std::to_string(f.scale);
}

// base^(-2j / R), as the models have it.
Matrix frequencies(Index half, double base = 1e4) {
  Matrix m(1, half);
  for (Index j = 0; j < half; ++j) {
    m.at(0, j) = static_cast<float>(
        std::pow(base, -static_cast<double>(j) / static_cast<double>(std::max<Index>(half, 1))));
  }
  return m;
}

struct Case {
  Case(std::mt19937& random, const Form& f)
      : form(f),
        x(random_matrix(random, f.L, f.heads * f.E, f.gap)),
        inv_freq(frequencies(f.half)) {}

  Rope op(Matrix& y) {
    return {.x = y.view(),
            .heads = form.heads,
            .inv_freq = vector_of(inv_freq),
            .start = form.start,
            .scale = form.scale};
  }
  Matrix run(Device& device) {
    Matrix y = x;
    launch(device, op(y));
    EXPECT_TRUE(y.intact());
    return y;
  }

  Form form;
  Matrix x, inv_freq;
};

std::vector<Form> forms() {
  std::vector<Form> all;
  for (const Index L : {0, 1, 15, 16, 17, 65}) {
    for (const auto& [E, half] : std::vector<std::pair<Index, Index>>{
             {2, 1}, {8, 4}, {16, 8}, {16, 4}, {18, 9}, {19, 9}, {64, 32}, {128, 64}, {5, 0}}) {
      for (const Index start : {Index{0}, Index{1}, Index{999'983}, Index{1} << 33}) {
        all.push_back({.L = L,
                       .heads = 1 + (L + E) % 4,
                       .E = E,
                       .half = half,
                       .gap = (L + E) % 3,
                       .start = start,
                       .scale = start % 2 == 0 ? 1.0 : 16.0});
      }
    }
  }
  return all;
}

TEST(Rope, AgreesWithTheDefinitionOnAnyThreads) {
  std::mt19937 random(1);
  Device reference{Reference()}, one{Cpu(1)}, three{Cpu(3)};
  for (const Form& form : forms()) {
    SCOPED_TRACE(name_of(form));
    Case c(random, form);
    Matrix want = c.run(reference);
    for_each_instruction_set([&] {
      Matrix got = c.run(one), parallel = c.run(three);
      // Beyond 2^32 the angle's own last digit in double is worth 1e-6.
      ASSERT_TRUE(close(got.view(), want.view(), form.start > 1 << 30 ? 1e-5 : 5e-7));
      ASSERT_TRUE(same_bits(parallel.view(), got.view()));
    });
  }
}

TEST(Rope, AnyCutGivesTheSameBits) {
  std::mt19937 random(2);
  for (const int threads : {1, 3}) {
    Device cpu{Cpu(threads)};
    Case c(random, {.L = 257, .heads = 4, .E = 128, .half = 64, .start = 1'000'003, .scale = 128});
    for_each_instruction_set([&] {
      Matrix whole = c.run(cpu);
      for (const Index m : {0, 1, 15, 16, 100, 256, 257}) {
        SCOPED_TRACE(m);
        Matrix cut = c.x;
        Rope op = c.op(cut);
        op.x = rows(op.x, 0, m);
        launch(cpu, op);
        op.x = rows(cut.view(), m, 257);
        op.start += m;
        launch(cpu, op);
        EXPECT_TRUE(same_bits(cut.view(), whole.view()));
      }
    });
  }
}

TEST(Rope, AHeadDependsOnNothingButItself) {
  std::mt19937 random(3);
  Device cpu{Cpu(1)};
  Case c(random, {.L = 20, .heads = 4, .E = 18, .half = 7});
  Matrix whole = c.run(cpu), part = c.x;
  Rope op = c.op(part);
  op.x = cols(op.x, 18, 36);
  op.heads = 1;
  launch(cpu, op);
  EXPECT_TRUE(same_bits(cols(part.view(), 18, 36), cols(whole.view(), 18, 36)));
  EXPECT_TRUE(same_bits(cols(part.view(), 36, 72), cols(c.x.view(), 36, 72)));
  // Columns that are not turned.
  EXPECT_TRUE(same_bits(cols(whole.view(), 14, 18), cols(c.x.view(), 14, 18)));
}

// Against numbers worked out elsewhere: position 1,000,000 over 128 is 7812.5.
TEST(Rope, Definition) {
  const std::vector<float> freq = {1.0f, 0.5f};
  for (const bool on_cpu : {false, true}) {
    Device device = on_cpu ? Device{Cpu(1)} : Device{Reference()};
    std::vector<float> x = {1, 0, 0, 2, 7};  // pairs (1, 0) and (0, 2); the last one stays
    launch(device, Rope{.x = {x.data(), {1, 5}},
                        .inv_freq = {freq.data(), {2}},
                        .start = 1'000'000,
                        .scale = 128});
    EXPECT_NEAR(x[0], std::cos(7812.5), 1e-6);
    EXPECT_NEAR(x[2], std::sin(7812.5), 1e-6);
    EXPECT_NEAR(x[1], -2 * std::sin(3906.25), 1e-6);
    EXPECT_NEAR(x[3], 2 * std::cos(3906.25), 1e-6);
    EXPECT_EQ(x[4], 7);
  }
}

TEST(Rope, NaNStaysInItsPair) {
  std::mt19937 random(5);
  Device cpu{Cpu(1)};
  Case c(random, {.L = 3, .heads = 2, .E = 16, .half = 8});
  Matrix before = c.run(cpu);
  c.x.at(1, 19) = kNaN;  // head 1, first half, pair 3
  Matrix after = c.run(cpu);
  for (Index t = 0; t < 3; ++t) {
    for (Index d = 0; d < 32; ++d) {
      const bool spoilt = t == 1 && (d == 19 || d == 27);
      EXPECT_EQ(std::isnan(after.at(t, d)), spoilt);
      EXPECT_TRUE(spoilt || after.at(t, d) == before.at(t, d));
    }
  }
}

TEST(Rope, RefusesWhatDoesNotFit) {
  std::mt19937 random(6);
  Case c(random, {.L = 3, .heads = 3, .E = 16, .half = 8});
  Matrix y = c.x;
  const auto sentence = [&](auto change) {
    Rope op = c.op(y);
    change(op);
    return refusal([&] { check(op); });
  };
  EXPECT_EQ(sentence([](Rope&) {}), "");
  EXPECT_EQ(sentence([](Rope& op) { op.heads = 0; }),
            "rope: 48 columns are not 0 heads of one size");
  EXPECT_EQ(sentence([](Rope& op) { op.heads = 5; }),
            "rope: 48 columns are not 5 heads of one size");
  EXPECT_EQ(sentence([](Rope& op) { op.heads = 6; }),
            "rope: 8 frequencies turn 16 columns, but a head has 8");
  EXPECT_EQ(sentence([](Rope& op) { op.start = -1; }), "rope: start is -1, want 0 to 2^40");
  EXPECT_EQ(sentence([](Rope& op) { op.scale = 0; }), "rope: scale is 0.000000, want more than 0");
}

}  // namespace
}  // namespace genossm::testing
