#include "kernels/norm/norm.h"

#include "tests/kernels/kernel_test.h"

namespace genossm::testing {
namespace {

struct Form {
  Norm::Kind kind = Norm::Kind::rms;
  Norm::Gate gate = Norm::Gate::none;
  bool residual = false, bias = false;
  Index group = 0;
};

std::vector<Form> forms(Index D) {
  std::vector<Form> all;
  for (const bool residual : {false, true}) {
    for (const bool bias : {false, true}) {
      for (const Norm::Gate gate : {Norm::Gate::none, Norm::Gate::before, Norm::Gate::after}) {
        all.push_back({Norm::Kind::layer, gate, residual, bias});
        for (const Index group : {Index{0}, D, D / 2, D / 8}) {
          if (group == 0 || D % group == 0) {
            all.push_back({Norm::Kind::rms, gate, residual, bias, group});
            all.push_back({Norm::Kind::rms_plus, gate, residual, bias, group});
          }
        }
      }
    }
  }
  return all;
}

struct Case {
  Case(std::mt19937& random, Index L, Index D, const Form& f, Index gap)
      : form(f),
        x(random_matrix(random, L, D, gap, 3)),
        residual(random_matrix(random, L, D, 2 * gap, 3)),
        weight(random_matrix(random, 1, D)),
        bias(random_matrix(random, 1, D)),
        z(random_matrix(random, L, D, 3 * gap, 6)) {}

  Norm op(Matrix& sum, Matrix& y) {
    return {.x = x.view(),
            .residual = form.residual ? sum.view() : View<float, 2>(),
            .weight = vector_of(weight),
            .bias = form.bias ? vector_of(bias) : View<const float, 1>(),
            .z = form.gate == Norm::Gate::none ? View<const float, 2>() : z.view(),
            .kind = form.kind,
            .gate = form.gate,
            .group = form.group,
            .y = y.view()};
  }

  // y, and the residual beside it.
  std::pair<Matrix, Matrix> run(Device& device) {
    Matrix sum = residual, y(x.rows, x.columns, 4);
    launch(device, op(sum, y));
    EXPECT_TRUE(sum.intact() && y.intact());
    return {std::move(y), std::move(sum)};
  }

