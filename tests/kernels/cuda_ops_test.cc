// Every op on a GPU against its definition in double, on awkward sizes: float32 within 1e-5 of the
// largest value, bf16 within 1e-2; and the laws, bit for bit. Skipped where there is no GPU.
#include "tests/kernels/cuda_test.h"
#include "tests/kernels/kernel_test.h"

namespace genossm::testing {
namespace {

class CudaOps : public ::testing::Test {
 protected:
  void SetUp() override {
    cuda_ = open_cuda();
    if (!cuda_) GTEST_SKIP() << kNoGpu;
  }
  Device& gpu() { return *cuda_; }

  std::mt19937 random_{11};
  Device reference_{Reference()};

 private:
  std::optional<Device> cuda_;
};

void round_to_bf16(Matrix& m) {
  for (Index i = 0; i < m.rows; ++i) {
    for (Index j = 0; j < m.columns; ++j) m.at(i, j) = bf16_to_f32(f32_to_bf16(m.at(i, j)));
  }
}

constexpr double kFloat = 1e-5, kHalf = 1e-2;

TEST_F(CudaOps, Embedding) {
  for (const auto& [L, D] : {std::pair<Index, Index>{1, 1}, {257, 24}, {600, 118}}) {
    Matrix table = random_matrix(random_, 12, D, 2), want(L, D, 5), got(L, D, 5);
    std::vector<std::int32_t> tokens;
    for (Index t = 0; t < L; ++t) tokens.push_back(static_cast<std::int32_t>(random_() % 12));
    Embedding op{.tokens = {tokens.data(), {L}}, .table = table.view(), .y = want.view()};
    launch(reference_, op);
    op.y = got.view();
    launch_anywhere(gpu(), op);
    EXPECT_TRUE(same_bits(got.view(), want.view()) && got.intact());
  }
}

TEST_F(CudaOps, Activation) {
  for (const auto kind : {ActivationKind::identity, ActivationKind::silu, ActivationKind::gelu_erf,
                          ActivationKind::gelu_tanh, ActivationKind::relu_squared,
                          ActivationKind::sigmoid, ActivationKind::softplus}) {
    for (const auto& [L, D, gap] :
         {std::tuple<Index, Index, Index>{1, 1, 0}, {65, 24, 0}, {257, 75, 3}}) {
      for (const int form : {0, 1, 2, 3}) {
        Matrix x = random_matrix(random_, L, D, gap, 8),
               gate = random_matrix(random_, L, D, gap, 8);
        Matrix start = random_matrix(random_, L, D, gap, 8);
        for (Matrix* m : {&x, &gate, &start}) round_to_bf16(*m);
        Matrix want = start, got = start, half = start;
        Activation op{.kind = kind, .x = x.view(), .accumulate = (form & 1) != 0};
        if (form & 2) op.gate = gate.view();
        op.y = want.view();
        launch(reference_, op);
        op.y = got.view();
        launch_anywhere(gpu(), op);
        // The definition itself loses the digits of 1 + erf and 1 + tanh far below zero.
        EXPECT_TRUE(close(got.view(), want.view(), kFloat, 1e-9) && got.intact())
            << static_cast<int>(kind);
        op.y = half.view();
        launch_in_bf16(gpu(), op);
        EXPECT_TRUE(close(half.view(), want.view(), kHalf, 1e-9) && half.intact());
      }
    }
  }
}

TEST_F(CudaOps, Norm) {
  for (const Index D : {1, 3, 24, 75, 118, 256, 512, 1100, 4096}) {
    for (const Index L : {1, 65}) {
      for (int form = 0; form < 36; ++form) {
        Norm op{.kind = form % 3 == 0   ? NormKind::rms
                        : form % 3 == 1 ? NormKind::layer
                                        : NormKind::rms_plus,
                .gate = form / 3 % 3 == 0   ? NormGate::none
                        : form / 3 % 3 == 1 ? NormGate::before
                                            : NormGate::after};
        if (D == 1 && op.kind == NormKind::layer) continue;
        const bool residual = form / 9 % 2, bias = form / 18 % 2;
        if (op.kind != NormKind::layer && D % 8 == 0 && form % 4 == 0) op.group = D / 8;
        const Index gap = L == 65 ? 0 : 5;
        Matrix x = random_matrix(random_, L, D, gap, 3), r = random_matrix(random_, L, D, gap, 3);
        Matrix w = random_matrix(random_, 1, D), b = random_matrix(random_, 1, D);
        Matrix z = random_matrix(random_, L, D, gap, 6);
        round_to_bf16(z);
        Matrix sum = r, got_sum = r, want(L, D, 4), got(L, D, 4), half(L, D, 4);
        op.x = x.view(), op.weight = vector_of(w);
        if (bias) op.bias = vector_of(b);
        if (op.gate != NormGate::none) op.z = z.view();
        op.y = want.view();
        if (residual) op.residual = sum.view();
        launch(reference_, op);
        op.y = got.view();
        if (residual) op.residual = got_sum.view();
        launch_anywhere(gpu(), op);
        EXPECT_TRUE(close(got.view(), want.view(), kFloat) && got.intact())
            << D << " form " << form;
        EXPECT_TRUE(same_bits(got_sum.view(), sum.view()));
        got_sum = r;
        op.y = half.view();
        launch_in_bf16(gpu(), op);
        EXPECT_TRUE(close(half.view(), want.view(), kHalf) && half.intact())
            << D << " form " << form;
      }
    }
  }
}

TEST_F(CudaOps, Matmul) {
  for (const auto& [K, N] : {std::pair<Index, Index>{1, 1},
                             {3, 5},
                             {16, 512},
                             {16, 32},
                             {118, 472},
                             {236, 40},
                             {256, 1024},
                             {512, 48},
                             {48, 96}}) {
    Matrix w = random_matrix(random_, N, K, 3);
    round_to_bf16(w);
    const auto defined = MatmulWeight::pack(reference_, w.view());
    const auto full = MatmulWeight::pack(gpu(), w.view());
    const auto half = MatmulWeight::pack(gpu(), w.view(), Precision::bf16);
    for (const Index L : {1, 64, 257}) {
      for (int form = 0; form < 8; ++form) {
        const bool accumulate = form & 1, bias = form & 2;
        const Index gap = form & 4 ? 7 : 0;
        Matrix x = random_matrix(random_, L, K, gap), b = random_matrix(random_, 1, N);
        Matrix start = random_matrix(random_, L, N, 2 * gap);
        for (Matrix* m : {&x, &start}) round_to_bf16(*m);
        Matrix want = start, got = start;
        Matmul op{.x = x.view(), .weight = &defined, .accumulate = accumulate, .y = want.view()};
        if (bias) op.bias = vector_of(b);
        launch(reference_, op);
        op.y = got.view();
        op.weight = &full;
        launch_anywhere(gpu(), op);
        EXPECT_TRUE(close(got.view(), want.view(), kFloat) && got.intact())
            << K << " " << N << " " << form;
        got = start;
        op.weight = &half;
        launch_anywhere(gpu(), op);
        EXPECT_TRUE(close(got.view(), want.view(), kFloat) && got.intact());
        got = start;
        launch_in_bf16(gpu(), op);
        EXPECT_TRUE(close(got.view(), want.view(), kHalf, 1e-3) && got.intact())
            << L << " " << K << " " << N << " " << form;
        if (accumulate) continue;
        // softplus, in both of its forms
        Matrix plus(L, N);
        launch(reference_,
               Activation{.kind = ActivationKind::softplus, .x = want.view(), .y = plus.view()});
        op.softplus = true;
        launch_in_bf16(gpu(), op);
        EXPECT_TRUE(close(got.view(), plus.view(), kHalf) && got.intact())
            << K << " " << N << " " << form;
      }
    }
  }
}

TEST_F(CudaOps, MatmulRowsDependOnNothingButThemselves) {
  for (const auto& [K, N] :
       {std::pair<Index, Index>{256, 1024}, {512, 48}, {16, 512}, {118, 472}, {512, 256}}) {
    Matrix w = random_matrix(random_, N, K);
    for (const Precision precision : {Precision::fp32, Precision::bf16}) {
      const auto weight = MatmulWeight::pack(gpu(), w.view(), precision);
      Matrix x = random_matrix(random_, 3000, K), y(3000, N);
      const auto product = [&](Index begin, Index end) {
        Matmul op{.x = rows(View<const float, 2>(x.view()), begin, end),
                  .weight = &weight,
                  .y = rows(y.view(), begin, end)};
        precision == Precision::fp32 ? launch_anywhere(gpu(), op) : launch_in_bf16(gpu(), op);
      };
      product(0, 3000);
      const Matrix whole = y;
      for (const auto& [begin, end] :
           {std::pair<Index, Index>{0, 1}, {17, 18}, {100, 700}, {2999, 3000}, {1, 3000}}) {
        product(begin, end);
        Matrix copy = whole;
        EXPECT_TRUE(same_bits(y.view(), copy.view())) << K << " x " << N << " from " << begin;
      }
    }
  }
}

TEST_F(CudaOps, CausalConv) {
  for (const Index L : {1, 2, 63, 65, 600}) {
    for (const auto& [D, gap] :
         {std::pair<Index, Index>{1, 0}, {24, 0}, {75, 3}, {236, 0}, {256, 8}}) {
      for (const Index W : {2, 3, 4, 7, 8}) {
        Matrix x = random_matrix(random_, L, D, gap, 4), w = random_matrix(random_, W, D);
        Matrix b = random_matrix(random_, 1, D), tail = random_matrix(random_, W - 1, D, gap, 4);
        for (Matrix* m : {&x, &tail}) round_to_bf16(*m);
        Matrix want(L, D), got(L, D), half(L, D), t1 = tail, t2 = tail, t3 = tail;
        CausalConv op{
            .x = x.view(), .w = w.view(), .silu = L % 2 == 1, .tail = t1.view(), .y = want.view()};
        if (D != 24) op.bias = vector_of(b);
        launch(reference_, op);
        op.tail = t2.view(), op.y = got.view();
        launch_anywhere(gpu(), op);
        EXPECT_TRUE(close(got.view(), want.view(), kFloat) && got.intact())
            << L << " " << D << " " << W;
        EXPECT_TRUE(same_bits(t2.view(), t1.view()) && t2.intact());
        op.tail = t3.view(), op.y = half.view();
        launch_in_bf16(gpu(), op);
        EXPECT_TRUE(close(half.view(), want.view(), kHalf) && half.intact());
        EXPECT_TRUE(same_bits(t3.view(), t1.view()));
        // Two parts give the same bits.
        Matrix t4 = tail, parts(L, D);
        const Index m = L / 2;
        for (const auto& [begin, end] : {std::pair<Index, Index>{0, m}, {m, L}}) {
          CausalConv part = op;
          part.x = rows(op.x, begin, end), part.y = rows(parts.view(), begin, end),
          part.tail = t4.view();
          launch_anywhere(gpu(), part);
        }
        EXPECT_TRUE(same_bits(parts.view(), got.view()) && same_bits(t4.view(), t1.view()));
      }
    }
  }
}

TEST_F(CudaOps, Rope) {
  for (const auto& [heads, E, half, gap] : {std::tuple<Index, Index, Index, Index>{1, 2, 1, 0},
                                            {3, 16, 8, 1},
                                            {2, 19, 7, 0},
                                            {32, 128, 64, 0},
                                            {1, 1200, 600, 3}}) {
    for (const Index start : {Index{0}, Index{1'000'003}}) {
      Matrix x = random_matrix(random_, 70, heads * E, gap), freq(1, half);
      round_to_bf16(x);
      for (Index j = 0; j < half; ++j) {
        freq.at(0, j) =
            static_cast<float>(std::pow(1e4, -static_cast<double>(j) / static_cast<double>(half)));
      }
      Matrix want = x, got = x, halves = x, parts = x;
      Rope op{.x = want.view(),
              .heads = heads,
              .inv_freq = vector_of(freq),
              .start = start,
              .scale = start ? 16.0 : 1.0};
      launch(reference_, op);
      op.x = got.view();
      launch_anywhere(gpu(), op);
      EXPECT_TRUE(close(got.view(), want.view(), 1e-6) && got.intact()) << heads << " " << E;
      op.x = halves.view();
      launch_in_bf16(gpu(), op);
      EXPECT_TRUE(close(halves.view(), want.view(), kHalf) && halves.intact());
      for (const auto& [begin, end] : {std::pair<Index, Index>{0, 33}, {33, 70}}) {
        op.x = rows(parts.view(), begin, end), op.start = start + begin;
        launch_anywhere(gpu(), op);
      }
      EXPECT_TRUE(same_bits(parts.view(), got.view()));
    }
  }
}

TEST_F(CudaOps, Fir) {
  for (const Index L : {1, 2, 63, 64, 65, 300}) {
    for (const auto& [D, G, gap] :
         {std::tuple<Index, Index, Index>{1, 1, 0}, {24, 8, 0}, {45, 3, 3}, {240, 16, 8}}) {
      for (const Index W : {1, 2, 7, 32, 33, 128, 201}) {
        Matrix x = random_matrix(random_, L, D, gap, 4), taps = random_matrix(random_, G, W, gap);
        Matrix skip = random_matrix(random_, 1, D), gate = random_matrix(random_, L, D, gap);
        Matrix tail = random_matrix(random_, W - 1, D, gap, 4);
        for (Matrix* m : {&x, &gate, &tail}) round_to_bf16(*m);
        Matrix want(L, D), got(L, D), half(L, D), t1 = tail, t2 = tail, t3 = tail;
        Fir op{.x = x.view(),
               .taps = taps.view(),
               .order = W % 2 ? TapOrder::current_last : TapOrder::current_first,
               .tail = t1.view(),
               .y = want.view()};
        if (D != 24) op.skip = vector_of(skip);
        if (L % 2) op.gate = gate.view();
        const double floor = 1e-6 * std::sqrt(static_cast<double>(W));
        launch(reference_, op);
        op.tail = t2.view(), op.y = got.view();
        launch_anywhere(gpu(), op);
        EXPECT_TRUE(close(got.view(), want.view(), kFloat, floor) && got.intact())
            << L << " " << D << " " << W;
        EXPECT_TRUE(same_bits(t2.view(), t1.view()) && t2.intact());
        op.tail = t3.view(), op.y = half.view();
        launch_in_bf16(gpu(), op);
        EXPECT_TRUE(close(half.view(), want.view(), kHalf) && half.intact());
        EXPECT_TRUE(same_bits(t3.view(), t1.view()));
        // Two parts give the same bits.
        Matrix t4 = tail, parts(L, D);
        const Index m = L / 3;
        for (const auto& [begin, end] : {std::pair<Index, Index>{0, m}, {m, L}}) {
          Fir part = op;
          part.x = rows(op.x, begin, end), part.gate = rows(op.gate, begin, end);
          part.y = rows(parts.view(), begin, end), part.tail = t4.view();
          launch_anywhere(gpu(), part);
        }
        EXPECT_TRUE(same_bits(parts.view(), got.view()) && same_bits(t4.view(), t1.view()));
      }
    }
  }
}

struct DiagonalCase {
  DiagonalCase(std::mt19937& random, Index length, Index channels, Index states, Index parts,
               Index gap)
      : L(length),
        D(channels),
        N(states),
        Q(parts),
        u(random_matrix(random, L, D, gap)),
        poles(N * Q, D, gap),
        low(N * Q, D, gap),
        residues(random_matrix(random, N * Q, D)),
        skip(random_matrix(random, 1, D)),
        gate(random_matrix(random, L, D, gap)),
        h(random_matrix(random, N * Q, D, gap)) {
    std::uniform_real_distribution<double> part(0, 1);
    for (Index n = 0; n < N; ++n) {
      for (Index d = 0; d < D; ++d) {
        const double size = 1 - 1e-4 * std::pow(9e3, part(random));
        const double angle = Q == 2 ? 6.28 * part(random) : 0;
        for (Index q = 0; q < Q; ++q) {
          const auto [high, rest] = split_pole(size * (q == 0 ? std::cos(angle) : std::sin(angle)));
          poles.at(n * Q + q, d) = high, low.at(n * Q + q, d) = rest;
        }
      }
    }
    for (Matrix* m : {&u, &gate}) round_to_bf16(*m);
  }
  template <class T = float>
  View<T, 3> states(Matrix& m) {
    return {m.view().data, {N, Q, D}, {Q * m.stride, m.stride, 1}};
  }
  DiagonalScan op(Matrix& out, Matrix& state, int form) {
    DiagonalScan s{.u = u.view(),
                   .poles = states<const float>(poles),
                   .residues = states<const float>(residues),
                   .h = states(state),
                   .y = out.view()};
    if (form & 1) s.poles_low = states<const float>(low);
    if (form & 2) s.skip = vector_of(skip);
    if (form & 4) s.gate = gate.view();
    return s;
  }
  Index L, D, N, Q;
  Matrix u, poles, low, residues, skip, gate, h;
};

TEST_F(CudaOps, DiagonalScan) {
  int form = 0;
  for (const Index L : {1, 31, 511, 512, 513, 1700}) {
    for (const auto& [D, N, gap] :
         {std::tuple<Index, Index, Index>{1, 1, 0}, {24, 8, 0}, {75, 16, 1}, {130, 21, 2}}) {
      for (const Index Q : {1, 2}) {
        for (int i = 0; i < 2; ++i, ++form) {
          DiagonalCase c(random_, L, D, N, Q, gap);
          Matrix want(L, D, gap), got = want, half = want, h1 = c.h, h2 = c.h, h3 = c.h;
          launch(reference_, c.op(want, h1, form));
          launch_anywhere(gpu(), c.op(got, h2, form));
          EXPECT_TRUE(close(got.view(), want.view(), kFloat) && got.intact())
              << L << " " << D << " " << N << " " << Q << " " << form;
          EXPECT_TRUE(close(h2.view(), h1.view(), kFloat) && h2.intact());
          launch_in_bf16(gpu(), c.op(half, h3, form));
          EXPECT_TRUE(close(half.view(), want.view(), kHalf) && half.intact());
          EXPECT_TRUE(same_bits(h3.view(), h2.view()));
        }
      }
    }
  }
}

TEST_F(CudaOps, DiagonalScanCutAtSegments) {
  const Index L = 2300;
  for (const Index Q : {1, 2}) {
    DiagonalCase c(random_, L, 75, 11, Q, 0);
    Matrix whole(L, 75), h1 = c.h;
    launch_anywhere(gpu(), c.op(whole, h1, 7));
    for (const Index m : {512, 1024, 2048}) {
      Matrix parts(L, 75), h2 = c.h;
      for (const auto& [begin, end] : {std::pair<Index, Index>{0, m}, {m, L}}) {
        DiagonalScan op = c.op(parts, h2, 7);
        op.u = rows(op.u, begin, end), op.gate = rows(op.gate, begin, end);
        op.y = rows(op.y, begin, end);
        launch_anywhere(gpu(), op);
      }
      EXPECT_TRUE(same_bits(parts.view(), whole.view()) && same_bits(h2.view(), h1.view())) << m;
    }
  }
}

TEST_F(CudaOps, Attention) {
  for (const Index L : {1, 31, 64, 65, 200}) {
    for (const Index E : {1, 8, 18, 64, 75, 128, 200, 256}) {
      for (const auto mask : {AttentionMask::causal, AttentionMask::window,
                              AttentionMask::bidirectional, AttentionMask::janus}) {
        const Index H = 4, G = E % 3 ? 2 : 4, gap = L % 3;
        const Index S = L + (mask == AttentionMask::janus ? L % 2 : (L + E) % 3 * 50);
        Matrix q = random_matrix(random_, L, H * E, gap, 2);
        Matrix k = random_matrix(random_, S, G * E, gap, 2), v = random_matrix(random_, S, G * E);
        for (Matrix* m : {&q, &k, &v}) round_to_bf16(*m);
        Matrix want(L, H * E, gap), got = want, half = want, mixed = want;
        Attention op{.q = q.view(),
                     .k = k.view(),
                     .v = v.view(),
                     .heads = H,
                     .kv_heads = G,
                     .scale = 1 / std::sqrt(static_cast<float>(E)),
                     .mask = mask,
                     .window = 1 + (L * E) % 90,
                     .first = (L + E) % 40,
                     .y = want.view()};
        launch(reference_, op);
        op.y = got.view();
        launch_anywhere(gpu(), op);
        EXPECT_TRUE(close(got.view(), want.view(), kFloat) && got.intact())
            << L << " " << E << " " << static_cast<int>(mask);
        op.y = half.view();
        launch_in_bf16(gpu(), op);
        EXPECT_TRUE(close(half.view(), want.view(), kHalf) && half.intact());
        // A cache in bf16 under queries in float32: these numbers are the same in both.
        std::vector<bf16> kb, vb;
        for (Matrix* m : {&k, &v}) {
          for (Index i = 0; i < S; ++i) {
            for (Index e = 0; e < G * E; ++e) {
              (m == &k ? kb : vb).push_back({f32_to_bf16(m->at(i, e))});
            }
          }
        }
        AttentionOf<bf16> cached{.q = op.q,
                                 .k = {kb.data(), {S, G * E}},
                                 .v = {vb.data(), {S, G * E}},
                                 .heads = H,
                                 .kv_heads = G,
                                 .scale = op.scale,
                                 .mask = op.mask,
                                 .window = op.window,
                                 .first = op.first,
                                 .y = mixed.view()};
        launch_anywhere(gpu(), cached);
        EXPECT_TRUE(same_bits(mixed.view(), got.view()));
      }
    }
  }
}

TEST_F(CudaOps, AttentionCutAnywhere) {
  const Index L = 200, E = 18;
  for (const Index window : {0, 17, 100}) {
    Matrix q = random_matrix(random_, L, 4 * E), k = random_matrix(random_, L, 2 * E),
           v = random_matrix(random_, L, 2 * E), whole(L, 4 * E);
    Attention op{.q = q.view(),
                 .k = k.view(),
                 .v = v.view(),
                 .heads = 4,
                 .kv_heads = 2,
                 .mask = window ? AttentionMask::window : AttentionMask::causal,
                 .window = window,
                 .y = whole.view()};
    launch_anywhere(gpu(), op);
    for (const Index m : {1, 31, 32, 64, 65, 199}) {
      Matrix parts(L, 4 * E);
      for (const auto& [begin, end] : {std::pair<Index, Index>{0, m}, {m, L}}) {
        Attention part = op;
        part.q = rows(op.q, begin, end), part.y = rows(parts.view(), begin, end);
        part.k = rows(op.k, 0, end), part.v = rows(op.v, 0, end);
        launch_anywhere(gpu(), part);
      }
      EXPECT_TRUE(same_bits(parts.view(), whole.view())) << m << " " << window;
    }
  }
}

struct ScanCase {
  ScanCase(std::mt19937& random, Index length, Index channels, Index states, Index groups,
           Index gap)
      : L(length),
        D(channels),
        N(states),
        G(groups),
        u(random_matrix(random, L, D, gap)),
        dt(random_matrix(random, L, D, gap, 2)),
        bias(random_matrix(random, 1, D)),
        A(random_matrix(random, N, D)),
        B(random_matrix(random, L, G * N, gap)),
        C(random_matrix(random, L, G * N, gap)),
        skip(random_matrix(random, 1, D)),
        z(random_matrix(random, L, D, gap, 6)),
        h(random_matrix(random, N, D)),
        y(random_matrix(random, L, D, gap)) {
    for (Index c = 0; c < D; ++c) {
      // Decays from slow to fast, as trained models have them.
      bias.at(0, c) = -1.0f - 5.0f * static_cast<float>(c) / static_cast<float>(D);
      for (Index n = 0; n < N; ++n) A.at(n, c) = -static_cast<float>(n + 1) * (1.3f + A.at(n, c));
    }
    for (Matrix* m : {&u, &dt, &B, &C, &z, &y}) round_to_bf16(*m);
  }
  View<const float, 3> states(Matrix& m) { return {m.view().data, {L, G, N}, {m.stride, N, 1}}; }
  SelectiveScan op(Matrix& out, Matrix& state, int form) {
    SelectiveScan s{.u = u.view(),
                    .dt = dt.view(),
                    .A = A.view(),
                    .B = states(B),
                    .C = states(C),
                    .h = state.view(),
                    .y = out.view(),
                    .accumulate = (form & 1) != 0};
    s.dt_bias = vector_of(bias);
    s.gate_sum = (form & 8) != 0;
    if (form & 2) s.z = z.view();
    if (form & 4) s.skip = vector_of(skip);
    return s;
  }
  Index L, D, N, G;
  Matrix u, dt, bias, A, B, C, skip, z, h, y;
};

SelectiveScan piece(SelectiveScan op, Index begin, Index end) {
  op.u = rows(op.u, begin, end), op.dt = rows(op.dt, begin, end), op.B = rows(op.B, begin, end);
  op.C = rows(op.C, begin, end), op.z = rows(op.z, begin, end), op.y = rows(op.y, begin, end);
  return op;
}

TEST_F(CudaOps, SelectiveScan) {
  int form = 0;
  for (const Index L : {1, 31, 33, 511, 512, 513, 1700}) {
    for (const auto& [D, N, G, gap] : {std::tuple<Index, Index, Index, Index>{1, 1, 1, 0},
                                       {3, 16, 1, 1},
                                       {24, 16, 1, 0},
                                       {236, 16, 1, 0},
                                       {256, 16, 1, 8},
                                       {75, 5, 1, 1},
                                       {24, 20, 3, 0},
                                       {24, 64, 1, 0},
                                       {130, 16, 1, 2}}) {
      for (int i = 0; i < 2; ++i, ++form) {
        ScanCase c(random_, L, D, N, G, gap);
        Matrix want = c.y, got = c.y, half = c.y, h1 = c.h, h2 = c.h, h3 = c.h;
        launch(reference_, c.op(want, h1, form));
        launch_anywhere(gpu(), c.op(got, h2, form));
        EXPECT_TRUE(close(got.view(), want.view(), kFloat) && got.intact())
            << L << " " << D << " " << N << " " << form;
        EXPECT_TRUE(close(h2.view(), h1.view(), kFloat) && h2.intact())
            << L << " " << D << " " << N;
        launch_in_bf16(gpu(), c.op(half, h3, form));
        EXPECT_TRUE(close(half.view(), want.view(), kHalf) && half.intact())
            << L << " " << D << " " << N << " " << form;
        EXPECT_TRUE(close(h3.view(), h1.view(), kHalf) && h3.intact());
      }
    }
  }
}

TEST_F(CudaOps, SelectiveScanCutAtSegments) {
  for (const auto& [D, N] : {std::pair<Index, Index>{24, 16}, {75, 5}, {256, 16}}) {
    const Index L = 2300;
    ScanCase c(random_, L, D, N, 1, 0);
    for (const bool half : {false, true}) {
      const auto go = [&](const SelectiveScan& op) {
        half ? launch_in_bf16(gpu(), op) : launch_anywhere(gpu(), op);
      };
      Matrix whole = c.y, h1 = c.h;
      go(c.op(whole, h1, 6));
      for (const Index m : {512, 1024, 2048}) {
        Matrix parts = c.y, h2 = c.h;
        go(piece(c.op(parts, h2, 6), 0, m));
        go(piece(c.op(parts, h2, 6), m, L));
        EXPECT_TRUE(same_bits(parts.view(), whole.view()) && same_bits(h2.view(), h1.view())) << m;
      }
      // Backwards: the flipped views of a reversed sequence.
      Matrix back = c.y, h3 = c.h;
      SelectiveScan op = c.op(back, h3, 6);
      ScanCase turned = c;
      for (Matrix* m : {&turned.u, &turned.dt, &turned.B, &turned.C, &turned.z}) {
        for (Index t = 0; t < L / 2; ++t) {
          std::swap_ranges(m->view().row(t), m->view().row(t) + m->columns,
                           m->view().row(L - 1 - t));
        }
      }
      op = turned.op(back, h3, 6);
      op.u = flip_rows(op.u), op.dt = flip_rows(op.dt), op.B = flip_rows(op.B),
      op.C = flip_rows(op.C);
      op.z = flip_rows(op.z), op.y = flip_rows(op.y);
      go(op);
      EXPECT_TRUE(same_bits(flip_rows(back.view()), whole.view()) &&
                  same_bits(h3.view(), h1.view()));
    }
  }
}

struct SsdCase {
  SsdCase(std::mt19937& random, Index length, Index heads, Index width, Index states, Index groups,
          Index gap)
      : L(length),
        H(heads),
        P(width),
        N(states),
        G(groups),
        x(random_matrix(random, L, H * P, gap)),
        dt(random_matrix(random, L, H, gap, 2)),
        bias(random_matrix(random, 1, H)),
        A(random_matrix(random, 1, H)),
        B(random_matrix(random, L, G * N, gap)),
        C(random_matrix(random, L, G * N, gap)),
        skip(random_matrix(random, 1, H * P)),
        z(random_matrix(random, L, H * P, gap, 6)),
        h(random_matrix(random, H * N, P)),
        y(random_matrix(random, L, H * P, gap)) {
    for (Index i = 0; i < H; ++i) {
      bias.at(0, i) = -1.0f - 5.0f * static_cast<float>(i) / static_cast<float>(H);
      A.at(0, i) = -1.0f - 7.0f * std::abs(A.at(0, i));
    }
    for (Matrix* m : {&x, &dt, &B, &C, &z, &y}) round_to_bf16(*m);
  }
  View<const float, 3> states(Matrix& m) { return {m.view().data, {L, G, N}, {m.stride, N, 1}}; }
  Ssd op(Matrix& out, Matrix& state, int form) {
    Ssd s{.x = x.view(),
          .dt = dt.view(),
          .dt_bias = vector_of(bias),
          .A = vector_of(A),
          .B = states(B),
          .C = states(C),
          .h = {state.view().data, {H, N, P}},
          .y = out.view(),
          .accumulate = (form & 1) != 0};
    if (form & 2) s.z = z.view();
    if (form & 4) s.skip = vector_of(skip);
    if (form & 8) s.dt_min = 0.01f, s.dt_max = 0.5f;
    if (form & 16) {
      for (Index i = 0; i < H; ++i) scale.at(0, i) = 0.5f;
      s.scale = {scale.view().data, {H}};
    }
    return s;
  }
  Index L, H, P, N, G;
  Matrix x, dt, bias, A, B, C, skip, z, h, y;
  Matrix scale{1, H};
};

Ssd piece(Ssd op, Index begin, Index end) {
  op.x = rows(op.x, begin, end), op.dt = rows(op.dt, begin, end), op.B = rows(op.B, begin, end);
  op.C = rows(op.C, begin, end), op.z = rows(op.z, begin, end), op.y = rows(op.y, begin, end);
  return op;
}

TEST_F(CudaOps, Ssd) {
  int form = 0;
  for (const Index L : {1, 33, 64, 513, 1300}) {
    for (const auto& [H, P, N, G, gap] :
         {std::tuple<Index, Index, Index, Index, Index>{1, 1, 1, 1, 0},
          {4, 8, 12, 2, 1},
          {3, 5, 20, 1, 1},
          {2, 64, 64, 1, 0},
          {4, 64, 128, 1, 0},
          {4, 64, 128, 2, 8},
          {3, 64, 64, 1, 0},
          {3, 64, 128, 3, 8},
          {2, 32, 16, 1, 0},
          {2, 128, 64, 1, 0}}) {
      for (int i = 0; i < 2; ++i, ++form) {
        SsdCase c(random_, L, H, P, N, G, gap);
        Matrix want = c.y, got = c.y, half = c.y, h1 = c.h, h2 = c.h, h3 = c.h;
        launch(reference_, c.op(want, h1, form));
        launch_anywhere(gpu(), c.op(got, h2, form));
        EXPECT_TRUE(close(got.view(), want.view(), kFloat) && got.intact())
            << L << " " << H << " " << P << " " << N << " " << form;
        EXPECT_TRUE(close(h2.view(), h1.view(), kFloat) && h2.intact())
            << L << " " << H << " " << P << " " << N;
        launch_in_bf16(gpu(), c.op(half, h3, form));
        EXPECT_TRUE(close(half.view(), want.view(), kHalf) && half.intact())
            << L << " " << H << " " << P << " " << N << " " << form;
        EXPECT_TRUE(close(h3.view(), h1.view(), kHalf) && h3.intact())
            << L << " " << H << " " << P << " " << N;
      }
    }
  }
}

TEST_F(CudaOps, SsdCutAtSegments) {
  for (const auto& [H, P, N] :
       {std::tuple<Index, Index, Index>{3, 8, 12}, {2, 64, 64}, {3, 64, 128}, {4, 64, 128}}) {
    const Index L = 1300;
    SsdCase c(random_, L, H, P, N, 1, 0);
    for (const bool half : {false, true}) {
      const auto go = [&](const Ssd& op) {
        half ? launch_in_bf16(gpu(), op) : launch_anywhere(gpu(), op);
      };
      Matrix whole = c.y, h1 = c.h;
      go(c.op(whole, h1, 6));
      for (const Index m : {512, 1024}) {
        Matrix parts = c.y, h2 = c.h;
        go(piece(c.op(parts, h2, 6), 0, m));
        go(piece(c.op(parts, h2, 6), m, L));
        EXPECT_TRUE(same_bits(parts.view(), whole.view()) && same_bits(h2.view(), h1.view())) << m;
      }
    }
  }
}

TEST_F(CudaOps, Pool) {
  for (const auto& [L, D] : {std::pair<Index, Index>{1, 1}, {257, 75}, {600, 256}}) {
    Matrix x = random_matrix(random_, L, D, 3);
    for (const auto kind : {Pool::Kind::mean, Pool::Kind::max}) {
      std::vector<double> want(static_cast<std::size_t>(D),
                               kind == Pool::Kind::mean ? 0.0 : -1e300),
          got = want;
      launch(reference_, Pool{.kind = kind, .x = x.view(), .sum = {want.data(), {D}}});
      launch_anywhere(gpu(), Pool{.kind = kind, .x = x.view(), .sum = {got.data(), {D}}});
      EXPECT_EQ(got, want);
    }
  }
}

TEST_F(CudaOps, TokenScores) {
  for (const auto& [L, V, K] :
       {std::tuple<Index, Index, Index>{1, 1, 1}, {257, 16, 4}, {65, 300, 300}}) {
    Matrix logits = random_matrix(random_, L, V, 3, 5), want(2, L), got(2, L);
    std::vector<std::int32_t> alphabet, target;
    for (Index k = 0; k < K; ++k) alphabet.push_back(static_cast<std::int32_t>(V - 1 - k));
    for (Index t = 0; t < L; ++t)
      target.push_back(static_cast<std::int32_t>(random_() % static_cast<unsigned>(K + 1)) - 1);
    const auto op = [&](Matrix& m) {
      return TokenScores{.logits = logits.view(),
                         .alphabet = {alphabet.data(), {K}},
                         .target = {target.data(), {L}},
                         .logp = {m.view().row(0), {L}},
                         .entropy = {m.view().row(1), {L}}};
    };
    launch(reference_, op(want));
    launch_anywhere(gpu(), op(got));
    EXPECT_TRUE(close(got.view(), want.view(), kFloat, 1e-15));
  }
}

}  // namespace
}  // namespace genossm::testing
