// Long convolutions and Hyena's filters on a GPU: against their definitions in double, or the Cpu
// where the definition would take minutes; and the laws, bit for bit. Skipped where there is no
// GPU.
#include <cstdio>

#include "kernels/core/buffer.h"
#include "tests/kernels/cuda_test.h"
#include "tests/kernels/kernel_test.h"

namespace genossm::testing {
namespace {

class CudaHyena : public ::testing::Test {
 protected:
  void SetUp() override {
    device_ = open_cuda();
    if (!device_) GTEST_SKIP() << kNoGpu;
  }
  Device& gpu() { return *device_; }
  Cuda& cuda() { return *as_cuda(*device_); }

  std::mt19937 random_{23};
  Device reference_{Reference()};

 private:
  std::optional<Device> device_;
};

constexpr double kHalf = 1e-2;
double tolerance(Index L) { return 2e-7 * (1 + std::log2(static_cast<double>(L + 1))); }

// Largest error, as a part of the largest value; infinite where one of them is no number.
double error_of(View<const float, 2> got, View<const float, 2> want) {
  double largest = 0, error = 0;
  for (Index i = 0; i < want.extent[0]; ++i) {
    for (Index j = 0; j < want.extent[1]; ++j) {
      const double w = want.row(i)[j], e = std::abs(got.row(i)[j] - w);
      largest = std::max(largest, std::abs(w));
      error = e <= error ? error : std::isnan(e) ? HUGE_VAL : e;
    }
  }
  return largest > 0 ? error / largest : error;
}

struct Case {
  Index L, D, K, gap;
  Matrix u, h, skip, gate;
  Case(std::mt19937& random, Index length, Index channels, Index taps, Index spare)
      : L(length),
        D(channels),
        K(taps),
        gap(spare),
        u(random_matrix(random, L, D, gap)),
        h(random_matrix(random, K, D, 2 * gap)),
        skip(random_matrix(random, 1, D)),
        gate(random_matrix(random, L, D, gap)) {}
  LongConv op(Matrix& y, bool with_skip = true, bool with_gate = true) {
    LongConv out{.u = u.view(), .h = h.view(), .y = y.view()};
    if (with_skip) out.skip = vector_of(skip);
    if (with_gate) out.gate = gate.view();
    return out;
  }
};

TEST_F(CudaHyena, LongConvIsItsDefinition) {
  double worst = 0;
  for (const Index L :
       {1,    2,    3,    5,    7,    8,    9,    10,   11,   13,   15,   16,   17,
        31,   61,   64,   65,   100,  127,  257,  600,  1000, 1009, 1152, 1153, 1281,
        1537, 1921, 2047, 2048, 2049, 2305, 2561, 3001, 3073, 3841, 4096, 4099}) {
    for (const Index D : {1, 2, 7, 16, 17, 37}) {
      if (L > 300 && D != 1 + L % 2 * 16 && D != 7) continue;
      for (int form = 0; form < 4; ++form) {
        if (L > 300 && form != L % 4) continue;
        const Index K = form == 2 ? 2 * L + 3 : form == 3 ? (L + 1) / 2 : L;
        Case c(random_, L, D, K, form == 1 ? 0 : (L + D) % 4);
        Matrix want(L, D), got(L, D, c.gap), half(L, D, c.gap);
        launch(reference_, c.op(want, form != 1, form < 2));
        launch_anywhere(gpu(), c.op(got, form != 1, form < 2));
        launch_in_bf16(gpu(), c.op(half, form != 1, form < 2));
        const double error = error_of(got.view(), want.view());
        worst = std::max(worst, error / tolerance(L));
        EXPECT_LE(error, tolerance(L)) << L << " tokens, " << D << " channels, form " << form;
        EXPECT_TRUE(close(half.view(), want.view(), kHalf, 1e-9));
        EXPECT_TRUE(got.intact() && half.intact());
      }
    }
  }
  std::printf("long_conv: worst error %.3f of what is allowed\n", worst);
}

// Every shape of the two levels, against the Cpu's transform, which is tested against the
// definition.
TEST_F(CudaHyena, LongConvOfLongSequences) {
  Device cpu{Cpu(2)};
  for (const Index L : {8'192, 9'001, 16'385, 30'011, 65'536, 131'071, 131'072, 131'073, 160'002,
                        250'007, 393'217, 450'002, 999'983, 1'000'002, 1'048'577}) {
    const Index D = L < 100'000 ? 19 : 3;
    Case c(random_, L, D, L, 1);
    Matrix want(L, D), got(L, D, 2);
    const Buffer<float> work(long_conv_work(L, 2));
    LongConv op = c.op(want);
    op.work = work.view();
    launch(cpu, op);
    launch_anywhere(gpu(), c.op(got));
    const double error = error_of(got.view(), want.view());
    EXPECT_LE(error, 2 * tolerance(L)) << L;
    EXPECT_TRUE(got.intact());
    std::printf("long_conv of %td tokens: error %.2e of the largest value\n",
                static_cast<std::ptrdiff_t>(L), error);
  }
}

TEST_F(CudaHyena, LongConvOfMoreThanItsLongestIsRefused) {
  Case c(random_, 8, 1, 8, 0);
  Matrix y(8, 1);
  LongConv op = c.op(y, false, false);
  op.u.extent[0] = op.y.extent[0] = kLongConvCudaLongest + 1;
  EXPECT_NE(refusal([&] { run(cuda(), op); }), "");
}

CudaBuffer<float> on_gpu(Cuda& cuda, Matrix& m) {
  CudaBuffer<float> out(cuda, std::span<const float>(m.values));
  cuda.wait();
  return out;
}
View<float, 2> inside(const CudaBuffer<float>& b, Matrix& m) {
  return {b.data() + Matrix::kGuard, {m.rows, m.columns}, {m.stride, 1}};
}

TEST_F(CudaHyena, LongConvMayRunInPlaceAndKeepsItsMemory) {
  for (const Index L : {100, 2'500, 40'000}) {
    Case c(random_, L, 21, L, 3);
    Matrix want(L, 21, 3);
    launch_anywhere(gpu(), c.op(want));
    for (const bool gate : {false, true}) {
      const auto u = on_gpu(cuda(), c.u), h = on_gpu(cuda(), c.h), g = on_gpu(cuda(), c.gate);
      const CudaBuffer<float> skip(cuda(), std::span<const float>(vector_of(c.skip).data, 21));
      const LongConv op{.u = inside(u, c.u),
                        .h = inside(h, c.h),
                        .skip = skip.view(),
                        .gate = inside(g, c.gate),
                        .y = gate ? inside(g, c.gate) : inside(u, c.u)};
      const Index before = cuda().used_memory();
      run(cuda(), op);
      EXPECT_LE(cuda().scratch_bytes(), std::max(before, long_conv_cuda_bytes(40'000)));
      EXPECT_GE(cuda().scratch_bytes(), long_conv_cuda_bytes(L));
      EXPECT_EQ(cuda().used_memory(), before) << "what the first run left is enough for the next";
      Matrix got = gate ? c.gate : c.u;
      cuda().copy_out(got.values.data(), gate ? g.data() : u.data(),
                      static_cast<Index>(got.values.size() * sizeof(float)));
      EXPECT_TRUE(same_bits(got.view(), want.view()) && got.intact()) << L << gate;
    }
  }
}

// A set gives the bits of its sequences one by one; a channel depends on no other; taps beyond the
// sequence change nothing.
TEST_F(CudaHyena, LongConvDependsOnNothingBesides) {
  const std::vector<Index> lengths{5, 5, 5, 0, 100, 2'500, 2'500, 7, 1, 4'099, 2'048, 2'049};
  const Index D = 37;
  std::vector<SequenceRows> parts;
  Index R = 3;
  for (const Index n : lengths) parts.push_back({R, R + n, -1, true, 0}), R += n;
  Case c(random_, R, D, 5'000, 0);
  Matrix got(R, D);
  for (float& v : got.values) v = 777;
  const auto u = on_gpu(cuda(), c.u), h = on_gpu(cuda(), c.h), g = on_gpu(cuda(), c.gate),
             y = on_gpu(cuda(), got);
  const CudaBuffer<float> skip(cuda(), std::span<const float>(vector_of(c.skip).data, D));
  SequenceTable table;
  table.assign(cuda(), parts);
  const LongConvSet<float> set{.op = {.u = inside(u, c.u),
                                      .h = inside(h, c.h),
                                      .skip = skip.view(),
                                      .gate = inside(g, c.gate),
                                      .y = inside(y, got)},
                               .sequences = table.view()};
  check(set);
  run(cuda(), set);
  cuda().copy_out(got.values.data(), y.data(), y.bytes());
  for (Index t = 0; t < 3; ++t) EXPECT_EQ(got.at(t, 0), 777) << "no sequence";
  for (const SequenceRows& part : parts) {
    const Index L = part.end - part.begin;
    if (L == 0) continue;
    Matrix alone(L, D), narrow(L, 1), wanted(L, 1);
    LongConv op = c.op(alone);
    op.u = rows(op.u, part.begin, part.end), op.gate = rows(op.gate, part.begin, part.end);
    launch_anywhere(gpu(), op);
    EXPECT_TRUE(
        same_bits(rows(View<const float, 2>(got.view()), part.begin, part.end), alone.view()))
        << L;
    LongConv one = op;
    one.u = cols(op.u, 20, 21), one.gate = cols(op.gate, 20, 21);
    one.h = rows(cols(op.h, 20, 21), 0, L);
    one.skip = {op.skip.data + 20, {1}}, one.y = narrow.view();
    launch_anywhere(gpu(), one);
    EXPECT_TRUE(same_bits(narrow.view(), cols(View<const float, 2>(alone.view()), 20, 21))) << L;
  }
}

// The short convolution with its gate: the convolutions alone and their product.
TEST_F(CudaHyena, GatedConvIsItsParts) {
  for (const auto& [D, K, W, gap] : {std::tuple<Index, Index, Index, Index>{256, 256, 3, 0},
                                     {24, 48, 3, 0},
                                     {20, 0, 3, 4},
                                     {7, 14, 3, 1},
                                     {16, 16, 2, 0},
                                     {8, 24, 8, 3}}) {
    const Index C = K + 2 * D;
    std::vector<SequenceRows> parts;
    Index R = 2;
    for (const Index n : {1, 2, 63, 64, 65, 0, 511, 512, 513, 1300}) {
      parts.push_back({R, R + n, -1, true, 0});
      R += n;
    }
    Matrix x = random_matrix(random_, R, C, gap), w = random_matrix(random_, W, C);
    Matrix bias = random_matrix(random_, 1, C), gates(R, std::max<Index>(K, 1)), v(R, D, gap);
    const auto on_x = on_gpu(cuda(), x), on_w = on_gpu(cuda(), w), on_gates = on_gpu(cuda(), gates),
               on_v = on_gpu(cuda(), v);
    const CudaBuffer<float> on_bias(
        cuda(), std::span<const float>(vector_of(bias).data, static_cast<std::size_t>(C)));
    SequenceTable table;
    table.assign(cuda(), parts);
    const GatedConvSet op{.x = inside(on_x, x),
                          .w = inside(on_w, w),
                          .bias = on_bias.view(),
                          .sequences = table.view(),
                          .gates = cols(inside(on_gates, gates), 0, K),
                          .v = inside(on_v, v)};
    check(op);
    run(cuda(), op);
    cuda().copy_out(gates.values.data(), on_gates.data(), on_gates.bytes());
    cuda().copy_out(v.values.data(), on_v.data(), on_v.bytes());
    EXPECT_TRUE(gates.intact() && v.intact());
    for (const SequenceRows& part : parts) {
      const Index L = part.end - part.begin;
      if (L == 0) continue;
      Matrix y(L, C), tail(W - 1, C), product(L, D);
      for (float& f : tail.values) f = 0;
      launch_anywhere(gpu(),
                      CausalConv{.x = rows(View<const float, 2>(x.view()), part.begin, part.end),
                                 .w = w.view(),
                                 .bias = vector_of(bias),
                                 .silu = false,
                                 .tail = tail.view(),
                                 .y = y.view()});
      for (Index t = 0; t < L; ++t) {
        for (Index d = 0; d < D; ++d) product.at(t, d) = y.at(t, K + D + d) * y.at(t, K + d);
      }
      EXPECT_TRUE(
          same_bits(rows(View<const float, 2>(v.view()), part.begin, part.end), product.view()))
          << D << " " << L;
      EXPECT_TRUE(
          same_bits(rows(cols(View<const float, 2>(gates.view()), 0, K), part.begin, part.end),
                    cols(View<const float, 2>(y.view()), 0, K)))
          << D << " " << L;
    }
  }
}

TEST_F(CudaHyena, FiltersAreTheirDefinition) {
  double worst[2] = {0, 0};
  for (const Index L : {1, 3, 63, 64, 65, 515}) {
    for (const Index H : {1, 8, 24, 37, 64, 96, 97}) {
      for (const Index M : {0, 1, 3}) {
        const Index E = 5, D = H + 3, gap = (L + M) % 3;
        Matrix z = random_matrix(random_, L, E, gap), w0 = random_matrix(random_, E, H, gap);
        Matrix b0 = random_matrix(random_, 1, H), b = random_matrix(random_, M + 1, H);
        Matrix w = random_matrix(random_, (M + 1) * H, H, 0, 1 / std::sqrt(static_cast<float>(H)));
        Matrix freq = random_matrix(random_, 1, H, 0, 10), last = random_matrix(random_, H, D, gap);
        Matrix deltas = random_matrix(random_, 1, D, 0, 15), time(1, L);
        for (Index t = 0; t < L; ++t) time.at(0, t) = static_cast<float>(t) / 515.0f;
        Matrix want(L, H, gap), got(L, H, gap), taps(L, D, gap), got_taps(L, D, gap);
        const auto trunk = [&](Matrix& a) {
          return HyenaTrunk{.z = z.view(),
                            .w0 = w0.view(),
                            .b0 = vector_of(b0),
                            .w = {w.view().data, {M, H, H}},
                            .b = rows(View<const float, 2>(b.view()), 0, M),
                            .freq = vector_of(freq),
                            .a = a.view()};
        };
        launch(reference_, trunk(want));
        launch_anywhere(gpu(), trunk(got));
        const double allowed = M < 2 ? 2e-5 : 4e-4;
        EXPECT_TRUE(close(got.view(), want.view(), allowed) && got.intact()) << L << " " << H;
        worst[0] = std::max(worst[0], error_of(got.view(), want.view()) / allowed);
        const auto op = [&](Matrix& h) {
          return HyenaTaps{.a = want.view(),
                           .w = last.view(),
                           .time = vector_of(time),
                           .deltas = vector_of(deltas),
                           .h = h.view()};
        };
        launch(reference_, op(taps));
        launch_anywhere(gpu(), op(got_taps));
        EXPECT_TRUE(close(got_taps.view(), taps.view(), 3e-6) && got_taps.intact())
            << L << " " << H;
        worst[1] = std::max(worst[1], error_of(got_taps.view(), taps.view()) / 3e-6);
        // Any cut gives the same bits.
        const Index m = L / 2;
        Matrix part(L, D, gap);
        for (const auto& [begin, end] : {std::pair<Index, Index>{0, m}, {m, L}}) {
          HyenaTaps cut = op(part);
          cut.a = rows(cut.a, begin, end), cut.h = rows(part.view(), begin, end);
          cut.time = {cut.time.data + begin, {end - begin}};
          if (end > begin) launch_anywhere(gpu(), cut);
        }
        EXPECT_TRUE(same_bits(part.view(), got_taps.view()));
      }
    }
  }
  std::printf("hyena_trunk, hyena_taps: worst error %.3f, %.3f of what is allowed\n", worst[0],
              worst[1]);
}

TEST_F(CudaHyena, TheSineIsAccurateFarOut) {
  constexpr Index kPoints = 20'001;
  Matrix z(kPoints, 1), w0(1, 1), b0(1, 1), freq(1, 1), got(kPoints, 1);
  for (Index i = 0; i < kPoints; ++i) z.at(i, 0) = static_cast<float>(i - 10'000) * 0.37f;
  w0.at(0, 0) = 1, b0.at(0, 0) = 0, freq.at(0, 0) = 1;
  launch_anywhere(gpu(), HyenaTrunk{.z = z.view(),
                                    .w0 = w0.view(),
                                    .b0 = vector_of(b0),
                                    .w = {nullptr, {0, 1, 1}},
                                    .b = {nullptr, {0, 1}},
                                    .freq = vector_of(freq),
                                    .a = got.view()});
  for (Index i = 0; i < kPoints; ++i) {
    const double want = std::sin(static_cast<double>(z.at(i, 0)));
    EXPECT_NEAR(got.at(i, 0), want, 1.2e-7) << z.at(i, 0);
  }
}

}  // namespace
}  // namespace genossm::testing
