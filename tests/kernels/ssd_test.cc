#include "kernels/ssd/ssd.h"

#include "tests/kernels/kernel_test.h"

namespace genossm::testing {
namespace {

struct Form {
  Index L = 65, H = 3, P = 8, N = 4, G = 1, gap = 0;
  bool softplus = true, bias = true, skip = true, gate = true, accumulate = false;
  float dt_min = 0, dt_max = kInfinity;
};

std::string name_of(const Form& f) {
  std::string name;
  for (const Index n : {f.L, f.H, f.P, f.N, f.G, f.gap}) name += std::to_string(n) + " ";
  for (const bool b : {f.softplus, f.bias, f.skip, f.gate, f.accumulate}) name += b ? "+" : "-";
  return name + " " + std::to_string(f.dt_min) + ".." + std::to_string(f.dt_max);
}

struct Result {
  Matrix y, h;   // h: a row for every head and state
  Matrix scale;  // a row of one value a head
};

struct Case {
  Case(std::mt19937& random, const Form& f)
      : form(f),
        x(random_matrix(random, f.L, f.H * f.P, f.gap)),
        dt(random_matrix(random, f.L, f.H, 2 * f.gap, 2)),
        dt_bias(random_matrix(random, 1, f.H)),
        A(random_matrix(random, 1, f.H)),
        B(random_matrix(random, f.L, f.G * f.N, f.gap)),
        C(random_matrix(random, f.L, f.G * f.N, 3 * f.gap)),
        skip(random_matrix(random, 1, f.H * f.P)),
        z(random_matrix(random, f.L, f.H * f.P, f.gap, 6)),
        h(random_matrix(random, f.H * f.N, f.P, f.gap)),
        y(random_matrix(random, f.L, f.H * f.P, f.gap)),
        scale(random_matrix(random, 1, f.H, 0, 0.25f)) {
    for (Index i = 0; i < f.H; ++i) scale.at(0, i) = std::exp2(16 * scale.at(0, i));
    for (Index i = 0; i < f.H; ++i)
      A.at(0, i) = -static_cast<float>(i % 16 + 1) * (1.5f + A.at(0, i));
    for (Index t = 0; t < f.L; ++t) {
      // Without softplus the step must not be negative, or the states would grow without bounds.
      for (Index i = 0; i < f.H; ++i) {
        dt.at(t, i) = f.softplus ? dt.at(t, i) - 2 : 0.02f * (dt.at(t, i) + 2);
      }
    }
    if (!f.softplus) {
      for (Index i = 0; i < f.H; ++i) dt_bias.at(0, i) = std::abs(dt_bias.at(0, i)) / 10;
    }
  }

  View<const float, 3> states(Matrix& m) {
    return {m.view().data, {form.L, form.G, form.N}, {m.stride, form.N, 1}};
  }

  Ssd op(Result& r) {
    Ssd s{.x = x.view(),
          .dt = dt.view(),
          .softplus = form.softplus,
          .dt_min = form.dt_min,
          .dt_max = form.dt_max,
          .A = vector_of(A),
          .B = states(B),
          .C = states(C),
          .h = {r.h.view().data, {form.H, form.N, form.P}, {form.N * r.h.stride, r.h.stride, 1}},
          .scale = {r.scale.view().data, {form.H}},
          .y = r.y.view(),
          .accumulate = form.accumulate};
    if (form.bias) s.dt_bias = vector_of(dt_bias);
    if (form.skip) s.skip = vector_of(skip);
    if (form.gate) s.z = z.view();
    return s;
  }

  Result run(Device& device) {
    Result r{y, h, scale};
    if (!form.accumulate) r.y = Matrix(form.L, form.H * form.P, form.gap);
    launch(device, op(r));
    EXPECT_TRUE(r.y.intact() && r.h.intact() && r.scale.intact());
    return r;
  }

