#include "kernels/diagonal_scan/diagonal_scan.h"

#include "tests/kernels/kernel_test.h"

namespace genossm::testing {
namespace {

struct Form {
  Index L = 65, D = 24, N = 8, Q = 2, gap = 0;
  bool low = false, skip = true, gate = false;
  double slowest = 1e-3;  // 1 - |p| of the pole that remembers longest
};

std::string name_of(const Form& f) {
  std::string name;
  for (const Index n : {f.L, f.D, f.N, f.Q, f.gap}) name += std::to_string(n) + " ";
  return name + (f.low ? "+" : "-") + (f.skip ? "+" : "-") + (f.gate ? "+" : "-");
}

struct Result {
  Matrix y, h;
};

// [N Q, D] with gaps as [N, Q, D].
template <class T>
View<T, 3> states(View<T, 2> v, Index Q) {
  return {v.data, {v.extent[0] / Q, Q, v.extent[1]}, {Q * v.stride[0], v.stride[0], 1}};
}

struct Case {
  Case(std::mt19937& random, const Form& f)
      : form(f),
        u(random_matrix(random, f.L, f.D, f.gap)),
        poles(f.N * f.Q, f.D, f.gap),
        low(f.N * f.Q, f.D, 2 * f.gap),
        residues(random_matrix(random, f.N * f.Q, f.D, f.gap)),
        skip(random_matrix(random, 1, f.D)),
        gate(random_matrix(random, f.L, f.D, f.gap)),
        h(random_matrix(random, f.N * f.Q, f.D, f.gap)) {
    std::uniform_real_distribution<double> part(0, 1);
    for (Index n = 0; n < f.N; ++n) {
      for (Index d = 0; d < f.D; ++d) {
        const double size = 1 - f.slowest * std::pow(0.9 / f.slowest, part(random));
        const double angle = f.Q == 2 ? 6.28 * part(random) : 0;
        for (Index q = 0; q < f.Q; ++q) {
          const auto [high, rest] = split_pole(size * (q == 0 ? std::cos(angle) : std::sin(angle)));
          poles.at(n * f.Q + q, d) = high;
          low.at(n * f.Q + q, d) = rest;
        }
      }
    }
  }

  DiagonalScan op(Result& r) {
    return {
        .u = u.view(),
        .poles = states<const float>(poles.view(), form.Q),
        .poles_low = form.low ? states<const float>(low.view(), form.Q) : View<const float, 3>(),
        .residues = states<const float>(residues.view(), form.Q),
        .skip = form.skip ? vector_of(skip) : View<const float, 1>(),
        .gate = form.gate ? gate.view() : View<const float, 2>(),
        .h = states(r.h.view(), form.Q),
        .y = r.y.view()};
  }
  Result fresh() const { return {Matrix(form.L, form.D, 3 * form.gap), h}; }
  Result run(Device& device) {
    Result r = fresh();
    launch(device, op(r));
    EXPECT_TRUE(r.y.intact() && r.h.intact());
    return r;
  }

