#include "kernels/attention/attention.h"

#include "tests/kernels/kernel_test.h"

namespace genossm::testing {
namespace {

struct Form {
  Index L = 65, past = 0, H = 4, G = 2, E = 16, gap = 0;
  AttentionMask mask = AttentionMask::causal;
  Index window = 0, first = 0;
  float scale = 0.25f, largest = 2;
};

std::string name_of(const Form& f) {
  std::string name;
  for (const Index n : {f.L, f.past, f.H, f.G, f.E, f.gap, static_cast<Index>(f.mask), f.window}) {
    name += std::to_string(n) + " ";
  }
  return name;
}

// The same numbers as bf16, in a matrix without gaps.
struct Half {
  explicit Half(Matrix& m) : rows(m.rows), columns(m.columns) {
    for (Index i = 0; i < rows; ++i) {
      for (Index j = 0; j < columns; ++j) values.push_back({f32_to_bf16(m.at(i, j))});
    }
  }
  View<const bf16, 2> view() const { return {values.data(), {rows, columns}}; }
  Matrix widened() const {
    Matrix m(rows, columns);
    for (Index i = 0; i < rows; ++i) {
      for (Index j = 0; j < columns; ++j) m.at(i, j) = bf16_to_f32(view().row(i)[j].bits);
    }
    return m;
  }
  Index rows, columns;
  std::vector<bf16> values;
};

struct Case {
  Case(std::mt19937& random, const Form& f)
      : form(f),
        q(random_matrix(random, f.L, f.H * f.E, f.gap, f.largest)),
        k(random_matrix(random, f.past + f.L, f.G * f.E, 2 * f.gap, f.largest)),
        v(random_matrix(random, f.past + f.L, f.G * f.E, f.gap)) {}

  Attention op(Matrix& y) {
    return {.q = q.view(),
            .k = k.view(),
            .v = v.view(),
            .heads = form.H,
            .kv_heads = form.G,
            .scale = form.scale,
            .mask = form.mask,
            .window = form.window,
            .first = form.first,
            .y = y.view()};
  }
  Matrix fresh() const { return {form.L, form.H * form.E, 3 * form.gap}; }
  Matrix run(Device& device) {
    Matrix y = fresh();
    launch(device, op(y));
    EXPECT_TRUE(y.intact());
    return y;
  }

