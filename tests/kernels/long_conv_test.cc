#include "kernels/long_conv/long_conv.h"

#include "kernels/core/buffer.h"
#include "kernels/long_conv/fft_plan.h"
#include "tests/kernels/kernel_test.h"

namespace genossm::testing {
namespace {

struct Form {
  Index L = 65, D = 24, K = 65, gap = 0;
  bool skip = true, gate = true;
};

std::string name_of(const Form& f) {
  std::string name;
  for (const Index n : {f.L, f.D, f.K, f.gap}) name += std::to_string(n) + " ";
  return name + (f.skip ? "+" : "-") + (f.gate ? "+" : "-");
}

struct Case {
  Case(std::mt19937& random, const Form& f)
      : form(f),
        u(random_matrix(random, f.L, f.D, f.gap)),
        h(random_matrix(random, f.K, f.D, 2 * f.gap)),
        skip(random_matrix(random, 1, f.D)),
        gate(random_matrix(random, f.L, f.D, f.gap)) {}

  LongConv op(Matrix& y, const Buffer<float>& work) {
    return {.u = u.view(),
            .h = h.view(),
            .skip = form.skip ? vector_of(skip) : View<const float, 1>(),
            .gate = form.gate ? gate.view() : View<const float, 2>(),
            .y = y.view(),
            .work = work.view()};
  }
  Matrix run(Device& device, int threads = 1) {
    Matrix y(form.L, form.D, 3 * form.gap);
    const Buffer<float> work(long_conv_work(form.L, threads));
    launch(device, op(y, work));
    EXPECT_TRUE(y.intact());
    return y;
  }

