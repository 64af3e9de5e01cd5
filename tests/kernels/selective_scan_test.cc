#include "kernels/selective_scan/selective_scan.h"

#include "tests/kernels/kernel_test.h"

namespace genossm::testing {
namespace {

struct Form {
  Index L = 65, D = 24, N = 4, G = 1, gap = 0;
  bool softplus = true, bias = true, skip = true, gate = true, accumulate = false;
  bool gate_sum = false;
};

std::string name_of(const Form& f) {
  std::string name;
  for (const Index n : {f.L, f.D, f.N, f.G, f.gap}) name += std::to_string(n) + " ";
  for (const bool b : {f.softplus, f.bias, f.skip, f.gate, f.accumulate, f.gate_sum})
    name += b ? "+" : "-";
  return name;
}

struct Result {
  Matrix y, h;
};

struct Case {
  Case(std::mt19937& random, const Form& f)
      : form(f),
        u(random_matrix(random, f.L, f.D, f.gap)),
        dt(random_matrix(random, f.L, f.D, 2 * f.gap, 2)),
        dt_bias(random_matrix(random, 1, f.D, 0, 1)),
        A(random_matrix(random, f.N, f.D, f.gap)),
        B(random_matrix(random, f.L, f.G * f.N, f.gap)),
        C(random_matrix(random, f.L, f.G * f.N, 3 * f.gap)),
        skip(random_matrix(random, 1, f.D)),
        z(random_matrix(random, f.L, f.D, f.gap, 6)),
        h(random_matrix(random, f.N, f.D, f.gap)),
        y(random_matrix(random, f.L, f.D, f.gap)) {
    for (Index n = 0; n < f.N; ++n) {
      for (Index c = 0; c < f.D; ++c) A.at(n, c) = -static_cast<float>(n + 1) * (1.5f + A.at(n, c));
    }
    for (Index t = 0; t < f.L; ++t) {
      // Without softplus the step must not be negative, or the states would grow without bounds.
      for (Index c = 0; c < f.D; ++c) {
        dt.at(t, c) = f.softplus ? dt.at(t, c) - 2 : 0.02f * (dt.at(t, c) + 2);
      }
    }
    if (!f.softplus) {
      for (Index c = 0; c < f.D; ++c) dt_bias.at(0, c) = std::abs(dt_bias.at(0, c)) / 10;
    }
  }

  View<const float, 3> states(Matrix& m) {
    return {m.view().data, {form.L, form.G, form.N}, {m.stride, form.N, 1}};
  }

  SelectiveScan op(Result& r) {
    SelectiveScan s{.u = u.view(),
                    .dt = dt.view(),
                    .softplus = form.softplus,
                    .A = A.view(),
                    .B = states(B),
                    .C = states(C),
                    .h = r.h.view(),
                    .y = r.y.view(),
                    .accumulate = form.accumulate,
                    .gate_sum = form.gate_sum};
    if (form.bias) s.dt_bias = vector_of(dt_bias);
    if (form.skip) s.skip = vector_of(skip);
    if (form.gate) s.z = z.view();
    return s;
  }

  Result run(Device& device) {
    Result r{y, h};
    if (!form.accumulate) r.y = Matrix(form.L, form.D, form.gap);
    launch(device, op(r));
    EXPECT_TRUE(r.y.intact() && r.h.intact());
    return r;
  }

