#include "kernels/hyena_filter/hyena_filter.h"

#include "tests/kernels/kernel_test.h"

namespace genossm::testing {
namespace {

struct Case {
  Case(std::mt19937& random, Index L, Index E, Index H, Index M, Index D, Index gap = 0)
      : z(random_matrix(random, L, E, gap)),
        w0(random_matrix(random, E, H, gap)),
        b0(random_matrix(random, 1, H)),
        w(random_matrix(random, std::max<Index>(M, 1) * H, H, 0,
                        1 / std::sqrt(static_cast<float>(H)))),
        b(random_matrix(random, std::max<Index>(M, 1), H)),
        freq(random_matrix(random, 1, H, 0, 10)),
        last(random_matrix(random, H, D, gap)),
        deltas(random_matrix(random, 1, D, 0, 15)),
        time(1, L),
        layers(M),
        spare(gap) {
    for (Index t = 0; t < L; ++t) {
      time.at(0, t) = static_cast<float>(t) / static_cast<float>(std::max<Index>(1, L - 1));
    }
  }
  HyenaTrunk trunk(Matrix& a) {
    const Index H = freq.columns;
    return {.z = z.view(),
            .w0 = w0.view(),
            .b0 = vector_of(b0),
            .w = {w.view().data, {layers, H, H}},
            .b = rows(View<const float, 2>(b.view()), 0, layers),
            .freq = vector_of(freq),
            .a = a.view()};
  }
  HyenaTaps taps(Matrix& a, Matrix& h) {
    return {.a = a.view(),
            .w = last.view(),
            .time = vector_of(time),
            .deltas = vector_of(deltas),
            .h = h.view()};
  }
  Matrix run_trunk(Device& device) {
    Matrix a(z.rows, freq.columns, spare);
    launch(device, trunk(a));
    EXPECT_TRUE(a.intact());
    return a;
  }
  Matrix run_taps(Device& device, Matrix& a) {
    Matrix h(z.rows, deltas.columns, spare);
    launch(device, taps(a, h));
    EXPECT_TRUE(h.intact());
    return h;
  }
  Matrix z, w0, b0, w, b, freq, last, deltas, time;
  Index layers, spare;
};

TEST(HyenaFilter, AgreesWithTheDefinitionOnAnyThreads) {
  std::mt19937 random(1);
  Device reference{Reference()}, one{Cpu(1)}, three{Cpu(3)};
  for (const Index L : {0, 1, 3, 127, 128, 129, 515}) {
    for (const Index H : {1, 8, 24, 37, 64}) {
      for (const Index M : {0, 1, 3}) {
        SCOPED_TRACE(std::to_string(L) + " " + std::to_string(H) + " " + std::to_string(M));
        Case c(random, L, 5, H, M, H + 3, (L + M) % 3);
        Matrix want = c.run_trunk(reference), taps = c.run_taps(reference, want);
        for_each_instruction_set([&] {
          Matrix got = c.run_trunk(one), other = c.run_trunk(three);
          // Each layer stretches an error by freq |W|, up to 10 here.
          ASSERT_TRUE(close(got.view(), want.view(), M < 2 ? 2e-5 : 4e-4));
          ASSERT_TRUE(same_bits(other.view(), got.view()));
          Matrix h = c.run_taps(one, want), same = c.run_taps(three, want);
          ASSERT_TRUE(close(h.view(), taps.view(), 3e-6));
          ASSERT_TRUE(same_bits(same.view(), h.view()));
        });
      }
    }
  }
}

TEST(HyenaFilter, TheSineIsAccurateFarOut) {
  Device cpu{Cpu(1)}, reference{Reference()};
  constexpr Index kPoints = 4001;
  Matrix z(kPoints, 1), w0(1, 1), b0(1, 1), freq(1, 1), a(kPoints, 1), want(kPoints, 1);
  for (Index i = 0; i < kPoints; ++i) z.at(i, 0) = static_cast<float>(i - 2000) * 0.37f;
  w0.at(0, 0) = 1, b0.at(0, 0) = 0, freq.at(0, 0) = 1;
  const auto op = [&](Matrix& y) {
    return HyenaTrunk{.z = z.view(),
                      .w0 = w0.view(),
                      .b0 = vector_of(b0),
                      .w = {nullptr, {0, 1, 1}},
                      .b = {nullptr, {0, 1}},
                      .freq = vector_of(freq),
                      .a = y.view()};
  };
  launch(reference, op(want));
  for_each_instruction_set([&] {
    launch(cpu, op(a));
    EXPECT_TRUE(close(a.view(), want.view(), 1.5e-7));
  });
}

TEST(HyenaFilter, AnyCutGivesTheSameBits) {
  std::mt19937 random(2);
  Device cpu{Cpu(1)};
  Case c(random, 300, 5, 24, 2, 37);
  for_each_instruction_set([&] {
    Matrix a = c.run_trunk(cpu), h = c.run_taps(cpu, a);
    for (const auto& [begin, end] :
         std::vector<std::pair<Index, Index>>{{0, 1}, {7, 9}, {3, 130}, {299, 300}}) {
      Matrix part(300, 24), taps(300, 37);
      HyenaTrunk op = c.trunk(part);
      op.z = rows(op.z, begin, end);
      op.a = rows(op.a, begin, end);
      launch(cpu, op);
      EXPECT_TRUE(same_bits(op.a, rows(a.view(), begin, end)));
      HyenaTaps tap = c.taps(a, taps);
      tap.a = rows(tap.a, begin, end);
      tap.time = {tap.time.data + begin, {end - begin}};
      tap.w = cols(tap.w, 5, 18);
      tap.deltas = {tap.deltas.data + 5, {13}};
      tap.h = cols(rows(tap.h, begin, end), 5, 18);
      launch(cpu, tap);
      EXPECT_TRUE(same_bits(tap.h, cols(rows(h.view(), begin, end), 5, 18)));
    }
  });
}

TEST(HyenaFilter, RefusesWhatDoesNotFit) {
  std::mt19937 random(3);
  Case c(random, 3, 5, 8, 2, 6);
  Matrix a(3, 8), h(3, 6);
  const auto trunk = [&](auto change) {
    HyenaTrunk op = c.trunk(a);
    change(op);
    return refusal([&] { check(op); });
  };
  const auto taps = [&](auto change) {
    HyenaTaps op = c.taps(a, h);
    change(op);
    return refusal([&] { check(op); });
  };
  EXPECT_EQ(trunk([](HyenaTrunk&) {}), "");
  EXPECT_EQ(trunk([](HyenaTrunk& op) { op.w0.extent[0] = 4; }),
            "hyena_trunk: w0 is [4, 8], want [5, 8]");
  EXPECT_EQ(trunk([](HyenaTrunk& op) { op.b0.extent[0] = 4; }), "hyena_trunk: b0 is [4], want [8]");
  EXPECT_EQ(trunk([](HyenaTrunk& op) { op.w.extent[2] = 4; }),
            "hyena_trunk: w is [2, 8, 4], want [2, 8, 8]");
  EXPECT_EQ(trunk([](HyenaTrunk& op) { op.b.extent[0] = 4; }),
            "hyena_trunk: b is [4, 8], want [2, 8]");
  EXPECT_EQ(trunk([](HyenaTrunk& op) { op.a.extent[0] = 4; }),
            "hyena_trunk: a is [4, 8], want [3, 8]");
  EXPECT_EQ(taps([](HyenaTaps&) {}), "");
  EXPECT_EQ(taps([](HyenaTaps& op) { op.w.extent[0] = 4; }),
            "hyena_taps: w is [4, 6], want [8, 6]");
  EXPECT_EQ(taps([](HyenaTaps& op) { op.time.extent[0] = 4; }),
            "hyena_taps: time is [4], want [3]");
  EXPECT_EQ(taps([](HyenaTaps& op) { op.h.extent[0] = 4; }),
            "hyena_taps: h is [4, 6], want [3, 6]");
}

}  // namespace
}  // namespace genossm::testing