  Form form;
  Matrix u, h, skip, gate;
};

double tolerance(Index L) { return 2e-7 * (1 + std::log2(static_cast<double>(L + 1))); }

std::vector<Form> forms() {
  std::vector<Form> all;
  // One under, on and over the sizes of transforms; 2,049 and more have two levels.
  for (const Index L :
       {0,   1,   2,   3,    4,    5,    7,    9,    10,   15,   16,   17,   31,   63,   64,  65,
        100, 257, 600, 1000, 1537, 2047, 2048, 2049, 2304, 2500, 3000, 3073, 3800, 4096, 4100}) {
    for (const Index D : {1, 24}) {
      if (L > 1000 && D > 1 && L % 2 == 1) continue;
      all.push_back({.L = L,
                     .D = D,
                     .K = std::max<Index>(1, L % 3 == 0   ? L / 2
                                             : L % 3 == 1 ? L
                                                          : L + 5),
                     .gap = L % 4,
                     .skip = L % 2 == 0,
                     .gate = (L + D) % 3 != 0});
    }
  }
  return all;
}

TEST(LongConv, AgreesWithTheDefinitionOnAnyThreads) {
  std::mt19937 random(1);
  Device reference{Reference()}, one{Cpu(1)}, three{Cpu(3)};
  for (const Form& form : forms()) {
    SCOPED_TRACE(name_of(form));
    Case c(random, form);
    Matrix want = c.run(reference);
    for_each_instruction_set([&] {
      Matrix got = c.run(one), parallel = c.run(three, 3), narrow = c.run(three, 1);
      ASSERT_TRUE(close(got.view(), want.view(), tolerance(form.L)));
      ASSERT_TRUE(same_bits(parallel.view(), got.view()));
      ASSERT_TRUE(same_bits(narrow.view(), got.view()));
    });
  }
}

TEST(LongConv, AnImpulseMovesTheFilterAtAMillion) {
  // Exact at lengths that the definition cannot reach: y is the filter, later.
  constexpr Index kLength = 1'000'000, kLate = 123'457;
  std::mt19937 random(2);
  Matrix u(kLength, 1), h = random_matrix(random, kLength, 1), y(kLength, 1);
  for (Index t = 0; t < kLength; ++t) u.at(t, 0) = 0;
  u.at(kLate, 0) = 1;
  Device cpu{Cpu(2)};
  const Buffer<float> work(long_conv_work(kLength, 2));
  launch(cpu, LongConv{.u = u.view(), .h = h.view(), .y = y.view(), .work = work.view()});
  double worst = 0;
  for (Index t = 0; t < kLength; ++t) {
    const double want = t < kLate ? 0 : h.at(t - kLate, 0);
    worst = std::max(worst, std::abs(y.at(t, 0) - want));
  }
  EXPECT_LT(worst, tolerance(kLength));
}

TEST(LongConv, AHundredThousandTokensAgreeWithSumsInDouble) {
  constexpr Index kLength = 100'003;
  std::mt19937 random(3);
  Case c(random, {.L = kLength, .D = 9, .K = kLength, .skip = false, .gate = false});
  Device cpu{Cpu(1)};
  Matrix y = c.run(cpu);
  double worst = 0, largest = 0;
  for (const Index d : {0, 8}) {
    for (Index t = 0; t < kLength; t += t < 64 ? 1 : 4'999) {
      double want = 0;
      for (Index i = 0; i <= t; ++i) {
        want += static_cast<double>(c.h.at(i, d)) * c.u.at(t - i, d);
      }
      worst = std::max(worst, std::abs(y.at(t, d) - want));
      largest = std::max(largest, std::abs(want));
    }
  }
  EXPECT_LT(worst, tolerance(kLength) * largest);
}

TEST(LongConv, AChannelDependsOnNothingButItself) {
  std::mt19937 random(4);
  Device cpu{Cpu(1)};
  for (const Index L : {100, 3000}) {
    Case c(random, {.L = L, .D = 37, .K = L});
    for_each_instruction_set([&] {
      Matrix whole = c.run(cpu);
      for (const auto& [begin, end] :
           std::vector<std::pair<Index, Index>>{{0, 1}, {5, 22}, {1, 18}, {36, 37}}) {
        Matrix y(L, 37);
        const Buffer<float> work(long_conv_work(L, 1));
        LongConv op = c.op(y, work);
        op.u = cols(op.u, begin, end);
        op.h = cols(op.h, begin, end);
        op.skip = {op.skip.data + begin, {end - begin}};
        op.gate = cols(op.gate, begin, end);
        op.y = cols(op.y, begin, end);
        launch(cpu, op);
        EXPECT_TRUE(same_bits(op.y, cols(whole.view(), begin, end)));
      }
    });
  }
}

TEST(LongConv, TapsBeyondTheSequenceChangeNothing) {
  std::mt19937 random(5);
  Device cpu{Cpu(1)};
  for (const Index L : {60, 2500}) {
    Case c(random, {.L = L, .D = 5, .K = 2 * L});
    Matrix want = c.run(cpu);
    for (Index t = L; t < 2 * L; ++t) c.h.at(t, 3) = kNaN;
    EXPECT_TRUE(same_bits(c.run(cpu).view(), want.view()));
  }
}

TEST(LongConv, TheResultMayTakeThePlaceOfTheInput) {
  std::mt19937 random(6);
  Device cpu{Cpu(2)};
  for (const Index L : {64, 2100}) {
    Case c(random, {.L = L, .D = 20, .K = L});
    Matrix want = c.run(cpu);
    const Buffer<float> work(long_conv_work(L, 2));
    for (Matrix* place : {&c.u, &c.gate}) {
      Case copy = c;
      Matrix& y = place == &c.u ? copy.u : copy.gate;
      launch(cpu, copy.op(y, work));
      EXPECT_TRUE(same_bits(y.view(), want.view()));
    }
  }
}

TEST(LongConv, Definition) {
  for (const bool on_cpu : {false, true}) {
    Device device = on_cpu ? Device{Cpu(1)} : Device{Reference()};
    Matrix u(3, 1), h(2, 1), skip(1, 1), gate(3, 1), y(3, 1);
    for (Index t = 0; t < 3; ++t) u.at(t, 0) = static_cast<float>(t + 1), gate.at(t, 0) = 2;
    h.at(0, 0) = 10, h.at(1, 0) = 100, skip.at(0, 0) = 1000;
    const Buffer<float> work(long_conv_work(3, 1));
    launch(device, LongConv{.u = u.view(),
                            .h = h.view(),
                            .skip = vector_of(skip),
                            .gate = gate.view(),
                            .y = y.view(),
                            .work = work.view()});
    EXPECT_NEAR(y.at(0, 0), 2 * 1010, 1e-3);
    EXPECT_NEAR(y.at(1, 0), 2 * 2120, 1e-3);
    EXPECT_NEAR(y.at(2, 0), 2 * 3230, 1e-3);
  }
}

TEST(LongConv, TransformsAreShort) {
  EXPECT_EQ(long_conv_transform(1), 1);
  EXPECT_EQ(long_conv_transform(11), 12);
  EXPECT_EQ(long_conv_transform(32'770), 36'864);
  EXPECT_EQ(long_conv_transform(1'000'002), 1'048'576);
  for (Index L = 8; L < 100'000; L += 97) {
    EXPECT_GE(long_conv_transform(L), L);
    EXPECT_LE(long_conv_transform(L), L * 5 / 4 + 1);
  }
}

TEST(LongConv, FrequenciesAreAPermutation) {
  for (const Index n : {1, 2, 3, 5, 8, 12, 15, 64, 90, 2048}) {
    std::vector<Index> frequencies = FftPlan::make(n).frequencies();
    ASSERT_EQ(static_cast<Index>(frequencies.size()), n);
    std::sort(frequencies.begin(), frequencies.end());
    for (Index i = 0; i < n; ++i) EXPECT_EQ(frequencies[static_cast<std::size_t>(i)], i);
  }
}

TEST(LongConv, RefusesWhatDoesNotFit) {
  std::mt19937 random(7);
  Case c(random, {.L = 3, .D = 24, .K = 4});
  Matrix y(3, 24);
  const Buffer<float> work(long_conv_work(3, 1));
  Cpu cpu(1);
  const auto sentence = [&](auto change) {
    LongConv op = c.op(y, work);
    change(op);
    return refusal([&] {
      check(op);
      run(cpu, op);
    });
  };
  using Op = LongConv;
  EXPECT_EQ(sentence([](Op&) {}), "");
  EXPECT_EQ(sentence([](Op& op) { op.h.extent[0] = 0; }), "long_conv: 0 taps, want 1 or more");
  EXPECT_EQ(sentence([](Op& op) { op.h.extent[1] = 9; }), "long_conv: h is [4, 9], want [4, 24]");
  EXPECT_EQ(sentence([](Op& op) { op.skip.extent[0] = 2; }), "long_conv: skip is [2], want [24]");
  EXPECT_EQ(sentence([](Op& op) { op.gate.extent[0] = 4; }),
            "long_conv: gate is [4, 24], want [3, 24]");
  EXPECT_EQ(sentence([](Op& op) { op.y.extent[0] = 4; }), "long_conv: y is [4, 24], want [3, 24]");
  EXPECT_NE(sentence([](Op& op) { op.work.extent[0] = 1; }), "");
}

}  // namespace
}  // namespace genossm::testing