  Form form;
  Matrix u, poles, low, residues, skip, gate, h;
};

DiagonalScan piece(DiagonalScan op, Index begin, Index end) {
  op.u = rows(op.u, begin, end);
  op.gate = rows(op.gate, begin, end);
  op.y = rows(op.y, begin, end);
  return op;
}

::testing::AssertionResult agree(Result& got, Result& want, double tolerance = 5e-6) {
  if (auto y = close(got.y.view(), want.y.view(), tolerance); !y) return y << " in y";
  if (auto h = close(got.h.view(), want.h.view(), tolerance); !h) return h << " in h";
  return ::testing::AssertionSuccess();
}

::testing::AssertionResult same(Result& got, Result& want) {
  if (auto y = same_bits(got.y.view(), want.y.view()); !y) return y << " in y";
  if (auto h = same_bits(got.h.view(), want.h.view()); !h) return h << " in h";
  return ::testing::AssertionSuccess();
}

std::vector<Form> forms() {
  std::vector<Form> all;
  for (const Index L : {0, 1, 2, 63, 128, 129, 300}) {
    for (const Index D : {1, 3, 16, 24, 75}) {
      for (const Index N : {1, 2, 3, 5, 8, 13, 16}) {
        for (const Index Q : {1, 2}) {
          all.push_back({.L = L,
                         .D = D,
                         .N = N,
                         .Q = Q,
                         .gap = (L + D + N) % 3,
                         .low = (L + N) % 2 == 0,
                         .skip = (L + D) % 2 == 0,
                         .gate = (D + N) % 2 == 0});
        }
      }
    }
  }
  return all;
}

TEST(DiagonalScan, AgreesWithTheDefinitionOnAnyThreads) {
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

TEST(DiagonalScan, AnyCutGivesTheSameBits) {
  std::mt19937 random(2);
  for (const int threads : {1, 3}) {
    Device cpu{Cpu(threads)};
    for (const Index Q : {1, 2}) {
      for (const Index D : {3, 75, 300}) {
        Case c(random, {.L = 257, .D = D, .N = 7, .Q = Q, .gap = 1, .low = true, .gate = true});
        for_each_instruction_set([&] {
          Result whole = c.run(cpu);
          for (const Index m : {0, 1, 2, 64, 127, 128, 129, 256, 257}) {
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

// A pole's rounding decides what is left after long: its low part must be seen.
TEST(DiagonalScan, LongMemory) {
  constexpr Index L = 200'000;
  const double log_pole = -1.0 / 60'000;
  const auto [high, low] = split_pole(std::exp(log_pole));
  std::vector<float> u(L, 0.0f), y(L), residue = {1}, h = {0};
  u[0] = 1;
  for (const bool on_cpu : {false, true}) {
    Device device = on_cpu ? Device{Cpu(1)} : Device{Reference()};
    h = {0};
    launch(device, DiagonalScan{.u = {u.data(), {L, 1}},
                                .poles = {&high, {1, 1, 1}},
                                .poles_low = {&low, {1, 1, 1}},
                                .residues = {residue.data(), {1, 1, 1}},
                                .h = {h.data(), {1, 1, 1}},
                                .y = {y.data(), {L, 1}}});
    for (const Index t : {Index{1}, Index{1000}, Index{60'000}, L - 1}) {
      const double want = std::exp(log_pole * static_cast<double>(t));
      // Each step rounds once; the errors are independent.
      EXPECT_NEAR(y[static_cast<std::size_t>(t)] / want, 1.0, 1e-4) << t;
    }
  }
}

TEST(DiagonalScan, SlowPolesStayClose) {
  std::mt19937 random(7);
  Device reference{Reference()}, cpu{Cpu(1)};
  for (const Index Q : {1, 2}) {
    Case c(random, {.L = 20'000, .D = 16, .N = 8, .Q = Q, .low = true, .slowest = 1e-5});
    Result want = c.run(reference), got = c.run(cpu);
    EXPECT_TRUE(agree(got, want, 3e-5));
  }
}

TEST(DiagonalScan, AChannelDependsOnNothingButItself) {
  std::mt19937 random(3);
  Device cpu{Cpu(1)};
  Case c(random, {.L = 66, .D = 236, .N = 6});
  for_each_instruction_set([&] {
    Result whole = c.run(cpu);
    for (const auto& [begin, end] :
         std::vector<std::pair<Index, Index>>{{0, 1}, {5, 22}, {1, 65}, {100, 236}, {235, 236}}) {
      SCOPED_TRACE(begin);
      const Index n = end - begin;
      Result part = c.fresh();
      DiagonalScan op = c.op(part);
      const auto narrow = [&](auto v) {
        v.data += begin;
        v.extent[2] = n;
        return v;
      };
      op.u = cols(op.u, begin, end);
      op.poles = narrow(op.poles), op.residues = narrow(op.residues), op.h = narrow(op.h);
      op.skip = {op.skip.data + begin, {n}};
      op.y = cols(op.y, begin, end);
      launch(cpu, op);
      EXPECT_TRUE(same_bits(op.y, cols(whole.y.view(), begin, end)));
      EXPECT_TRUE(same_bits(cols(part.h.view(), begin, end), cols(whole.h.view(), begin, end)));
      EXPECT_TRUE(same_bits(cols(part.h.view(), 0, begin), cols(c.h.view(), 0, begin)));
    }
  });
}

TEST(DiagonalScan, YMayBeTheInputOrTheGate) {
  std::mt19937 random(4);
  for (const bool on_cpu : {false, true}) {
    Device device = on_cpu ? Device{Cpu(3)} : Device{Reference()};
    Case c(random, {.L = 300, .D = 60, .gate = true});
    Result want = c.run(device), got = c.fresh();
    DiagonalScan op = c.op(got);
    Matrix u = c.u;
    op.u = u.view(), op.y = u.view();
    launch(device, op);
    EXPECT_TRUE(same_bits(u.view(), want.y.view()));
    got = c.fresh();
    op = c.op(got);
    op.y = c.gate.view();
    launch(device, op);
    EXPECT_TRUE(same_bits(c.gate.view(), want.y.view()));
  }
}

TEST(DiagonalScan, NaNStaysInItsChannel) {
  std::mt19937 random(5);
  Device cpu{Cpu(1)};
  Case c(random, {.L = 20, .D = 75, .N = 5});
  Result before = c.run(cpu);
  c.u.at(10, 33) = kNaN;
  Result after = c.run(cpu);
  for (Index t = 0; t < 20; ++t) {
    for (Index d = 0; d < 75; ++d) {
      const bool spoilt = d == 33 && t >= 10;
      EXPECT_EQ(std::isnan(after.y.at(t, d)), spoilt);
      EXPECT_TRUE(spoilt || after.y.at(t, d) == before.y.at(t, d));
    }
  }
}

TEST(DiagonalScan, Definition) {
  // One complex state: p = i/2, r = 2 - i, h0 = 4.
  std::vector<float> p = {0, 0.5f}, r = {2, -1}, u = {1, 0}, skip = {10}, gate = {1, 3};
  for (const bool on_cpu : {false, true}) {
    Device device = on_cpu ? Device{Cpu(1)} : Device{Reference()};
    std::vector<float> h = {4, 0}, y(2);
    launch(device, DiagonalScan{.u = {u.data(), {2, 1}},
                                .poles = {p.data(), {1, 2, 1}},
                                .residues = {r.data(), {1, 2, 1}},
                                .skip = {skip.data(), {1}},
                                .gate = {gate.data(), {2, 1}},
                                .h = {h.data(), {1, 2, 1}},
                                .y = {y.data(), {2, 1}}});
    // h = 1 + 2i, then -1 + i/2.
    EXPECT_EQ(y, (std::vector<float>{14, -4.5f}));
    EXPECT_EQ(h, (std::vector<float>{-1, 0.5f}));
  }
}

TEST(DiagonalScan, RefusesWhatDoesNotFit) {
  std::mt19937 random(6);
  Case c(random, {.L = 3, .D = 24, .N = 4, .low = true, .gate = true});
  Result r = c.fresh();
  const auto sentence = [&](auto change) {
    DiagonalScan op = c.op(r);
    change(op);
    return refusal([&] { check(op); });
  };
  using Op = DiagonalScan;
  EXPECT_EQ(sentence([](Op&) {}), "");
  EXPECT_EQ(sentence([](Op& op) { op.poles.extent[0] = 0; }),
            "diagonal_scan: 0 states, want 1 or more");
  EXPECT_EQ(sentence([](Op& op) { op.poles.extent[1] = 3; }),
            "diagonal_scan: poles of 3 parts, want 1 or 2");
  EXPECT_EQ(sentence([](Op& op) { op.poles.extent[2] = 2; }),
            "diagonal_scan: poles is [4, 2, 2], want [4, 2, 24]");
  EXPECT_EQ(sentence([](Op& op) { op.poles_low.extent[0] = 2; }),
            "diagonal_scan: poles_low is [2, 2, 24], want [4, 2, 24]");
  EXPECT_EQ(sentence([](Op& op) { op.residues.extent[1] = 1; }),
            "diagonal_scan: residues is [4, 1, 24], want [4, 2, 24]");
  EXPECT_EQ(sentence([](Op& op) { op.skip.extent[0] = 2; }),
            "diagonal_scan: skip is [2], want [24]");
  EXPECT_EQ(sentence([](Op& op) { op.gate.extent[0] = 2; }),
            "diagonal_scan: gate is [2, 24], want [3, 24]");
  EXPECT_EQ(sentence([](Op& op) { op.h.extent[0] = 2; }),
            "diagonal_scan: h is [2, 2, 24], want [4, 2, 24]");
  EXPECT_EQ(sentence([](Op& op) { op.y.extent[1] = 2; }),
            "diagonal_scan: y is [3, 2], want [3, 24]");
}

}  // namespace
}  // namespace genossm::testing