  Form form;
  Matrix u, dt, dt_bias, A, B, C, skip, z, h, y;
};

// Rows [begin, end) of all that has rows.
SelectiveScan piece(SelectiveScan op, Index begin, Index end) {
  op.u = rows(op.u, begin, end);
  op.dt = rows(op.dt, begin, end);
  op.B = rows(op.B, begin, end);
  op.C = rows(op.C, begin, end);
  op.z = rows(op.z, begin, end);
  op.y = rows(op.y, begin, end);
  return op;
}

SelectiveScan flipped(SelectiveScan op) {
  op.u = flip_rows(op.u);
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

::testing::AssertionResult agree(Result& got, Result& want) {
  if (auto y = close(got.y.view(), want.y.view(), 1e-5); !y) return y << " in y";
  if (auto h = close(got.h.view(), want.h.view(), 1e-5); !h) return h << " in h";
  return ::testing::AssertionSuccess();
}

::testing::AssertionResult same(Result& got, Result& want) {
  if (auto y = same_bits(got.y.view(), want.y.view()); !y) return y << " in y";
  if (auto h = same_bits(got.h.view(), want.h.view()); !h) return h << " in h";
  return ::testing::AssertionSuccess();
}

std::vector<Form> forms() {
  std::vector<Form> all;
  for (const Index L : {0, 1, 63, 64, 65, 257}) {
    for (const Index D : {1, 3, 16, 24, 236}) {
      for (const Index N : {1, 4, 8, 16, 20, 64}) {
        all.push_back({.L = L, .D = D, .N = N, .gap = (L + D + N) % 3});
      }
    }
  }
  for (int bits = 0; bits < 64; ++bits) {
    all.push_back({.L = 37,
                   .D = 75,
                   .N = 5,
                   .softplus = (bits & 1) != 0,
                   .bias = (bits & 2) != 0,
                   .skip = (bits & 4) != 0,
                   .gate = (bits & 8) != 0,
                   .accumulate = (bits & 16) != 0,
                   .gate_sum = (bits & 32) != 0});
  }
  all.push_back({.L = 40, .D = 24, .N = 16, .G = 3, .gap = 2});
  all.push_back({.L = 40, .D = 24, .N = 3, .G = 24});
  all.push_back({.L = 90, .D = 236, .N = 16, .G = 4, .gap = 1});
  all.push_back({.L = 33, .D = 192, .N = 16, .G = 2});
  return all;
}

TEST(SelectiveScan, AgreesWithTheDefinitionOnAnyThreads) {
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

TEST(SelectiveScan, EveryInstructionSet) {
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
// all occur, in blocks of tokens that a cut divides differently.
void make_extreme(Case& c) {
  const float steps[] = {100, 20, 20.001f, -60, -1, 0.5f, -3, 19.999f};
  std::mt19937 random(17);
  for (Index t = 0; t < c.form.L; ++t) {
    if (t / 40 % 2 == 0) continue;
    for (Index d = 0; d < c.form.D; ++d) {
      if (random() % 4 == 0) c.dt.at(t, d) = steps[random() % std::size(steps)];
    }
  }
}

TEST(SelectiveScan, ExtremeSteps) {
  std::mt19937 random(3);
  Device reference{Reference()}, cpu{Cpu(1)};
  for (const Index N : {1, 4, 16, 20}) {
    Case c(random, {.L = 257, .D = 40, .N = N});
    make_extreme(c);
    Result want = c.run(reference);
    for_each_instruction_set([&] {
      Result got = c.run(cpu);
      EXPECT_TRUE(agree(got, want));
    });
  }
}

TEST(SelectiveScan, AnyCutGivesTheSameBits) {
  std::mt19937 random(4);
  for (const int threads : {1, 3}) {
    Device cpu{Cpu(threads)};
    for (const Index N : {1, 8, 16, 20}) {
      for (const Index D : {3, 24, 236}) {
        Case c(random, {.L = 257, .D = D, .N = N, .gap = 1, .accumulate = N == 8});
        make_extreme(c);
        for_each_instruction_set([&] {
          Result whole = c.run(cpu);
          for (const Index m : {0, 1, 31, 32, 33, 63, 64, 65, 127, 200, 256, 257}) {
            SCOPED_TRACE(m);
            Result cut{c.y, c.h};
            launch(cpu, piece(c.op(cut), 0, m));
            launch(cpu, piece(c.op(cut), m, 257));
            EXPECT_TRUE(same(cut, whole));
          }
        });
      }
    }
  }
}

TEST(SelectiveScan, TokenByTokenGivesTheSameBits) {
  std::mt19937 random(5);
  Device cpu{Cpu(1)};
  Case c(random, {.L = 70, .D = 75, .N = 16});
  for_each_instruction_set([&] {
    Result whole = c.run(cpu), steps{c.y, c.h};
    for (Index t = 0; t < 70; ++t) launch(cpu, piece(c.op(steps), t, t + 1));
    EXPECT_TRUE(same(steps, whole));
  });
}

TEST(SelectiveScan, AChannelDependsOnNothingButItself) {
  std::mt19937 random(6);
  Device cpu{Cpu(1)};
  Case c(random, {.L = 66, .D = 236, .N = 16});
  make_extreme(c);
  for_each_instruction_set([&] {
    Result whole = c.run(cpu);
    for (const auto& [begin, end] : std::vector<std::pair<Index, Index>>{
             {0, 1}, {5, 22}, {1, 65}, {100, 236}, {235, 236}, {17, 20}}) {
      SCOPED_TRACE(begin);
      Result part{c.y, c.h};
      SelectiveScan op = c.op(part);
      op.u = cols(op.u, begin, end);
      op.dt = cols(op.dt, begin, end);
      op.dt_bias = {op.dt_bias.data + begin, {end - begin}};
      op.A = cols(op.A, begin, end);
      op.skip = {op.skip.data + begin, {end - begin}};
      op.z = cols(op.z, begin, end);
      op.h = cols(op.h, begin, end);
      op.y = cols(op.y, begin, end);
      launch(cpu, op);
      EXPECT_TRUE(same_bits(op.y, cols(whole.y.view(), begin, end)));
      EXPECT_TRUE(same_bits(op.h, cols(whole.h.view(), begin, end)));
      EXPECT_TRUE(same_bits(cols(part.y.view(), 0, begin), cols(c.y.view(), 0, begin)));
      EXPECT_TRUE(same_bits(cols(part.y.view(), end, 236), cols(c.y.view(), end, 236)));
    }
  });
}

TEST(SelectiveScan, FlippedRowsAreTheReversedSequence) {
  std::mt19937 random(7);
  Device reference{Reference()}, one{Cpu(1)}, three{Cpu(3)};
  for (const Index L : {0, 1, 65, 257}) {
    Case c(random, {.L = L, .D = 75, .N = 16, .gap = 2, .accumulate = L == 65});
    Case turned = c;
    for (Matrix* m : {&turned.u, &turned.dt, &turned.B, &turned.C, &turned.z, &turned.y}) {
      *m = reversed(*m);
    }
    for (Device* device : {&reference, &one, &three}) {
      Result want = turned.run(*device), got{c.y, c.h};
      launch(*device, flipped(c.op(got)));
      got.y = reversed(got.y);
      EXPECT_TRUE(same(got, want));
    }
  }
}

TEST(SelectiveScan, InPlace) {
  std::mt19937 random(8);
  Device reference{Reference()}, cpu{Cpu(1)};
  Case c(random, {.L = 130, .D = 75, .N = 16});
  for (Device* device : {&reference, &cpu}) {
    Result want = c.run(*device);
    for (const bool over_u : {true, false}) {
      Result got{over_u ? c.u : c.dt, c.h};
      SelectiveScan op = c.op(got);
      (over_u ? op.u : op.dt) = got.y.view();
      launch(*device, op);
      EXPECT_TRUE(same(got, want));
    }
  }
}

TEST(SelectiveScan, ConstantProjections) {
  std::mt19937 random(9);
  Device reference{Reference()}, cpu{Cpu(1)};
  Case c(random, {.L = 50, .D = 24, .N = 16, .G = 24});
  Case repeated = c;
  for (Index t = 0; t < 50; ++t) {
    std::copy_n(c.B.view().row(0), 24 * 16, repeated.B.view().row(t));
    std::copy_n(c.C.view().row(0), 24 * 16, repeated.C.view().row(t));
  }
  for (Device* device : {&reference, &cpu}) {
    Result want = repeated.run(*device), got{c.y, c.h};
    SelectiveScan op = c.op(got);
    op.B.stride[0] = 0;
    op.C.stride[0] = 0;
    launch(*device, op);
    EXPECT_TRUE(same(got, want));
  }
}

// One token, one state, one channel a value: the functions that the op is made of, each alone.
struct Probe {
  explicit Probe(std::vector<float> values)
      : D(static_cast<Index>(values.size())),
        x(std::move(values)),
        zero(x.size()),
        one(x.size(), 1),
        minus_one(x.size(), -1) {}

  // The step that softplus makes of x.
  std::vector<float> softplus() {
    return run({.u = row(one), .dt = row(x), .A = row(minus_one)}, 0, true);
  }
  // What silu makes of x.
  std::vector<float> silu() {
    return run(
        {.u = row(one), .dt = row(zero), .A = row(zero), .skip = {one.data(), {D}}, .z = row(x)}, 0,
        true);
  }
  // The decay e^x.
  std::vector<float> decay() {
    return run({.u = row(zero), .dt = row(x), .softplus = false, .A = row(one)}, 1, false);
  }

 private:
  View<const float, 2> row(const std::vector<float>& v) const { return {v.data(), {1, D}}; }

  std::vector<float> run(SelectiveScan op, float start, bool want_y) {
    const float B = op.z.empty() ? 1 : 0, C = 1;
    std::vector<float> h(x.size(), start), y(x.size());
    op.B = {&B, {1, 1, 1}};
    op.C = {&C, {1, 1, 1}};
    op.h = {h.data(), {1, D}};
    op.y = {y.data(), {1, D}};
    Device cpu{Cpu(1)};
    launch(cpu, op);
    return want_y ? y : h;
  }

  Index D;
  std::vector<float> x, zero, one, minus_one;
};

// Without fused multiply-add the reduction of the exponent rounds once more.
double tolerance(double exponent) { return 5e-7 + 6e-8 * std::abs(exponent); }

std::vector<float> spread(float low, float high) {
  std::vector<float> x;
  for (int i = 0; i <= 20'000; ++i) {
    x.push_back(low + (high - low) * static_cast<float>(i) / 20'000);
  }
  return x;
}

TEST(SelectiveScan, SoftplusIsAccurate) {
  for_each_instruction_set([] {
    for (const auto& x : {spread(-87, 100), spread(-2, 2), spread(19.9f, 20.1f)}) {
      const auto y = Probe(x).softplus();
      for (std::size_t i = 0; i < x.size(); ++i) {
        const double want = x[i] > 20 ? x[i] : std::log1p(std::exp(static_cast<double>(x[i])));
        ASSERT_NEAR(y[i] / want, 1, tolerance(x[i])) << x[i];
      }
    }
    const auto y = Probe({-kInfinity, -1e30f, -200, 1e30f, kInfinity, kNaN}).softplus();
    EXPECT_EQ(y[0], 0);
    EXPECT_EQ(y[1], 0);
    EXPECT_EQ(y[2], 0);
    EXPECT_EQ(y[3], 1e30f);
    EXPECT_EQ(y[4], kInfinity);
    EXPECT_TRUE(std::isnan(y[5]));
  });
}

TEST(SelectiveScan, SiluIsAccurate) {
  for_each_instruction_set([] {
    for (const auto& x : {spread(-79, 100), spread(-2, 2)}) {
      const auto y = Probe(x).silu();
      for (std::size_t i = 0; i < x.size(); ++i) {
        const double want = x[i] / (1 + std::exp(-static_cast<double>(x[i])));
        ASSERT_NEAR(y[i], want, tolerance(x[i]) * std::abs(want)) << x[i];
      }
    }
    const auto y = Probe({-1000, 1e30f, kInfinity, kNaN, 0}).silu();
    EXPECT_NEAR(y[0], 0, 1e-30);
    EXPECT_FLOAT_EQ(y[1], 1e30f);
    EXPECT_EQ(y[2], kInfinity);
    EXPECT_TRUE(std::isnan(y[3]));
    EXPECT_EQ(y[4], 0);
  });
}

TEST(SelectiveScan, DecayIsAccurate) {
  for_each_instruction_set([] {
    for (const auto& x : {spread(-87, 87.9f), spread(-1, 1), spread(-1e-3f, 1e-3f)}) {
      const auto h = Probe(x).decay();
      for (std::size_t i = 0; i < x.size(); ++i) {
        const double want = std::exp(static_cast<double>(x[i]));
        // The exponent is rounded once after its product with log2(e).
        ASSERT_NEAR(h[i] / want, 1, 1.5e-7 + 1.3e-7 * std::abs(x[i])) << x[i];
      }
    }
    const auto h = Probe({-3e38f, -1e30f, -200, -88, 0, 89, 200, 1e30f, 3e38f, kNaN}).decay();
    for (const std::size_t i : {0, 1, 2, 3}) EXPECT_EQ(h[i], 0) << i;
    EXPECT_EQ(h[4], 1);
    for (const std::size_t i : {5, 6, 7, 8}) EXPECT_EQ(h[i], kInfinity) << i;
    EXPECT_TRUE(std::isnan(h[9]));
  });
}

TEST(SelectiveScan, NaNStaysInItsChannelAndIsNotLost) {
  std::mt19937 random(10);
  Device cpu{Cpu(1)};
  Case c(random, {.L = 40, .D = 75, .N = 16, .gate = false});
  Result before = c.run(cpu);
  for (Matrix* spoilt : {&c.u, &c.dt}) {
    const float kept = std::exchange(spoilt->at(20, 33), kNaN);
    Result after = c.run(cpu);
    EXPECT_TRUE(same_bits(rows(after.y.view(), 0, 20), rows(before.y.view(), 0, 20)));
    EXPECT_TRUE(same_bits(cols(after.y.view(), 0, 33), cols(before.y.view(), 0, 33)));
    EXPECT_TRUE(same_bits(cols(after.y.view(), 34, 75), cols(before.y.view(), 34, 75)));
    for (Index t = 20; t < 40; ++t) EXPECT_TRUE(std::isnan(after.y.at(t, 33)));
    spoilt->at(20, 33) = kept;
  }
}

TEST(SelectiveScan, Definition) {
  // d = 0.5 + 0.25; decays e^(-d) and e^(-2d); two tokens by hand.
  std::vector<float> u = {2, 3}, dt = {0.5f, 0.5f}, bias = {0.25f}, A = {-1, -2};
  std::vector<float> B = {1, 2, 3, 4}, C = {1, 1, 2, -1}, skip = {10}, z = {0, 1};
  for (const bool on_cpu : {false, true}) {
    Device device = on_cpu ? Device{Cpu(1)} : Device{Reference()};
    std::vector<float> h = {1, -1}, y = {7, 7};
    launch(device, SelectiveScan{.u = {u.data(), {2, 1}},
                                 .dt = {dt.data(), {2, 1}},
                                 .dt_bias = {bias.data(), {1}},
                                 .softplus = false,
                                 .A = {A.data(), {2, 1}},
                                 .B = {B.data(), {2, 1, 2}},
                                 .C = {C.data(), {2, 1, 2}},
                                 .skip = {skip.data(), {1}},
                                 .z = {z.data(), {2, 1}},
                                 .h = {h.data(), {2, 1}},
                                 .y = {y.data(), {2, 1}},
                                 .accumulate = true});
    const double a = std::exp(-0.75), b = std::exp(-1.5);
    const double h0 = a + 1.5, h1 = -b + 3;
    const double k0 = a * h0 + 6.75, k1 = b * h1 + 9;
    EXPECT_NEAR(h[0], k0, 1e-5);
    EXPECT_NEAR(h[1], k1, 1e-5);
    EXPECT_FLOAT_EQ(y[0], 7);  // silu(0) is 0
    EXPECT_NEAR(y[1], 7 + (2 * k0 - k1 + 30) / (1 + std::exp(-1.0)), 1e-5);
  }
}

TEST(SelectiveScan, RefusesWhatDoesNotFit) {
  std::mt19937 random(11);
  Case c(random, {.L = 3, .D = 24, .N = 4});
  Result r{c.y, c.h};
  const auto sentence = [&](auto change) {
    SelectiveScan op = c.op(r);
    change(op);
    return refusal([&] { check(op); });
  };
  using Op = SelectiveScan;
  EXPECT_EQ(sentence([](Op&) {}), "");
  EXPECT_EQ(sentence([](Op& op) { op.dt.extent[1] = 2; }),
            "selective_scan: dt is [3, 2], want [3, 24]");
  EXPECT_EQ(sentence([](Op& op) { op.dt_bias.extent[0] = 9; }),
            "selective_scan: dt_bias is [9], want [24]");
  EXPECT_EQ(sentence([](Op& op) {
              op.A.extent = {4, 3};
            }),
            "selective_scan: A is [4, 3], want [4, 24]");
  EXPECT_EQ(sentence([](Op& op) { op.A.extent[0] = 0; }),
            "selective_scan: no states, want at least 1");
  EXPECT_EQ(sentence([](Op& op) {
              op.B.extent = {37, 1, 9};
            }),
            "selective_scan: B is [37, 1, 9], want [3, 1, 4]");
  EXPECT_EQ(sentence([](Op& op) { op.C.extent[1] = 2; }),
            "selective_scan: C is [3, 2, 4], want [3, 1, 4]");
  EXPECT_EQ(sentence([](Op& op) { op.B.extent[1] = op.C.extent[1] = 5; }),
            "selective_scan: 24 channels in 5 groups, want a divisor");
  EXPECT_EQ(sentence([](Op& op) { op.skip.extent[0] = 1; }),
            "selective_scan: skip is [1], want [24]");
  EXPECT_EQ(sentence([](Op& op) { op.z.extent[0] = 4; }),
            "selective_scan: z is [4, 24], want [3, 24]");
  EXPECT_EQ(sentence([](Op& op) { op.h.extent[0] = 5; }),
            "selective_scan: h is [5, 24], want [4, 24]");
  EXPECT_EQ(sentence([](Op& op) { op.y.extent[0] = 5; }),
            "selective_scan: y is [5, 24], want [3, 24]");
}

}  // namespace
}  // namespace genossm::testing