  Form form;
  Matrix q, k, v;
};

AttentionOf<bf16> in_bf16(const Attention& op, const Half& k, const Half& v) {
  return {.q = op.q,
          .k = k.view(),
          .v = v.view(),
          .heads = op.heads,
          .kv_heads = op.kv_heads,
          .scale = op.scale,
          .mask = op.mask,
          .window = op.window,
          .first = op.first,
          .y = op.y};
}

// Queries [begin, end) of a causal op without earlier tokens, with the keys up to them.
template <class Op>
Op piece(Op op, Index begin, Index end) {
  op.q = rows(op.q, begin, end);
  op.y = rows(op.y, begin, end);
  op.k = rows(op.k, 0, end);
  op.v = rows(op.v, 0, end);
  return op;
}

std::vector<Form> forms() {
  std::vector<Form> all;
  for (const Index L : {0, 1, 2, 63, 64, 65, 130}) {
    for (const Index E : {1, 7, 8, 18, 64, 75, 128}) {
      for (const auto& [H, G] : std::vector<std::pair<Index, Index>>{{1, 1}, {4, 2}, {6, 1}}) {
        for (const auto mask : {AttentionMask::causal, AttentionMask::window,
                                AttentionMask::bidirectional, AttentionMask::janus}) {
          const Index past = mask == AttentionMask::janus ? L % 2 : (L + E) % 3 * 50;
          all.push_back({.L = L,
                         .past = past,
                         .H = H,
                         .G = G,
                         .E = E,
                         .gap = (L + E + H) % 3,
                         .mask = mask,
                         .window = 1 + (L * E) % 90,
                         .scale = 1 / std::sqrt(static_cast<float>(E))});
        }
      }
    }
  }
  all.push_back({.L = 3, .past = 500, .E = 256, .scale = 1.0f / 16});
  all.push_back({.L = 300, .H = 2, .E = 255, .scale = 1.0f / 16});
  all.push_back({.L = 200, .H = 130, .G = 1, .E = 8});  // more heads than rows of a task
  all.push_back({.L = 100, .past = 33, .mask = AttentionMask::window, .window = 1});
  all.push_back({.L = 100, .past = 70, .mask = AttentionMask::window, .window = 64, .first = 37});
  return all;
}

TEST(Attention, AgreesWithTheDefinitionOnAnyThreads) {
  std::mt19937 random(1);
  Device reference{Reference()}, one{Cpu(1)}, three{Cpu(3)};
  for (const Form& form : forms()) {
    SCOPED_TRACE(name_of(form));
    Case c(random, form);
    Matrix want = c.run(reference);
    for_each_instruction_set([&] {
      Matrix got = c.run(one), parallel = c.run(three);
      ASSERT_TRUE(close(got.view(), want.view(), 3e-6));
      ASSERT_TRUE(same_bits(parallel.view(), got.view()));
    });
  }
}

TEST(Attention, SharpAndShiftedScores) {
  std::mt19937 random(2);
  Device reference{Reference()}, cpu{Cpu(1)};
  // Scores of some hundreds: exponentials overflow unless the largest is taken away.
  Case c(random, {.L = 200, .E = 64, .scale = 1, .largest = 6});
  Matrix want = c.run(reference);
  for_each_instruction_set([&] {
    Matrix got = c.run(cpu);
    EXPECT_TRUE(close(got.view(), want.view(), 2e-4));
  });
}

TEST(Attention, KeysInBf16AreTheirNumbers) {
  std::mt19937 random(3);
  Device reference{Reference()}, cpu{Cpu(3)};
  for (const Index E : {7, 18, 64, 128}) {
    Case c(random, {.L = 130, .past = 77, .E = E, .gap = 1});
    const Half k(c.k), v(c.v);
    Matrix y = c.fresh(), want = c.fresh(), defined = c.fresh();
    Case wide = c;
    wide.k = k.widened(), wide.v = v.widened();
    for_each_instruction_set([&] {
      launch(cpu, in_bf16(c.op(y), k, v));
      want = wide.run(cpu);
      EXPECT_TRUE(same_bits(y.view(), want.view()));
    });
    launch(reference, in_bf16(c.op(defined), k, v));
    want = wide.run(reference);
    EXPECT_TRUE(same_bits(defined.view(), want.view()));
  }
}

TEST(Attention, AnyCutGivesTheSameBits) {
  std::mt19937 random(4);
  constexpr Index L = 200;
  for (const int threads : {1, 3}) {
    Device cpu{Cpu(threads)};
    for (const Index E : {18, 128}) {
      for (const Index window : {0, 1, 17, 64, 100}) {
        Case c(random, {.L = L,
                        .E = E,
                        .mask = window ? AttentionMask::window : AttentionMask::causal,
                        .window = window});
        const Half k(c.k), v(c.v);
        for_each_instruction_set([&] {
          Matrix whole = c.run(cpu), half = c.fresh();
          launch(cpu, in_bf16(c.op(half), k, v));
          for (const Index m : {0, 1, 2, 63, 64, 65, 127, 128, 199, 200}) {
            SCOPED_TRACE(m);
            Matrix cut = c.fresh();
            launch(cpu, piece(c.op(cut), 0, m));
            launch(cpu, piece(c.op(cut), m, L));
            EXPECT_TRUE(same_bits(cut.view(), whole.view()));
            launch(cpu, piece(in_bf16(c.op(cut), k, v), 0, m));
            launch(cpu, piece(in_bf16(c.op(cut), k, v), m, L));
            EXPECT_TRUE(same_bits(cut.view(), half.view()));
          }
          Matrix steps = c.fresh();
          for (Index t = 0; t < L; ++t) launch(cpu, piece(c.op(steps), t, t + 1));
          EXPECT_TRUE(same_bits(steps.view(), whole.view()));
        });
      }
    }
  }
}

// A cache of a window may forget; `first` keeps the blocks where they were.
TEST(Attention, KeysOutOfTheWindowMayBeDropped) {
  std::mt19937 random(5);
  Device cpu{Cpu(1)};
  constexpr Index L = 200, W = 50;
  Case c(random, {.L = L, .E = 18, .mask = AttentionMask::window, .window = W});
  for_each_instruction_set([&] {
    Matrix whole = c.run(cpu);
    for (const Index m : {60, 128, 150, 199}) {
      SCOPED_TRACE(m);
      Matrix got = c.fresh();
      Attention op = piece(c.op(got), m, L);
      const Index dropped = m - W + 1;
      op.k = rows(op.k, dropped, L), op.v = rows(op.v, dropped, L);
      op.first = dropped;
      launch(cpu, op);
      EXPECT_TRUE(same_bits(rows(got.view(), m, L), rows(whole.view(), m, L)));
    }
  });
}

TEST(Attention, AHeadDependsOnNothingButItsOwn) {
  std::mt19937 random(6);
  Device cpu{Cpu(1)};
  Case c(random, {.L = 130, .past = 10, .H = 6, .G = 3, .E = 18});
  for_each_instruction_set([&] {
    Matrix whole = c.run(cpu), part = c.fresh();
    Attention op = c.op(part);
    op.q = cols(op.q, 3 * 18, 4 * 18), op.y = cols(op.y, 3 * 18, 4 * 18);  // head 3: keys of head 1
    op.k = cols(op.k, 18, 36), op.v = cols(op.v, 18, 36);
    op.heads = op.kv_heads = 1;
    launch(cpu, op);
    EXPECT_TRUE(same_bits(op.y, cols(whole.view(), 3 * 18, 4 * 18)));
  });
}

TEST(Attention, YMayBeTheQueries) {
  std::mt19937 random(7);
  for (const bool on_cpu : {false, true}) {
    Device device = on_cpu ? Device{Cpu(3)} : Device{Reference()};
    Case c(random, {.L = 130, .past = 10});
    Matrix want = c.run(device);
    Attention op = c.op(c.q);
    launch(device, op);
    EXPECT_TRUE(same_bits(c.q.view(), want.view()));
  }
}

TEST(Attention, NaNReachesWhatSeesIt) {
  std::mt19937 random(8);
  constexpr Index L = 140, at = 70;
  for (const auto mask : {AttentionMask::causal, AttentionMask::window, AttentionMask::janus}) {
    Case c(random, {.L = L, .H = 2, .G = 2, .E = 18, .mask = mask, .window = 30});
    for (const bool in_keys : {false, true}) {
      Case spoilt = c;
      (in_keys ? spoilt.k : spoilt.v).at(at, 3) = kNaN;  // head 0
      for_each_instruction_set([&] {
        Device cpu{Cpu(1)};
        Matrix before = c.run(cpu), after = spoilt.run(cpu);
        for (Index i = 0; i < L; ++i) {
          const KeyRanges seen = visible_keys(mask, 30, i, L, L);
          const bool sees = (at >= seen.first.begin && at < seen.first.end) ||
                            (at >= seen.second.begin && at < seen.second.end);
          for (Index e = 0; e < 36; ++e) {
            const bool bad = sees && e < 18 && (in_keys || e == 3);
            ASSERT_EQ(std::isnan(after.at(i, e)), bad) << i << " " << e;
            ASSERT_TRUE(bad || after.at(i, e) == before.at(i, e));
          }
        }
      });
    }
  }
}

// What the masks say, written out for six keys.
TEST(Attention, Masks) {
  const auto seen = [](AttentionMask mask, Index window, Index L, Index S) {
    std::string out;
    for (Index i = 0; i < L; ++i) {
      const KeyRanges r = visible_keys(mask, window, i, L, S);
      for (Index j = 0; j < S; ++j) {
        const bool in =
            (j >= r.first.begin && j < r.first.end) || (j >= r.second.begin && j < r.second.end);
        out += in ? '1' : '0';
      }
      out += i + 1 < L ? " " : "";
    }
    return out;
  };
  EXPECT_EQ(seen(AttentionMask::causal, 0, 3, 5), "11100 11110 11111");
  EXPECT_EQ(seen(AttentionMask::window, 2, 3, 5), "01100 00110 00011");
  EXPECT_EQ(seen(AttentionMask::bidirectional, 0, 2, 3), "111 111");
  // Forward rows 0 to 2, then reverse rows 0 to 2.
  EXPECT_EQ(seen(AttentionMask::janus, 0, 6, 6), "100001 110000 111000 000111 000011 100001");
}

TEST(Attention, Definition) {
  // Weights e^0 : e^ln3 of values 4 and 8.
  std::vector<float> q = {1}, k = {0, std::log(3.0f)}, v = {4, 8}, y = {0};
  for (const bool on_cpu : {false, true}) {
    Device device = on_cpu ? Device{Cpu(1)} : Device{Reference()};
    Attention op{.q = {q.data(), {1, 1}},
                 .k = {k.data(), {2, 1}},
                 .v = {v.data(), {2, 1}},
                 .y = {y.data(), {1, 1}}};
    launch(device, op);
    EXPECT_NEAR(y[0], 7, 1e-6);
    // A JanusDNA row of a single position sees itself alone.
    op.mask = AttentionMask::janus;
    launch(device, op);
    EXPECT_NEAR(y[0], 8, 1e-6);
  }
}

TEST(Attention, RowsIntoACache) {
  std::mt19937 random(9);
  for (const bool on_cpu : {false, true}) {
    Device device = on_cpu ? Device{Cpu(2)} : Device{Reference()};
    Matrix from = random_matrix(random, 5, 33, 2), to(5, 33, 1);
    launch(device, CacheRows<float>{.from = from.view(), .to = to.view()});
    EXPECT_TRUE(same_bits(to.view(), from.view()) && to.intact());
    std::vector<bf16> half(5 * 33);
    launch(device, CacheRows<bf16>{.from = from.view(), .to = {half.data(), {5, 33}}});
    for (Index i = 0; i < 5; ++i) {
      for (Index j = 0; j < 33; ++j) {
        EXPECT_EQ(half[static_cast<std::size_t>(i * 33 + j)].bits, f32_to_bf16(from.at(i, j)));
      }
    }
  }
  EXPECT_EQ(refusal([] {
              check(CacheRows<bf16>{.from = {nullptr, {2, 3}}, .to = {nullptr, {2, 4}}});
            }),
            "attention: cache: to is [2, 4], want [2, 3]");
}

TEST(Attention, RefusesWhatDoesNotFit) {
  std::mt19937 random(10);
  Case c(random, {.L = 3, .past = 2, .H = 4, .G = 2, .E = 8});
  Matrix y = c.fresh();
  const auto sentence = [&](auto change) {
    Attention op = c.op(y);
    change(op);
    return refusal([&] { check(op); });
  };
  using Op = Attention;
  EXPECT_EQ(sentence([](Op&) {}), "");
  EXPECT_EQ(sentence([](Op& op) { op.heads = 0; }),
            "attention: 32 columns are not 0 heads of one size");
  EXPECT_EQ(sentence([](Op& op) { op.heads = 5; }),
            "attention: 32 columns are not 5 heads of one size");
  EXPECT_EQ(sentence([](Op& op) { op.kv_heads = 3; }),
            "attention: 4 heads cannot share 3 heads of keys");
  EXPECT_EQ(sentence([](Op& op) { op.kv_heads = 0; }),
            "attention: 4 heads cannot share 0 heads of keys");
  EXPECT_EQ(sentence([](Op& op) { op.k.extent[0] = 2; }),
            "attention: 2 keys, want at least as many as the 3 queries");
  EXPECT_EQ(sentence([](Op& op) { op.k.extent[1] = 9; }), "attention: k is [5, 9], want [5, 16]");
  EXPECT_EQ(sentence([](Op& op) { op.v.extent[0] = 4; }), "attention: v is [4, 16], want [5, 16]");
  EXPECT_EQ(sentence([](Op& op) { op.y.extent[0] = 4; }), "attention: y is [4, 32], want [3, 32]");
  EXPECT_EQ(sentence([](Op& op) { op.mask = AttentionMask::window; }),
            "attention: a window of 0 keys, want 1 or more");
  EXPECT_EQ(sentence([](Op& op) { op.mask = AttentionMask::janus; }),
            "attention: 5 keys, want as many of the forward as of the reverse direction");
  EXPECT_EQ(sentence([](Op& op) { op.first = -1; }), "attention: first is -1, want 0 or more");
}

}  // namespace
}  // namespace genossm::testing
