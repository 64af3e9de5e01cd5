#include "kernels/activation/activation.h"

#include "tests/kernels/kernel_test.h"

namespace genossm::testing {
namespace {

using Kind = Activation::Kind;
constexpr Kind kKinds[] = {Kind::identity,     Kind::silu,    Kind::gelu_erf, Kind::gelu_tanh,
                           Kind::relu_squared, Kind::sigmoid, Kind::softplus};

struct Case {
  Case(std::mt19937& random, Index L, Index D, Kind k, bool with_gate, bool adds, Index gap)
      : kind(k),
        gated(with_gate),
        accumulate(adds),
        x(random_matrix(random, L, D, gap, 8)),
        gate(random_matrix(random, L, D, 2 * gap, 8)),
        start(random_matrix(random, L, D, 3 * gap, 8)) {}

  Activation op(Matrix& y) {
    return {.kind = kind,
            .x = x.view(),
            .gate = gated ? gate.view() : View<const float, 2>(),
            .y = y.view(),
            .accumulate = accumulate};
  }
  Matrix run(Device& device) {
    Matrix y = accumulate ? start : Matrix(x.rows, x.columns, 2);
    launch(device, op(y));
    EXPECT_TRUE(y.intact());
    return y;
  }

  Kind kind;
  bool gated, accumulate;
  Matrix x, gate, start;
};

template <class Test>
void for_each_form(Test test) {
  for (const Kind kind : kKinds) {
    for (const bool gated : {false, true}) {
      for (const bool accumulate : {false, true}) {
        SCOPED_TRACE(::testing::Message() << "kind " << static_cast<int>(kind) << ", gate " << gated
                                          << ", accumulate " << accumulate);
        test(kind, gated, accumulate);
      }
    }
  }
}

TEST(Activation, AgreesWithTheDefinitionOnAnyThreads) {
  std::mt19937 random(3);
  Device reference{Reference()}, one{Cpu(1)}, three{Cpu(3)};
  for (const Index D : {1, 3, 16, 24, 236, 256}) {
    for (const Index L : {0, 1, 63, 64, 65, 257, 600}) {
      for_each_form([&](Kind kind, bool gated, bool accumulate) {
        Case c(random, L, D, kind, gated, accumulate, L % 2 == 0 ? 0 : 5);
        Matrix got = c.run(one);
        ASSERT_TRUE(close(got.view(), c.run(reference).view(), 1e-5));
        ASSERT_TRUE(same_bits(c.run(three).view(), got.view()));
      });
    }
  }
}

// Small results too: |error| within 1e-6 of each value, not of the largest, down to 1e-30.
TEST(Activation, EachValueOnEveryInstructionSet) {
  Device reference{Reference()}, cpu{Cpu(1)};
  Matrix x(1, 4003);
  for (Index i = 0; i < x.columns; ++i) x.at(0, i) = 0.01f * static_cast<float>(i - 2001);
  for (const Kind kind : kKinds) {
    // The definition itself loses the digits of 1 + erf and 1 + tanh below -1.
    const bool by_difference = kind == Kind::gelu_erf || kind == Kind::gelu_tanh;
    Matrix want(1, x.columns), y(1, x.columns);
    launch(reference, Activation{.kind = kind, .x = x.view(), .y = want.view()});
    for_each_instruction_set([&] {
      launch(cpu, Activation{.kind = kind, .x = x.view(), .y = y.view()});
      for (Index i = 0; i < x.columns; ++i) {
        const double w = want.at(0, i);
        if (by_difference && x.at(0, i) < -4) continue;
        ASSERT_NEAR(y.at(0, i), w, 1e-6 * std::abs(w) * (by_difference ? 5 : 1) + 1e-30)
            << "kind " << static_cast<int>(kind) << " of " << x.at(0, i);
      }
    });
  }
}

TEST(Activation, Extremes) {
  const float largest = std::numeric_limits<float>::max();
  for (const bool on_cpu : {false, true}) {
    Device device = on_cpu ? Device{Cpu(1)} : Device{Reference()};
    const auto value = [&](Kind kind, float v) {
      Matrix x(1, 1), y(1, 1);
      x.at(0, 0) = v;
      launch(device, Activation{.kind = kind, .x = x.view(), .y = y.view()});
      return y.at(0, 0);
    };
    for (const Kind kind : kKinds) {
      EXPECT_TRUE(std::isnan(value(kind, kNaN))) << static_cast<int>(kind);
    }
    EXPECT_EQ(value(Kind::silu, 0), 0);
    EXPECT_EQ(value(Kind::silu, 1000), 1000);
    EXPECT_NEAR(value(Kind::silu, -1000), 0, 1e-30);
    EXPECT_EQ(value(Kind::sigmoid, 1000), 1);
    EXPECT_NEAR(value(Kind::sigmoid, -1000), 0, 1e-30);
    EXPECT_EQ(value(Kind::softplus, 1000), 1000);
    EXPECT_EQ(value(Kind::softplus, 20.5f), 20.5f);
    EXPECT_NEAR(value(Kind::softplus, -1000), 0, 1e-30);
    EXPECT_NEAR(value(Kind::softplus, 0), std::log(2.0), 1e-7);
    EXPECT_EQ(value(Kind::relu_squared, -largest), 0);
    EXPECT_EQ(value(Kind::relu_squared, 3), 9);
    EXPECT_EQ(value(Kind::gelu_erf, 100), 100);
    EXPECT_NEAR(value(Kind::gelu_erf, -100), 0, 1e-30);
    EXPECT_EQ(value(Kind::gelu_tanh, 100), 100);
    EXPECT_NEAR(value(Kind::gelu_tanh, -100), 0, 1e-30);
    EXPECT_NEAR(value(Kind::gelu_erf, 1), 0.8413447460685429, 1e-7);
    EXPECT_NEAR(value(Kind::gelu_tanh, 1), 0.8411919906082768, 1e-7);
    EXPECT_NEAR(value(Kind::silu, 1), 0.7310585786300049, 1e-7);
  }
}

// The same operands give the same bits in every lane and every tail.
TEST(Activation, AValueDependsOnNothingButItsOperands) {
  Device cpu{Cpu(1)};
  std::mt19937 random(5);
  for_each_form([&](Kind kind, bool gated, bool accumulate) {
    for (const Index D : {1, 7, 24, 67}) {
      Case c(random, 3, D, kind, gated, accumulate, 0);
      const auto set = [&](Index t, Index d) {
        c.x.at(t, d) = -1.2345f;
        c.gate.at(t, d) = 0.6789f;
        c.start.at(t, d) = 0.1f;
      };
      set(0, 0);
      set(1, D / 2);
      set(2, D - 1);
      Matrix y = c.run(cpu);
      EXPECT_EQ(y.at(1, D / 2), y.at(0, 0));
      EXPECT_EQ(y.at(2, D - 1), y.at(0, 0));
    }
  });
}

TEST(Activation, InPlaceAndFromTheEnd) {
  std::mt19937 random(6);
  Device reference{Reference()}, cpu{Cpu(1)};
  for_each_form([&](Kind kind, bool gated, bool accumulate) {
    for (Device* device : {&reference, &cpu}) {
      Case c(random, 70, 24, kind, gated, accumulate, 3);
      c.start = c.x;
      Matrix want = c.run(*device);
      Matrix on_x = c.x;
      Activation op = c.op(on_x);
      op.x = on_x.view();
      launch(*device, op);
      EXPECT_TRUE(same_bits(on_x.view(), want.view()));
      Matrix backwards = c.start;
      op = c.op(backwards);
      op.x = flip_rows(op.x);
      op.gate = flip_rows(op.gate);
      op.y = flip_rows(op.y);
      launch(*device, op);
      EXPECT_TRUE(same_bits(backwards.view(), want.view()));
      if (!gated) continue;
      c.start = c.gate;
      want = c.run(*device);
      Matrix on_gate = c.gate;
      op = c.op(on_gate);
      op.gate = on_gate.view();
      launch(*device, op);
      EXPECT_TRUE(same_bits(on_gate.view(), want.view()));
    }
  });
}

TEST(Activation, RefusesWhatDoesNotFit) {
  Matrix x(3, 24), y(3, 24), narrow(3, 23), low(2, 24);
  const auto sentence = [&](auto change) {
    Activation op{.x = x.view(), .y = y.view()};
    change(op);
    return refusal([&] { check(op); });
  };
  EXPECT_EQ(sentence([](Activation&) {}), "");
  EXPECT_EQ(sentence([&](Activation& op) { op.y = narrow.view(); }),
            "activation: y is [3, 23], want [3, 24]");
  EXPECT_EQ(sentence([&](Activation& op) { op.gate = low.view(); }),
            "activation: gate is [2, 24], want [3, 24]");
}

}  // namespace
}  // namespace genossm::testing
