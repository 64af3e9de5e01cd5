#include "kernels/causal_conv/causal_conv.h"

#include "tests/kernels/kernel_test.h"

namespace genossm::testing {
namespace {

struct Form {
  Index L = 65, D = 24, W = 4, gap = 0;
  bool bias = true, silu = true;
};

std::string name_of(const Form& f) {
  std::string name;
  for (const Index n : {f.L, f.D, f.W, f.gap}) name += std::to_string(n) + " ";
  return name + (f.bias ? "+" : "-") + (f.silu ? "+" : "-");
}

struct Result {
  Matrix y, tail;
};

struct Case {
  Case(std::mt19937& random, const Form& f)
      : form(f),
        x(random_matrix(random, f.L, f.D, f.gap, 4)),
        w(random_matrix(random, f.W, f.D, 2 * f.gap)),
        bias(random_matrix(random, 1, f.D)),
        tail(random_matrix(random, f.W - 1, f.D, f.gap, 4)) {}

  CausalConv op(Result& r) {
    return {.x = x.view(),
            .w = w.view(),
            .bias = form.bias ? vector_of(bias) : View<const float, 1>(),
            .silu = form.silu,
            .tail = r.tail.view(),
            .y = r.y.view()};
  }

  Result fresh() const { return {Matrix(form.L, form.D, 3 * form.gap), tail}; }

  Result run(Device& device) {
    Result r = fresh();
    launch(device, op(r));
    EXPECT_TRUE(r.y.intact() && r.tail.intact());
    return r;
  }