  Form form;
  Matrix x, dt, dt_bias, A, B, C, skip, z, h, y, scale;
};

// Rows [begin, end) of all that has rows.
Ssd piece(Ssd op, Index begin, Index end) {
  op.x = rows(op.x, begin, end);
  op.dt = rows(op.dt, begin, end);
  op.B = rows(op.B, begin, end);
  op.C = rows(op.C, begin, end);
  op.z = rows(op.z, begin, end);
  op.y = rows(op.y, begin, end);
  return op;
}

Ssd flipped(Ssd op) {
  op.x = flip_rows(op.x);
  op.dt = flip_rows(op.dt);
  op.B = flip_rows(op.B);
  op.C = flip_rows(op.C);
  op.z = flip_rows(op.z);
  op.y = flip_rows(op.y);
  return op;
}

Matrix reversed(Matrix m) {
  Matrix out = m;
  for (Index i = 0; i < m.rows; ++i) {
    std::copy_n(m.view().row(m.rows - 1 - i), m.columns, out.view().row(i));
  }
  return out;
}

// The states themselves, scale * h.
template <class Carrier>
Matrix states_of(Carrier& r) {
  Matrix out = r.h;
  const Index N = out.rows / r.scale.columns;
  for (Index i = 0; i < out.rows; ++i) {
    for (Index j = 0; j < out.columns; ++j) out.at(i, j) *= r.scale.at(0, i / N);
  }
  return out;
}

::testing::AssertionResult agree(Result& got, Result& want) {
  if (auto y = close(got.y.view(), want.y.view(), 1e-5); !y) return y << " in y";
  Matrix a = states_of(got), b = states_of(want);
  // A lone state may be the small difference of terms of the size of x and B, which reach 1.
  if (auto h = close(a.view(), b.view(), 1e-5, 1e-7); !h) return h << " in h";
  return ::testing::AssertionSuccess();
}

::testing::AssertionResult same(Result& got, Result& want) {
  if (auto y = same_bits(got.y.view(), want.y.view()); !y) return y << " in y";
  if (auto h = same_bits(got.h.view(), want.h.view()); !h) return h << " in h";
  if (auto k = same_bits(got.scale.view(), want.scale.view()); !k) return k << " in the scale";
  return ::testing::AssertionSuccess();
}

std::vector<Form> forms() {
  std::vector<Form> all;
  for (const Index L : {0, 1, 63, 64, 65, 257}) {
    for (const Index P : {1, 3, 16, 24, 64, 75}) {
      for (const Index N : {1, 4, 8, 16, 21, 64}) {
        all.push_back({.L = L, .H = (L + P) % 3 + 1, .P = P, .N = N, .gap = (L + P + N) % 3});
      }
    }
  }
  for (int bits = 0; bits < 32; ++bits) {
    all.push_back({.L = 37,
                   .H = 5,
                   .P = 15,
                   .N = 5,
                   .softplus = (bits & 1) != 0,
                   .bias = (bits & 2) != 0,
                   .skip = (bits & 4) != 0,
                   .gate = (bits & 8) != 0,
                   .accumulate = (bits & 16) != 0});
  }
  all.push_back({.L = 40, .H = 6, .P = 24, .N = 16, .G = 3, .gap = 2});
  all.push_back({.L = 40, .H = 24, .P = 1, .N = 3, .G = 24});
  all.push_back({.L = 90, .H = 8, .P = 64, .N = 128, .G = 2, .gap = 1});
  all.push_back({.L = 300, .H = 8, .P = 64, .N = 64});
  // Both limits bind for some of the steps; then for all of them.
  all.push_back({.L = 70, .H = 8, .P = 16, .N = 16, .dt_min = 0.1f, .dt_max = 0.3f});
  all.push_back({.L = 70, .H = 8, .P = 16, .N = 16, .dt_min = 0.05f, .dt_max = 0.05f});
  all.push_back({.L = 70, .H = 3, .P = 7, .N = 9, .softplus = false, .dt_min = 0.04f});
  return all;
}

TEST(Ssd, AgreesWithTheDefinitionOnAnyThreads) {
  std::mt19937 random(1);
  Device reference{Reference()}, one{Cpu(1)}, three{Cpu(3)};
  for (const Form& form : forms()) {
    SCOPED_TRACE(name_of(form));
    Case c(random, form);
    Result want = c.run(reference), got = c.run(one), parallel = c.run(three);
    ASSERT_TRUE(agree(got, want));
    ASSERT_TRUE(same(parallel, got));
  }
}

TEST(Ssd, EveryInstructionSet) {
  std::mt19937 random(2);
  Device reference{Reference()}, one{Cpu(1)}, three{Cpu(3)};
  for (const Form& form : forms()) {
    if (form.L > 65 && form.N > 16) continue;
    SCOPED_TRACE(name_of(form));
    Case c(random, form);
    Result want = c.run(reference);
    for_each_instruction_set([&] {
      Result got = c.run(one), parallel = c.run(three);
      EXPECT_TRUE(agree(got, want));
      EXPECT_TRUE(same(parallel, got));
    });
  }
}

// Steps for which the threshold of softplus, the flush of the decay to zero and the ordinary path
// all occur, in stretches of tokens that a cut divides differently.
void make_extreme(Case& c) {
  const float steps[] = {100, 20, 20.001f, -60, -1, 0.5f, -3, 19.999f};
  std::mt19937 random(17);
  for (Index t = 0; t < c.form.L; ++t) {
    if (t / 40 % 2 == 0) continue;
    for (Index i = 0; i < c.form.H; ++i) {
      if (random() % 4 == 0) c.dt.at(t, i) = steps[random() % std::size(steps)];
    }
  }
}

TEST(Ssd, ExtremeSteps) {
  std::mt19937 random(3);
  Device reference{Reference()}, cpu{Cpu(1)};
  for (const Index N : {1, 4, 16, 21}) {
    Case c(random, {.L = 257, .H = 6, .P = 24, .N = N});
    make_extreme(c);
    Result want = c.run(reference);
    for_each_instruction_set([&] {
      Result got = c.run(cpu);
      EXPECT_TRUE(agree(got, want));
    });
  }
}

// Thousands of tokens through one state, slow and fast decays side by side.
TEST(Ssd, LongSequences) {
  std::mt19937 random(12);
  Device reference{Reference()}, one{Cpu(1)}, three{Cpu(3)};
  Case c(random, {.L = 9001, .H = 3, .P = 16, .N = 16});
  c.A.at(0, 0) = -1e-3f;
  c.A.at(0, 2) = -40;
  Result want = c.run(reference);
  for_each_instruction_set([&] {
    Result got = c.run(one), parallel = c.run(three);
    EXPECT_TRUE(agree(got, want));
    EXPECT_TRUE(same(parallel, got));
  });
}

TEST(Ssd, AnyCutGivesTheSameBits) {
  std::mt19937 random(4);
  for (const int threads : {1, 3}) {
    Device cpu{Cpu(threads)};
    for (const Index N : {1, 8, 21, 64}) {
      for (const Index P : {3, 16, 64, 75}) {
        Case c(random, {.L = 257, .H = 4, .P = P, .N = N, .G = 2, .gap = 1, .accumulate = N == 8});
        make_extreme(c);
        for_each_instruction_set([&] {
          Result whole = c.run(cpu);
          for (const Index m : {0, 1, 31, 32, 33, 63, 64, 65, 127, 128, 200, 256, 257}) {
            SCOPED_TRACE(m);
            Result cut{c.y, c.h, c.scale};
            launch(cpu, piece(c.op(cut), 0, m));
            launch(cpu, piece(c.op(cut), m, 257));
            EXPECT_TRUE(same(cut, whole));
          }
        });
      }
    }
  }
}

TEST(Ssd, TokenByTokenGivesTheSameBits) {
  std::mt19937 random(5);
  Device cpu{Cpu(1)};
  Case c(random, {.L = 70, .H = 2, .P = 40, .N = 16});
  for_each_instruction_set([&] {
    Result whole = c.run(cpu), steps{c.y, c.h, c.scale};
    for (Index t = 0; t < 70; ++t) launch(cpu, piece(c.op(steps), t, t + 1));
    EXPECT_TRUE(same(steps, whole));
  });
}

TEST(Ssd, AHeadDependsOnNothingButItself) {
  std::mt19937 random(6);
  Device cpu{Cpu(1)};
  const Index H = 5, P = 24, N = 16;
  Case c(random, {.L = 66, .H = H, .P = P, .N = N});
  make_extreme(c);
  for_each_instruction_set([&] {
    Result whole = c.run(cpu);
    for (Index i = 0; i < H; ++i) {
      SCOPED_TRACE(i);
      const Index begin = i * P, end = begin + P;
      Result part{c.y, c.h, c.scale};
      Ssd op = c.op(part);
      op.x = cols(op.x, begin, end);
      op.dt = cols(op.dt, i, i + 1);
      op.dt_bias = {op.dt_bias.data + i, {1}};
      op.A = {op.A.data + i, {1}};
      op.skip = {op.skip.data + begin, {P}};
      op.z = cols(op.z, begin, end);
      op.h = rows(op.h, i, i + 1);
      op.scale = {op.scale.data + i, {1}};
      op.y = cols(op.y, begin, end);
      launch(cpu, op);
      EXPECT_TRUE(same_bits(op.y, cols(whole.y.view(), begin, end)));
      EXPECT_TRUE(same_bits(rows(part.h.view(), i * N, (i + 1) * N),
                            rows(whole.h.view(), i * N, (i + 1) * N)));
      EXPECT_TRUE(same_bits(cols(part.y.view(), 0, begin), cols(c.y.view(), 0, begin)));
      EXPECT_TRUE(same_bits(cols(part.y.view(), end, H * P), cols(c.y.view(), end, H * P)));
    }
  });
}

TEST(Ssd, FlippedRowsAreTheReversedSequence) {
  std::mt19937 random(7);
  Device reference{Reference()}, one{Cpu(1)}, three{Cpu(3)};
  for (const Index L : {0, 1, 65, 257}) {
    Case c(random, {.L = L, .H = 3, .P = 25, .N = 16, .gap = 2, .accumulate = L == 65});
    Case turned = c;
    for (Matrix* m : {&turned.x, &turned.dt, &turned.B, &turned.C, &turned.z, &turned.y}) {
      *m = reversed(*m);
    }
    for (Device* device : {&reference, &one, &three}) {
      Result want = turned.run(*device), got{c.y, c.h, c.scale};
      launch(*device, flipped(c.op(got)));
      got.y = reversed(got.y);
      EXPECT_TRUE(same(got, want));
    }
  }
}

TEST(Ssd, InPlace) {
  std::mt19937 random(8);
  Device reference{Reference()}, cpu{Cpu(1)};
  Case c(random, {.L = 130, .H = 3, .P = 25, .N = 16});
  for (Device* device : {&reference, &cpu}) {
    Result want = c.run(*device), got{c.x, c.h, c.scale};
    Ssd op = c.op(got);
    op.x = got.y.view();
    launch(*device, op);
    EXPECT_TRUE(same(got, want));
  }
}

// Without a scale h is the state itself, before and after.
TEST(Ssd, WithoutAScale) {
  std::mt19937 random(13);
  Device reference{Reference()}, cpu{Cpu(1)};
  for (const Index L : {0, 1, 65, 300}) {
    Case c(random, {.L = L, .H = 3, .P = 25, .N = 16, .gap = 1});
    Result want{c.y, states_of(c), c.scale}, got = want;
    for (const auto& [device, to] : {std::pair{&reference, &want}, {&cpu, &got}}) {
      Ssd op = c.op(*to);
      op.scale = {};
      launch(*device, op);
    }
    EXPECT_TRUE(close(got.y.view(), want.y.view(), 1e-5));
    EXPECT_TRUE(close(got.h.view(), want.h.view(), 1e-5));
    Result scaled = c.run(reference);
    EXPECT_TRUE(close(want.y.view(), scaled.y.view(), 1e-6));
  }
}

// The scale starts again at other tokens for every head, wherever the run is cut.
TEST(Ssd, TheScaleStaysInItsRange) {
  std::mt19937 random(14);
  Device reference{Reference()}, cpu{Cpu(1)};
  Case c(random, {.L = 3000, .H = 4, .P = 16, .N = 8});
  for (Index i = 0; i < 4; ++i) c.A.at(0, i) = -0.1f * static_cast<float>(1 << 2 * i);
  Result want = c.run(reference);
  for_each_instruction_set([&] {
    Result whole = c.run(cpu);
    EXPECT_TRUE(agree(whole, want));
    for (Index i = 0; i < 4; ++i) {
      EXPECT_GE(whole.scale.at(0, i), 0x1p-64f);
      EXPECT_LE(whole.scale.at(0, i), 1);
    }
    Result cut{c.y, c.h, c.scale};
    for (Index t = 0; t < 3000; t += 37)
      launch(cpu, piece(c.op(cut), t, std::min<Index>(t + 37, 3000)));
    EXPECT_TRUE(same(cut, whole));
  });
}

TEST(Ssd, NaNStaysInItsHeadAndIsNotLost) {
  std::mt19937 random(10);
  Device cpu{Cpu(1)};
  Case c(random, {.L = 40, .H = 3, .P = 25, .N = 16, .gate = false});
  Result before = c.run(cpu);
  const auto check_columns = [&](Index begin, Index end) {
    Result after = c.run(cpu);
    EXPECT_TRUE(same_bits(rows(after.y.view(), 0, 20), rows(before.y.view(), 0, 20)));
    EXPECT_TRUE(same_bits(cols(after.y.view(), 0, begin), cols(before.y.view(), 0, begin)));
    EXPECT_TRUE(same_bits(cols(after.y.view(), end, 75), cols(before.y.view(), end, 75)));
    for (Index t = 20; t < 40; ++t) {
      for (Index i = begin; i < end; ++i) EXPECT_TRUE(std::isnan(after.y.at(t, i)));
    }
  };
  const float x = std::exchange(c.x.at(20, 33), kNaN);
  check_columns(33, 34);
  c.x.at(20, 33) = x;
  c.dt.at(20, 1) = kNaN;
  check_columns(25, 50);
}

TEST(Ssd, Definition) {
  // d = 0.5 + 0.25, held to 0.6; decay e^(-0.6); two tokens, two channels and two states by hand.
  std::vector<float> x = {2, -1, 3, 4}, dt = {0.5f, 0.5f}, bias = {0.25f}, A = {-1};
  std::vector<float> B = {1, 2, 3, 4}, C = {1, 1, 2, -1}, skip = {10, 20}, z = {0, 0, 1, 1};
  for (const bool on_cpu : {false, true}) {
    Device device = on_cpu ? Device{Cpu(1)} : Device{Reference()};
    std::vector<float> h = {1, 0, -1, 0}, y = {7, 7, 7, 7};  // h[n][p]
    launch(device, Ssd{.x = {x.data(), {2, 2}},
                       .dt = {dt.data(), {2, 1}},
                       .dt_bias = {bias.data(), {1}},
                       .softplus = false,
                       .dt_max = 0.6f,
                       .A = {A.data(), {1}},
                       .B = {B.data(), {2, 1, 2}},
                       .C = {C.data(), {2, 1, 2}},
                       .skip = {skip.data(), {2}},
                       .z = {z.data(), {2, 2}},
                       .h = {h.data(), {1, 2, 2}},
                       .y = {y.data(), {2, 2}},
                       .accumulate = true});
    const double a = std::exp(-0.6), d = 0.6;
    const auto after = [&](double start, double x0, double b0, double x1, double b1) {
      return a * (a * start + d * x0 * b0) + d * x1 * b1;
    };
    const double n0p0 = after(1, 2, 1, 3, 3), n0p1 = after(0, -1, 1, 4, 3);
    const double n1p0 = after(-1, 2, 2, 3, 4), n1p1 = after(0, -1, 2, 4, 4);
    EXPECT_NEAR(h[0], n0p0, 1e-5);
    EXPECT_NEAR(h[1], n0p1, 1e-5);
    EXPECT_NEAR(h[2], n1p0, 1e-5);
    EXPECT_NEAR(h[3], n1p1, 1e-5);
    const double gate = 1 / (1 + std::exp(-1.0));
    EXPECT_FLOAT_EQ(y[0], 7);  // silu(0) is 0
    EXPECT_FLOAT_EQ(y[1], 7);
    EXPECT_NEAR(y[2], 7 + (2 * n0p0 - n1p0 + 30) * gate, 2e-5);
    EXPECT_NEAR(y[3], 7 + (2 * n0p1 - n1p1 + 80) * gate, 2e-5);
  }
}

TEST(Ssd, RefusesWhatDoesNotFit) {
  std::mt19937 random(11);
  Case c(random, {.L = 3, .H = 6, .P = 4, .N = 5});
  Result r{c.y, c.h, c.scale};
  const auto sentence = [&](auto change) {
    Ssd op = c.op(r);
    change(op);
    return refusal([&] { check(op); });
  };
  using Op = Ssd;
  EXPECT_EQ(sentence([](Op&) {}), "");
  EXPECT_EQ(sentence([](Op& op) { op.x.extent[1] = 23; }),
            "ssd: 23 channels in 6 heads, want a divisor");
  EXPECT_EQ(sentence([](Op& op) { op.dt.extent[1] = 2; }), "ssd: dt is [3, 2], want [3, 6]");
  EXPECT_EQ(sentence([](Op& op) { op.dt_bias.extent[0] = 9; }), "ssd: dt_bias is [9], want [6]");
  EXPECT_EQ(sentence([](Op& op) { op.dt_min = 2, op.dt_max = 1; }),
            "ssd: dt_min is 2.000000, want at most dt_max, 1.000000");
  EXPECT_EQ(sentence([](Op& op) { op.dt_min = kNaN; }),
            "ssd: dt_min is nan, want at most dt_max, inf");
  EXPECT_EQ(sentence([](Op& op) { op.B.extent[2] = 0; }), "ssd: no states, want at least 1");
  EXPECT_EQ(sentence([](Op& op) { op.B.extent[1] = 4; }),
            "ssd: 6 heads in 4 groups, want a divisor");
  EXPECT_EQ(sentence([](Op& op) { op.C.extent[1] = 2; }), "ssd: C is [3, 2, 5], want [3, 1, 5]");
  EXPECT_EQ(sentence([](Op& op) { op.B.extent[0] = 7; }), "ssd: B is [7, 1, 5], want [3, 1, 5]");
  EXPECT_EQ(sentence([](Op& op) { op.skip.extent[0] = 6; }), "ssd: skip is [6], want [24]");
  EXPECT_EQ(sentence([](Op& op) { op.z.extent[0] = 4; }), "ssd: z is [4, 24], want [3, 24]");
  EXPECT_EQ(sentence([](Op& op) { op.h.extent[1] = 4; }), "ssd: h is [6, 4, 4], want [6, 5, 4]");
  EXPECT_EQ(sentence([](Op& op) { op.scale = {}; }), "");
  EXPECT_EQ(sentence([](Op& op) { op.scale.extent[0] = 4; }), "ssd: scale is [4], want [6]");
  EXPECT_EQ(sentence([](Op& op) { op.y.extent[0] = 5; }), "ssd: y is [5, 24], want [3, 24]");
}

}  // namespace
}  // namespace genossm::testing