  Form form;
  Matrix x, residual, weight, bias, z;
};

TEST(Norm, Accumulates) {
  std::mt19937 random(12);
  for (const bool on_cpu : {false, true}) {
    Device device = on_cpu ? Device{Cpu(1)} : Device{Reference()};
    for (const Index D : {3, 24, 236}) {
      for (const Form& form : forms(D)) {
        Case c(random, 20, D, form, 3);
        auto [alone, sum] = c.run(device);
        const Matrix start = random_matrix(random, 20, D, 4);
        Matrix y = start, want = start, again = c.residual;
        Norm op = c.op(again, y);
        op.accumulate = true;
        launch(device, op);
        for (Index t = 0; t < 20; ++t) {
          for (Index i = 0; i < D; ++i) want.at(t, i) += alone.at(t, i);
        }
        EXPECT_TRUE(y.intact());
        EXPECT_TRUE(close(y.view(), want.view(), 1e-6));
      }
    }
  }
}

TEST(Norm, AgreesWithTheDefinitionOnAnyThreads) {
  std::mt19937 random(3);
  Device reference{Reference()}, one{Cpu(1)}, three{Cpu(3)};
  for (const Index D : {1, 3, 16, 24, 236, 256}) {
    for (const Index L : {0, 1, 63, 64, 65, 257, 600}) {
      for (const Form& form : forms(D)) {
        SCOPED_TRACE(::testing::Message()
                     << L << " x " << D << ", kind " << static_cast<int>(form.kind) << ", gate "
                     << static_cast<int>(form.gate) << ", group " << form.group);
        Case c(random, L, D, form, L % 2 == 0 ? 0 : 5);
        // One channel less its own mean is zero: only eps and rounding are left.
        auto [want, want_sum] = c.run(reference);
        auto [got, sum] = c.run(one);
        // The bias of a single channel may cancel what it is added to.
        ASSERT_TRUE(close(got.view(), want.view(), D == 1 ? 1e-4 : 1e-5));
        ASSERT_TRUE(same_bits(sum.view(), want_sum.view()));
        auto [parallel, parallel_sum] = c.run(three);
        ASSERT_TRUE(same_bits(parallel.view(), got.view()));
        ASSERT_TRUE(same_bits(parallel_sum.view(), sum.view()));
      }
    }
  }
}

TEST(Norm, EveryInstructionSet) {
  std::mt19937 random(4);
  Device reference{Reference()}, cpu{Cpu(1)};
  for (const Index D : {3, 24, 236}) {
    for (const Form& form : forms(D)) {
      Case c(random, 9, D, form, 1);
      auto [want, want_sum] = c.run(reference);
      for_each_instruction_set(
          [&] { EXPECT_TRUE(close(c.run(cpu).first.view(), want.view(), 1e-5)); });
    }
  }
}

TEST(Norm, ARowDependsOnNothingButItself) {
  std::mt19937 random(5);
  Device cpu{Cpu(1)};
  for (const Index D : {3, 24, 100, 256}) {
    for (const Form& form : forms(D)) {
      Case all(random, 130, D, form, 0);
      auto [together, sums] = all.run(cpu);
      for (const Index t : {0, 63, 64, 129}) {
        Case alone(random, 1, D, form, 7);
        std::copy_n(all.x.view().row(t), D, alone.x.view().data);
        std::copy_n(all.residual.view().row(t), D, alone.residual.view().data);
        std::copy_n(all.z.view().row(t), D, alone.z.view().data);
        alone.weight = all.weight;
        alone.bias = all.bias;
        ASSERT_TRUE(same_bits(alone.run(cpu).first.view(), rows(together.view(), t, t + 1)));
      }
    }
  }
}

TEST(Norm, InPlaceAndFromTheEnd) {
  std::mt19937 random(6);
  Device reference{Reference()}, cpu{Cpu(1)};
  for (const Form& form : forms(24)) {
    Case c(random, 70, 24, form, 3);
    auto [want, want_sum] = c.run(cpu);
    auto [defined, defined_sum] = c.run(reference);
    for (Device* device : {&reference, &cpu}) {
      Matrix sum = c.residual, y = c.x;
      Norm op = c.op(sum, y);
      op.x = y.view();
      launch(*device, op);
      EXPECT_TRUE(same_bits(y.view(), device == &cpu ? want.view() : defined.view()));
      EXPECT_TRUE(same_bits(sum.view(), want_sum.view()));
    }
    Matrix sum = c.residual, y(70, 24);
    Norm op = c.op(sum, y);
    op.x = flip_rows(op.x);
    op.residual = flip_rows(op.residual);
    op.z = flip_rows(op.z);
    op.y = flip_rows(op.y);
    launch(cpu, op);
    EXPECT_TRUE(same_bits(y.view(), want.view()));
  }
}

TEST(Norm, Definition) {
  std::vector<float> x = {3, 4}, weight = {2, 10}, bias = {1, -1}, residual = {1, -2}, y(2);
  for (const bool on_cpu : {false, true}) {
    Device device = on_cpu ? Device{Cpu(1)} : Device{Reference()};
    Norm op{.x = {x.data(), {1, 2}}, .weight = {weight.data(), {2}}, .y = {y.data(), {1, 2}}};
    op.eps = 0.5f;
    launch(device, op);  // mean of squares 12.5, rsqrt(13)
    EXPECT_NEAR(y[0], 6 / std::sqrt(13.0), 1e-6);
    EXPECT_NEAR(y[1], 40 / std::sqrt(13.0), 2e-6);
    op.kind = Norm::Kind::rms_plus;
    launch(device, op);
    EXPECT_NEAR(y[0], 6 / (std::sqrt(12.5) + 0.5), 1e-6);
    EXPECT_NEAR(y[1], 40 / (std::sqrt(12.5) + 0.5), 2e-6);
    op.kind = Norm::Kind::layer;
    op.bias = {bias.data(), {2}};
    std::vector<float> sum = residual;
    op.residual = {sum.data(), {1, 2}};
    launch(device, op);  // 4, 2: mean 3, variance 1
    EXPECT_EQ(sum, (std::vector<float>{4, 2}));
    EXPECT_NEAR(y[0], 2 / std::sqrt(1.5) + 1, 1e-6);
    EXPECT_NEAR(y[1], -10 / std::sqrt(1.5) - 1, 2e-6);
  }
}

TEST(Norm, NaNStaysInItsRow) {
  std::mt19937 random(7);
  Device cpu{Cpu(1)};
  for (const Form& form : forms(24)) {
    Case c(random, 5, 24, form, 0);
    auto [before, sum_before] = c.run(cpu);
    c.x.at(2, 23) = kNaN;
    auto [after, sum_after] = c.run(cpu);
    for (const Index t : {0, 1, 3, 4}) {
      EXPECT_TRUE(same_bits(rows(after.view(), t, t + 1), rows(before.view(), t, t + 1)));
    }
    EXPECT_TRUE(std::isnan(after.at(2, 23)));
  }
}

TEST(Norm, RefusesWhatDoesNotFit) {
  std::mt19937 random(8);
  Matrix x = random_matrix(random, 3, 24), y(3, 24), weight(1, 24), narrow(3, 23);
  const auto sentence = [&](auto change) {
    Norm op{.x = x.view(), .weight = vector_of(weight), .y = y.view()};
    change(op);
    return refusal([&] { check(op); });
  };
  EXPECT_EQ(sentence([](Norm&) {}), "");
  EXPECT_EQ(sentence([](Norm& op) { op.weight.extent[0] = 37; }),
            "norm: weight is [37], want [24]");
  EXPECT_EQ(sentence([](Norm& op) { op.weight = {}; }), "norm: weight is [0], want [24]");
  EXPECT_EQ(sentence([](Norm& op) { op.bias = op.weight, op.bias.extent[0] = 2; }),
            "norm: bias is [2], want [24]");
  EXPECT_EQ(sentence([&](Norm& op) { op.residual = narrow.view(); }),
            "norm: residual is [3, 23], want [3, 24]");
  EXPECT_EQ(sentence([&](Norm& op) { op.y = narrow.view(); }), "norm: y is [3, 23], want [3, 24]");
  EXPECT_EQ(sentence([&](Norm& op) { op.z = x.view(); }),
            "norm: z is [3, 24], want none without a gate");
  EXPECT_EQ(sentence([](Norm& op) { op.gate = Norm::Gate::after; }),
            "norm: z is [0, 0], want [3, 24]");
  EXPECT_EQ(sentence([](Norm& op) { op.group = 7; }), "norm: group is 7, want a divisor of 24");
  EXPECT_EQ(sentence([](Norm& op) { op.group = -8; }), "norm: group is -8, want a divisor of 24");
  EXPECT_EQ(sentence([](Norm& op) { op.group = 8, op.kind = Norm::Kind::layer; }),
            "norm: a layer norm has groups of 8, want none");
}

}  // namespace
}  // namespace genossm::testing
