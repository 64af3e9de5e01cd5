#include "kernels/matmul/matmul.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <thread>

#include "tests/kernels/kernel_test.h"

namespace genossm::testing {
namespace {

struct Sizes {
  Index L, K, N;
};

// One product with its own x, bias and y; the weight is shared.
struct Product {
  Product(std::mt19937& random, Sizes s, Index gap, bool accumulate, bool with_bias)
      : x(random_matrix(random, s.L, s.K, gap)),
        bias(random_matrix(random, 1, s.N)),
        start(random_matrix(random, s.L, s.N, 2 * gap)),
        accumulates(accumulate),
        biased(with_bias) {}

  Matrix run(Device& device, const MatmulWeight& weight) {
    Matrix y =
        accumulates ? start : Matrix(start.rows, start.columns, start.stride - start.columns);
    launch(device, Matmul{.x = x.view(),
                          .weight = &weight,
                          .bias = biased ? vector_of(bias) : View<const float, 1>(),
                          .accumulate = accumulates,
                          .y = y.view()});
    EXPECT_TRUE(y.intact());
    return y;
  }

  Matrix x, bias, start;
  bool accumulates, biased;
};

class MatmulSizes : public ::testing::TestWithParam<Precision> {};

TEST_P(MatmulSizes, AgreesWithTheDefinitionOnAnyThreads) {
  const double tolerance = GetParam() == Precision::fp32 ? 1e-5 : 1e-4;
  std::mt19937 random(7);
  Device reference{Reference()}, one{Cpu(1)}, three{Cpu(3)};
  for (const auto& [K, N] : {std::pair<Index, Index>{1, 1},
                             {3, 5},
                             {5, 1},
                             {16, 512},
                             {37, 64},
                             {48, 17},
                             {64, 236},
                             {256, 48},
                             {257, 130}}) {
    Matrix w = random_matrix(random, N, K, 3);
    const auto defined = MatmulWeight::pack(reference, w.view(), GetParam());
    const auto packed = MatmulWeight::pack(one, w.view(), GetParam());
    EXPECT_EQ(packed.inputs(), K);
    EXPECT_EQ(packed.outputs(), N);
    EXPECT_GE(packed.bytes(), N * K * 2);
    EXPECT_TRUE(packed.rows_independent()) << K << " x " << N;
    for (const Index L : {0, 1, 63, 64, 65, 257, 600}) {
      for (const int form : {0, 1, 2, 3, 4, 5, 6, 7}) {
        SCOPED_TRACE(::testing::Message() << L << " x " << K << " x " << N << ", form " << form);
        Product product(random, {L, K, N}, (form & 4) ? 11 : 0, form & 2, form & 1);
        Matrix want = product.run(reference, defined);
        Matrix got = product.run(one, packed);
        EXPECT_TRUE(close(got.view(), want.view(), tolerance));
        EXPECT_TRUE(same_bits(product.run(three, packed).view(), got.view()));
      }
    }
  }
}

// The law: every row alone, and in a strided view, has the bits it has among 200.
TEST_P(MatmulSizes, ARowDependsOnNothingButItself) {
  std::mt19937 random(8);
  Device cpu{Cpu(1)};
  for (const auto& [K, N] :
       {std::pair<Index, Index>{3, 5}, {16, 64}, {100, 33}, {256, 96}, {700, 16}}) {
    Matrix w = random_matrix(random, N, K);
    const auto weight = MatmulWeight::pack(cpu, w.view(), GetParam());
    for (const int form : {0, 1, 2, 3}) {
      SCOPED_TRACE(::testing::Message() << K << " x " << N << ", form " << form);
      Product all(random, {200, K, N}, 0, form & 2, form & 1);
      Matrix together = all.run(cpu, weight);
      for (const Index t : {0, 1, 17, 63, 64, 130, 191, 192, 199}) {
        Product alone(random, {1, K, N}, 5, form & 2, form & 1);
        alone.x = dense(rows(all.x.view(), t, t + 1));
        alone.start = dense(rows(all.start.view(), t, t + 1));
        alone.bias = all.bias;
        EXPECT_TRUE(same_bits(alone.run(cpu, weight).view(), rows(together.view(), t, t + 1)));
      }
      Product strided(random, {200, K, N}, 9, form & 2, form & 1);
      strided.bias = all.bias;
      for (Index t = 0; t < 200; ++t) {
        std::copy_n(all.x.view().row(t), K, strided.x.view().row(t));
        std::copy_n(all.start.view().row(t), N, strided.start.view().row(t));
      }
      EXPECT_TRUE(same_bits(strided.run(cpu, weight).view(), together.view()));
    }
  }
}

TEST_P(MatmulSizes, NaNStaysInItsRow) {
  std::mt19937 random(9);
  Device cpu{Cpu(1)};
  Matrix w = random_matrix(random, 40, 33);
  const auto weight = MatmulWeight::pack(cpu, w.view(), GetParam());
  Product product(random, {70, 33, 40}, 0, false, false);
  Matrix before = product.run(cpu, weight);
  product.x.at(20, 3) = kNaN;
  product.x.at(65, 0) = kInfinity;
  Matrix after = product.run(cpu, weight);
  for (Index t = 0; t < 70; ++t) {
    if (t == 20) {
      for (Index n = 0; n < 40; ++n) EXPECT_TRUE(std::isnan(after.at(t, n)));
    } else if (t == 65) {
      for (Index n = 0; n < 40; ++n) EXPECT_FALSE(std::isfinite(after.at(t, n)));
    } else {
      EXPECT_TRUE(same_bits(rows(after.view(), t, t + 1), rows(before.view(), t, t + 1))) << t;
    }
  }
}

TEST_P(MatmulSizes, OneWeightServesManyThreads) {
  std::mt19937 random(10);
  Device cpu{Cpu(1)};
  Matrix w = random_matrix(random, 96, 64);
  const auto weight = MatmulWeight::pack(cpu, w.view(), GetParam());
  std::vector<Product> products;
  std::vector<Matrix> want, got;
  for (int i = 0; i < 4; ++i) {
    products.emplace_back(random, Sizes{150, 64, 96}, i, i % 2 == 1, i >= 2);
    want.push_back(products.back().run(cpu, weight));
    got.emplace_back(0, 0);
  }
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      Device mine{Cpu(1)};
      for (int repeat = 0; repeat < 20; ++repeat) got[i] = products[i].run(mine, weight);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (std::size_t i = 0; i < 4; ++i) EXPECT_TRUE(same_bits(got[i].view(), want[i].view()));
}

INSTANTIATE_TEST_SUITE_P(All, MatmulSizes, ::testing::Values(Precision::fp32, Precision::bf16),
                         [](const auto& precision) {
                           return precision.param == Precision::fp32 ? "fp32" : "bf16";
                         });

TEST(Matmul, Definition) {
  Device reference{Reference()};
  std::vector<float> w = {1, 2, 3, 4, 5, 6}, x = {1, 10, 100, -1, 0, 2}, bias = {0.5f, -0.5f};
  std::vector<float> y = {1000, 2000, 3000, 4000};
  const auto weight = MatmulWeight::pack(reference, {w.data(), {2, 3}});
  Matmul op{.x = {x.data(), {2, 3}},
            .weight = &weight,
            .bias = {bias.data(), {2}},
            .accumulate = true,
            .y = {y.data(), {2, 2}}};
  launch(reference, op);
  EXPECT_EQ(y, (std::vector<float>{1321.5f, 2653.5f, 3005.5f, 4007.5f}));
  op.accumulate = false;
  op.bias = {};
  launch(reference, op);
  EXPECT_EQ(y, (std::vector<float>{321, 654, 5, 8}));
}

// Operands are rounded to nearest, ties to even, on both devices; products and sums are not.
TEST(Matmul, Bf16RoundsTheOperandsOnly) {
  for (const bool on_cpu : {false, true}) {
    Device device = on_cpu ? Device{Cpu(1)} : Device{Reference()};
    // Between 1 and 2 bfloat16 steps by 2^-7.
    std::vector<float> w = {1 + 0x1p-8f, 0, 1 + 0x1.8p-7f, 0, 0, 1 + 0x1.01p-8f};
    std::vector<float> x = {1, 1, 1 + 0x1p-8f, 1 + 0x1.8p-7f}, bias = {0x1p-12f, 0, 0}, y(6);
    const auto weight = MatmulWeight::pack(device, {w.data(), {3, 2}}, Precision::bf16);
    launch(device, Matmul{.x = {x.data(), {2, 2}},
                          .weight = &weight,
                          .bias = {bias.data(), {3}},
                          .y = {y.data(), {2, 3}}});
    const float up = 1 + 0x1p-6f, next = 1 + 0x1p-7f;
    EXPECT_EQ(y, (std::vector<float>{1 + 0x1p-12f, up, next, 1 + 0x1p-12f, up, next * up}));
  }
}

TEST(Matmul, RefusesWhatDoesNotFit) {
  std::mt19937 random(11);
  Device cpu{Cpu(1)}, reference{Reference()};
  Matrix w = random_matrix(random, 5, 4), x = random_matrix(random, 7, 4);
  Matrix y(7, 5), long_bias(1, 6);
  const auto weight = MatmulWeight::pack(cpu, w.view());
  const auto sentence = [&](auto change) {
    Matmul op{.x = x.view(), .weight = &weight, .y = y.view()};
    change(op);
    return refusal([&] { check(op); });
  };
  EXPECT_EQ(sentence([](Matmul&) {}), "");
  EXPECT_EQ(sentence([](Matmul& op) { op.weight = nullptr; }),
            "matmul: no weight, want a packed one");
  const MatmulWeight none;
  EXPECT_EQ(sentence([&](Matmul& op) { op.weight = &none; }),
            "matmul: no weight, want a packed one");
  EXPECT_EQ(sentence([](Matmul& op) { op.x.extent[1] = 3; }), "matmul: x is [7, 3], want [7, 4]");
  EXPECT_EQ(sentence([](Matmul& op) { op.y.extent[0] = 6; }), "matmul: y is [6, 5], want [7, 5]");
  EXPECT_EQ(sentence([](Matmul& op) { op.y.extent[1] = 4; }), "matmul: y is [7, 4], want [7, 5]");
  EXPECT_EQ(sentence([&](Matmul& op) { op.bias = vector_of(long_bias); }),
            "matmul: bias is [6], want [5]");
  EXPECT_EQ(sentence([](Matmul& op) { op.x.stride[0] = 3; }),
            "matmul: the row stride of x is 3, want at least 4");
  EXPECT_EQ(sentence([](Matmul& op) { op.y = flip_rows(op.y); }),
            "matmul: the row stride of y is -5, want at least 5");
  // Columns of one matrix: side by side they do not overlap, one further they do.
  Matrix both = random_matrix(random, 7, 9);
  EXPECT_EQ(sentence([&](Matmul& op) {
              op.x = cols(both.view(), 0, 4);
              op.y = cols(both.view(), 4, 9);
            }),
            "");
  EXPECT_EQ(sentence([&](Matmul& op) {
              op.x = cols(both.view(), 5, 9);
              op.y = cols(both.view(), 0, 5);
            }),
            "");
  EXPECT_EQ(sentence([&](Matmul& op) {
              op.x = cols(both.view(), 0, 4);
              op.y = cols(both.view(), 3, 8);
            }),
            "matmul: y overlaps x, want memory of its own");
  EXPECT_EQ(refusal([&] { MatmulWeight::pack(cpu, View<const float, 2>()); }),
            "matmul: weight is [0, 0], want at least [1, 1]");
  Matrix out(7, 5);
  const Matmul op{.x = x.view(), .weight = &weight, .y = out.view()};
  EXPECT_THROW(launch(reference, op), Error);
  const auto defined = MatmulWeight::pack(reference, w.view());
  const Matmul other{.x = x.view(), .weight = &defined, .y = out.view()};
  EXPECT_THROW(launch(cpu, other), Error);
}

// One product that reads and writes column ranges of the same matrix, as dt_proj does.
TEST(Matmul, ColumnsOfOneMatrix) {
  std::mt19937 random(12);
  Device cpu{Cpu(1)};
  Matrix w = random_matrix(random, 5, 4), both = random_matrix(random, 70, 9), want(70, 5);
  Matrix x = dense(cols(both.view(), 0, 4));
  const auto weight = MatmulWeight::pack(cpu, w.view());
  launch(cpu, Matmul{.x = x.view(), .weight = &weight, .y = want.view()});
  launch(cpu,
         Matmul{.x = cols(both.view(), 0, 4), .weight = &weight, .y = cols(both.view(), 4, 9)});
  EXPECT_TRUE(same_bits(cols(both.view(), 4, 9), want.view()));
  EXPECT_TRUE(same_bits(cols(both.view(), 0, 4), x.view()));
  EXPECT_TRUE(both.intact());
}

// A matrix as a file has it, at an odd address.
struct InFile {
  InFile(std::mt19937& random, DType type, Index N, Index K) {
    Matrix w = random_matrix(random, N, K);
    bytes.resize(static_cast<std::size_t>(N * K * size_of(type)) + 1);
    std::byte* to = bytes.data() + 1;
    for (Index n = 0; n < N; ++n) {
      for (Index k = 0; k < K; ++k, to += size_of(type)) {
        const float value = w.view().row(n)[k];
        const std::uint16_t half = type == DType::bf16 ? f32_to_bf16(value) : f32_to_f16(value);
        std::memcpy(to, type == DType::f32 ? static_cast<const void*>(&value) : &half,
                    static_cast<std::size_t>(size_of(type)));
      }
    }
    matrix = {bytes.data() + 1, type, N, K};
  }
  std::vector<std::byte> bytes;
  StoredMatrix matrix;
};

struct Form {
  DType type;
  Precision precision;
  bool fp8;
};

MatmulWeight packed(Device& device, const InFile& w, const Form& form,
                    const std::vector<Index>& order) {
  return form.fp8 ? MatmulWeight::pack_e4m3(device, w.matrix, {3.0f, 100.0f}, order)
                  : MatmulWeight::pack(device, w.matrix, form.precision, order);
}

std::vector<Form> stored_forms() {
  std::vector<Form> all;
  for (const DType type : {DType::f32, DType::bf16, DType::f16}) {
    all.push_back({type, Precision::fp32, false});
    all.push_back({type, Precision::bf16, false});
    all.push_back({type, Precision::fp32, true});
  }
  return all;
}

TEST(StoredMatmul, AgreesWithTheDefinition) {
  std::mt19937 random(31);
  Device reference{Reference()}, one{Cpu(1)}, three{Cpu(3)};
  for (const auto& [K, N] : {std::pair<Index, Index>{1, 1}, {37, 64}, {257, 130}, {520, 17}}) {
    for (const Form& form : stored_forms()) {
      const InFile w(random, form.type, N, K);
      std::vector<Index> order(static_cast<std::size_t>(N));
      for (Index n = 0; n < N; ++n) order[static_cast<std::size_t>(n)] = N - 1 - n;
      const auto defined = packed(reference, w, form, order);
      const auto weight = packed(one, w, form, order);
      EXPECT_TRUE(weight.rows_independent());
      const Index blocks = (N + 15) / 16 * 16;
      if (form.fp8) {
        EXPECT_EQ(weight.bytes(), blocks * K);
      } else if (form.type == DType::bf16 && form.precision == Precision::fp32) {
        EXPECT_EQ(weight.bytes(), blocks * K * 2);
      }
      for (const Index L : {1, 63, 130}) {
        for (const bool accumulate : {false, true}) {
          Product p(random, {L, K, N}, 3, accumulate, !accumulate);
          Matrix want = p.run(reference, defined);
          Matrix got = p.run(one, weight);
          // The bias may cancel a single product.
          const double tolerance = form.precision == Precision::fp32 && K > 1 ? 1e-5 : 1e-4;
          ASSERT_TRUE(close(got.view(), want.view(), tolerance))
              << L << " x " << K << " x " << N << ", " << name_of(form.type) << ", " << form.fp8;
          ASSERT_TRUE(same_bits(p.run(three, weight).view(), got.view()));
          // A row alone has the same bits.
          Product alone(random, {1, K, N}, 0, accumulate, !accumulate);
          std::copy_n(p.x.view().row(L - 1), K, alone.x.view().data);
          std::copy_n(p.start.view().row(L - 1), N, alone.start.view().data);
          alone.bias = p.bias;
          ASSERT_TRUE(same_bits(alone.run(one, weight).view(), rows(got.view(), L - 1, L)));
        }
      }
    }
  }
}

TEST(StoredMatmul, EveryInstructionSet) {
  std::mt19937 random(32);
  Device reference{Reference()}, cpu{Cpu(1)};
  for (const Form& form : stored_forms()) {
    const InFile w(random, form.type, 50, 300);
    Product p(random, {30, 300, 50}, 1, false, true);
    Matrix want = p.run(reference, packed(reference, w, form, {}));
    for_each_instruction_set([&] {
      Matrix got = p.run(cpu, packed(cpu, w, form, {}));
      EXPECT_TRUE(close(got.view(), want.view(), form.precision == Precision::fp32 ? 1e-5 : 1e-4));
    });
  }
}

TEST(StoredMatmul, RefusesWhatIsNoWeight) {
  std::mt19937 random(33);
  Device cpu{Cpu(1)};
  const InFile w(random, DType::f32, 3, 4);
  const std::vector<Index> two{0, 1};
  EXPECT_THROW(MatmulWeight::pack(cpu, StoredMatrix{}, Precision::fp32), Error);
  EXPECT_THROW(MatmulWeight::pack(cpu, w.matrix, Precision::fp32, two), Error);
  for (const float bad : {0.0f, -1.0f, std::numeric_limits<float>::infinity(), kNaN}) {
    EXPECT_THROW(MatmulWeight::pack_e4m3(cpu, w.matrix, {bad, 1.0f}), Error);
    EXPECT_THROW(MatmulWeight::pack_e4m3(cpu, w.matrix, {1.0f, bad}), Error);
  }
}

// All codes there and back, ties to even, saturation.
TEST(E4m3, Codes) {
  for (int c = 0; c < 256; ++c) {
    const auto code = static_cast<std::uint8_t>(c);
    const float value = e4m3_to_f32(code);
    if ((c & 0x7f) == 0x7f) {
      EXPECT_TRUE(std::isnan(value));
      continue;
    }
    EXPECT_EQ(round_to_e4m3(value), value);
    if (c != 0x80) {
      EXPECT_EQ(e4m3_code(value), code);
    }
  }
  EXPECT_EQ(round_to_e4m3(1e9f), 448.0f);
  EXPECT_EQ(round_to_e4m3(-std::numeric_limits<float>::infinity()), -448.0f);
  EXPECT_TRUE(std::isnan(round_to_e4m3(kNaN)));
  EXPECT_EQ(e4m3_code(kNaN), 0x7f);
  EXPECT_EQ(round_to_e4m3(17.0f), 16.0f);
  EXPECT_EQ(round_to_e4m3(19.0f), 20.0f);
  EXPECT_EQ(round_to_e4m3(0x1p-10f), 0.0f);
  EXPECT_EQ(round_to_e4m3(0x1.8p-9f), 0x1p-8f);
}

}  // namespace
}  // namespace genossm::testing