  Form form;
  Matrix x, w, bias, tail;
};

CausalConv piece(CausalConv op, Index begin, Index end) {
  op.x = rows(op.x, begin, end);
  op.y = rows(op.y, begin, end);
  return op;
}

::testing::AssertionResult agree(Result& got, Result& want) {
  if (auto y = close(got.y.view(), want.y.view(), 1e-5); !y) return y << " in y";
  if (auto t = same_bits(got.tail.view(), want.tail.view()); !t) return t << " in the tail";
  return ::testing::AssertionSuccess();
}

::testing::AssertionResult same(Result& got, Result& want) {
  if (auto y = same_bits(got.y.view(), want.y.view()); !y) return y << " in y";
  if (auto t = same_bits(got.tail.view(), want.tail.view()); !t) return t << " in the tail";
  return ::testing::AssertionSuccess();
}

std::vector<Form> forms() {
  std::vector<Form> all;
  for (const Index L : {0, 1, 2, 3, 63, 64, 65, 257}) {
    for (const Index D : {1, 3, 16, 24, 75, 236}) {
      for (const Index W : {2, 3, 4, 5, 6, 7, 8}) {
        all.push_back({.L = L,
                       .D = D,
                       .W = W,
                       .gap = (L + D + W) % 3,
                       .bias = (L + D) % 2 == 0,
                       .silu = (D + W) % 2 == 0});
      }
    }
  }
  all.push_back({.L = 300, .D = 236, .W = 4});
  return all;
}

TEST(CausalConv, AgreesWithTheDefinitionOnAnyThreads) {
  std::mt19937 random(1);
  Device reference{Reference()}, one{Cpu(1)}, three{Cpu(3)};
  for (const Form& form : forms()) {
    SCOPED_TRACE(name_of(form));
    Case c(random, form);
    Result want = c.run(reference);
    for_each_instruction_set([&] {
      Result got = c.run(one), parallel = c.run(three);
      ASSERT_TRUE(agree(got, want));
      ASSERT_TRUE(same(parallel, got));
    });
  }
}

TEST(CausalConv, AnyCutGivesTheSameBits) {
  std::mt19937 random(2);
  for (const int threads : {1, 3}) {
    Device cpu{Cpu(threads)};
    for (const Index W : {2, 3, 4, 8}) {
      for (const Index D : {3, 75, 300}) {
        Case c(random, {.L = 257, .D = D, .W = W, .gap = 1});
        for_each_instruction_set([&] {
          Result whole = c.run(cpu);
          for (const Index m : {0, 1, 2, 3, 63, 64, 65, 200, 255, 256, 257}) {
            SCOPED_TRACE(m);
            Result cut = c.fresh();
            launch(cpu, piece(c.op(cut), 0, m));
            launch(cpu, piece(c.op(cut), m, 257));
            EXPECT_TRUE(same(cut, whole));
          }
          Result steps = c.fresh();
          for (Index t = 0; t < 257; ++t) launch(cpu, piece(c.op(steps), t, t + 1));
          EXPECT_TRUE(same(steps, whole));
        });
      }
    }
  }
}

TEST(CausalConv, AChannelDependsOnNothingButItself) {
  std::mt19937 random(3);
  Device cpu{Cpu(1)};
  Case c(random, {.L = 66, .D = 236, .W = 4});
  for_each_instruction_set([&] {
    Result whole = c.run(cpu);
    for (const auto& [begin, end] :
         std::vector<std::pair<Index, Index>>{{0, 1}, {5, 22}, {1, 65}, {100, 236}, {235, 236}}) {
      SCOPED_TRACE(begin);
      Result part = c.fresh();
      CausalConv op = c.op(part);
      op.x = cols(op.x, begin, end);
      op.w = cols(op.w, begin, end);
      op.bias = {op.bias.data + begin, {end - begin}};
      op.tail = cols(op.tail, begin, end);
      op.y = cols(op.y, begin, end);
      launch(cpu, op);
      EXPECT_TRUE(same_bits(op.y, cols(whole.y.view(), begin, end)));
      EXPECT_TRUE(same_bits(op.tail, cols(whole.tail.view(), begin, end)));
      EXPECT_TRUE(same_bits(cols(part.tail.view(), 0, begin), cols(c.tail.view(), 0, begin)));
      EXPECT_TRUE(same_bits(cols(part.tail.view(), end, 236), cols(c.tail.view(), end, 236)));
    }
  });
}

TEST(CausalConv, FlippedRowsAreTheReversedSequence) {
  std::mt19937 random(4);
  Device reference{Reference()}, one{Cpu(1)}, three{Cpu(3)};
  for (const Index L : {0, 1, 2, 65, 257}) {
    Case c(random, {.L = L, .D = 300, .W = 4, .gap = 2});
    Case turned = c;
    for (Index t = 0; t < L; ++t)
      std::copy_n(c.x.view().row(L - 1 - t), 300, turned.x.view().row(t));
    for (Device* device : {&reference, &one, &three}) {
      Result want = turned.run(*device), got = c.fresh();
      CausalConv op = c.op(got);
      op.x = flip_rows(op.x);
      op.y = flip_rows(op.y);
      launch(*device, op);
      EXPECT_TRUE(same_bits(flip_rows(got.y.view()), want.y.view()));
      EXPECT_TRUE(same_bits(got.tail.view(), want.tail.view()));
    }
  }
}

TEST(CausalConv, NaNReachesWTokensOfItsChannel) {
  std::mt19937 random(5);
  Device cpu{Cpu(1)};
  for (const bool silu : {false, true}) {
    Case c(random, {.L = 20, .D = 75, .W = 4, .silu = silu});
    Result before = c.run(cpu);
    c.x.at(10, 33) = kNaN;
    Result after = c.run(cpu);
    for (Index t = 0; t < 20; ++t) {
      for (Index d = 0; d < 75; ++d) {
        const bool spoilt = d == 33 && t >= 10 && t < 14;
        EXPECT_EQ(std::isnan(after.y.at(t, d)), spoilt);
        EXPECT_TRUE(spoilt || after.y.at(t, d) == before.y.at(t, d));
      }
    }
  }
}

TEST(CausalConv, Definition) {
  std::vector<float> x = {1, 2}, w = {100, 10, 1}, bias = {0.5f};
  for (const bool on_cpu : {false, true}) {
    Device device = on_cpu ? Device{Cpu(1)} : Device{Reference()};
    std::vector<float> tail = {3, 4}, y(2);
    CausalConv op{.x = {x.data(), {2, 1}},
                  .w = {w.data(), {3, 1}},
                  .bias = {bias.data(), {1}},
                  .silu = false,
                  .tail = {tail.data(), {2, 1}},
                  .y = {y.data(), {2, 1}}};
    launch(device, op);
    EXPECT_EQ(y, (std::vector<float>{341.5f, 412.5f}));
    EXPECT_EQ(tail, x);
    op.silu = true;
    op.bias = {};
    op.x = {x.data(), {1, 1}};  // shorter than the tail
    op.y = {y.data(), {1, 1}};
    w = {-1, 0.5f, 1};
    launch(device, op);
    EXPECT_NEAR(y[0], 1 / (1 + std::exp(-1.0)), 1e-6);
    EXPECT_EQ(tail, (std::vector<float>{2, 1}));
    w = {100, 10, 1};
  }
}

TEST(CausalConv, RefusesWhatDoesNotFit) {
  std::mt19937 random(6);
  Case c(random, {.L = 3, .D = 24, .W = 4});
  Result r = c.fresh();
  const auto sentence = [&](auto change) {
    CausalConv op = c.op(r);
    change(op);
    return refusal([&] { check(op); });
  };
  using Op = CausalConv;
  EXPECT_EQ(sentence([](Op&) {}), "");
  EXPECT_EQ(sentence([](Op& op) { op.bias = {}; }), "");
  EXPECT_EQ(sentence([](Op& op) { op.w.extent[0] = 1; }), "causal_conv: 1 taps, want 2 to 8");
  EXPECT_EQ(sentence([](Op& op) { op.w.extent[0] = 9; }), "causal_conv: 9 taps, want 2 to 8");
  EXPECT_EQ(sentence([](Op& op) { op.w.extent[1] = 9; }), "causal_conv: w is [4, 9], want [4, 24]");
  EXPECT_EQ(sentence([](Op& op) { op.bias.extent[0] = 2; }), "causal_conv: bias is [2], want [24]");
  EXPECT_EQ(sentence([](Op& op) { op.tail.extent[0] = 4; }),
            "causal_conv: tail is [4, 24], want [3, 24]");
  EXPECT_EQ(sentence([](Op& op) { op.y.extent[0] = 4; }),
            "causal_conv: y is [4, 24], want [3, 24]");
}

}  // namespace
}  // namespace genossm::testing
