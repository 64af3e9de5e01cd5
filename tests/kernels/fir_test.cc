#include "kernels/fir/fir.h"

#include "tests/kernels/kernel_test.h"

namespace genossm::testing {
namespace {

struct Form {
  Index L = 65, D = 24, G = 8, W = 7, gap = 0;
  TapOrder order = TapOrder::current_last;
  bool skip = false, gate = false;
};

std::string name_of(const Form& f) {
  std::string name;
  for (const Index n : {f.L, f.D, f.G, f.W, f.gap}) name += std::to_string(n) + " ";
  return name + (f.order == TapOrder::current_last ? "last" : "first") + (f.skip ? "+" : "-") +
         (f.gate ? "+" : "-");
}

struct Result {
  Matrix y, tail;
};

struct Case {
  Case(std::mt19937& random, const Form& f)
      : form(f),
        x(random_matrix(random, f.L, f.D, f.gap, 4)),
        taps(random_matrix(random, f.G, f.W, 2 * f.gap)),
        skip(random_matrix(random, 1, f.D)),
        gate(random_matrix(random, f.L, f.D, f.gap)),
        tail(random_matrix(random, f.W - 1, f.D, f.gap, 4)) {}

  Fir op(Result& r) {
    return {.x = x.view(),
            .taps = taps.view(),
            .order = form.order,
            .skip = form.skip ? vector_of(skip) : View<const float, 1>(),
            .gate = form.gate ? gate.view() : View<const float, 2>(),
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
  Matrix x, taps, skip, gate, tail;
};

Fir piece(Fir op, Index begin, Index end) {
  op.x = rows(op.x, begin, end);
  op.gate = rows(op.gate, begin, end);
  op.y = rows(op.y, begin, end);
  return op;
}

// Sums of W terms of about 2 may cancel.
::testing::AssertionResult agree(Result& got, Result& want) {
  const double floor = 4e-7 * std::sqrt(static_cast<double>(got.tail.rows + 1));
  if (auto y = close(got.y.view(), want.y.view(), 1e-6, floor); !y) return y << " in y";
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
  for (const Index L : {0, 1, 2, 5, 6, 7, 65, 193}) {
    for (const auto& [D, G] : std::vector<std::pair<Index, Index>>{
             {1, 1}, {3, 3}, {24, 8}, {45, 3}, {75, 1}, {240, 16}}) {
      for (const Index W : {1, 2, 3, 7, 127, 128, 201}) {
        all.push_back({.L = L,
                       .D = D,
                       .G = G,
                       .W = W,
                       .gap = (L + D + W) % 3,
                       .order = (L + W) % 2 == 0 ? TapOrder::current_last : TapOrder::current_first,
                       .skip = (L + D) % 2 == 0,
                       .gate = (D + W) % 2 == 0});
      }
    }
  }
  all.push_back({.L = 500, .D = 60, .G = 4, .W = 128, .order = TapOrder::current_first});
  return all;
}

TEST(Fir, AgreesWithTheDefinitionOnAnyThreads) {
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

TEST(Fir, AnyCutGivesTheSameBits) {
  std::mt19937 random(2);
  for (const int threads : {1, 3}) {
    Device cpu{Cpu(threads)};
    for (const Index W : {1, 2, 7, 128, 300}) {
      for (const auto& [D, G] : std::vector<std::pair<Index, Index>>{{3, 1}, {75, 5}, {300, 20}}) {
        Case c(random, {.L = 257,
                        .D = D,
                        .G = G,
                        .W = W,
                        .gap = 1,
                        .order = TapOrder::current_first,
                        .skip = true,
                        .gate = true});
        for_each_instruction_set([&] {
          Result whole = c.run(cpu);
          for (const Index m : {0, 1, 2, 5, 6, 64, 191, 192, 193, 256, 257}) {
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

TEST(Fir, AGroupDependsOnNothingButItself) {
  std::mt19937 random(3);
  Device cpu{Cpu(1)};
  Case c(random, {.L = 66, .D = 225, .G = 15, .W = 7, .skip = true});
  for_each_instruction_set([&] {
    Result whole = c.run(cpu);
    for (const auto& [begin, end] :
         std::vector<std::pair<Index, Index>>{{0, 1}, {3, 7}, {1, 15}, {14, 15}}) {
      SCOPED_TRACE(begin);
      Result part = c.fresh();
      Fir op = c.op(part);
      op.x = cols(op.x, 15 * begin, 15 * end);
      op.taps = rows(op.taps, begin, end);
      op.skip = {op.skip.data + 15 * begin, {15 * (end - begin)}};
      op.tail = cols(op.tail, 15 * begin, 15 * end);
      op.y = cols(op.y, 15 * begin, 15 * end);
      launch(cpu, op);
      EXPECT_TRUE(same_bits(op.y, cols(whole.y.view(), 15 * begin, 15 * end)));
      EXPECT_TRUE(same_bits(op.tail, cols(whole.tail.view(), 15 * begin, 15 * end)));
    }
  });
}

TEST(Fir, YMayBeTheGate) {
  std::mt19937 random(4);
  for (const bool on_cpu : {false, true}) {
    Device device = on_cpu ? Device{Cpu(3)} : Device{Reference()};
    Case c(random, {.L = 200, .D = 60, .G = 4, .W = 7, .gate = true});
    Result want = c.run(device), got = c.fresh();
    Fir op = c.op(got);
    op.y = c.gate.view();
    launch(device, op);
    EXPECT_TRUE(same_bits(c.gate.view(), want.y.view()));
  }
}

TEST(Fir, NaNReachesWTokensOfItsChannel) {
  std::mt19937 random(5);
  Device cpu{Cpu(1)};
  Case c(random, {.L = 20, .D = 75, .G = 5, .W = 4, .skip = true});
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

TEST(Fir, Definition) {
  std::vector<float> x = {1, 2}, taps = {100, 10, 1}, skip = {0.5f}, gate = {1, 2};
  for (const bool on_cpu : {false, true}) {
    Device device = on_cpu ? Device{Cpu(1)} : Device{Reference()};
    std::vector<float> tail = {3, 4}, y(2);
    Fir op{.x = {x.data(), {2, 1}},
           .taps = {taps.data(), {1, 3}},
           .tail = {tail.data(), {2, 1}},
           .y = {y.data(), {2, 1}}};
    launch(device, op);
    EXPECT_EQ(y, (std::vector<float>{341, 412}));
    EXPECT_EQ(tail, x);
    tail = {3, 4};
    op.order = TapOrder::current_first;
    op.skip = {skip.data(), {1}};
    op.gate = {gate.data(), {2, 1}};
    launch(device, op);
    EXPECT_EQ(y, (std::vector<float>{143.5f, 430}));  // 100 + 40 + 3 + 0.5; 2 (200 + 10 + 4 + 1)
    EXPECT_EQ(tail, x);
  }
}

TEST(Fir, RefusesWhatDoesNotFit) {
  std::mt19937 random(6);
  Case c(random, {.L = 3, .D = 24, .G = 8, .W = 4, .skip = true, .gate = true});
  Result r = c.fresh();
  const auto sentence = [&](auto change) {
    Fir op = c.op(r);
    change(op);
    return refusal([&] { check(op); });
  };
  EXPECT_EQ(sentence([](Fir&) {}), "");
  EXPECT_EQ(sentence([](Fir& op) { op.taps.extent[1] = 0; }), "fir: 0 taps, want 1 or more");
  EXPECT_EQ(sentence([](Fir& op) { op.taps.extent[0] = 5; }),
            "fir: 24 channels cannot share 5 filters evenly");
  EXPECT_EQ(sentence([](Fir& op) { op.taps.extent[0] = 0; }),
            "fir: 24 channels cannot share 0 filters evenly");
  EXPECT_EQ(sentence([](Fir& op) { op.skip.extent[0] = 2; }), "fir: skip is [2], want [24]");
  EXPECT_EQ(sentence([](Fir& op) { op.gate.extent[1] = 2; }), "fir: gate is [3, 2], want [3, 24]");
  EXPECT_EQ(sentence([](Fir& op) { op.tail.extent[0] = 4; }), "fir: tail is [4, 24], want [3, 24]");
  EXPECT_EQ(sentence([](Fir& op) { op.y.extent[0] = 4; }), "fir: y is [4, 24], want [3, 24]");
}

}  // namespace
}  // namespace genossm::testing
