// Ops on a GPU whose matrices have more than 2^31 elements: index arithmetic. Inputs repeat a block
// of random rows; sampled channels are followed by the definition in double from the first token to
// the last and compared at sampled positions, the last rows among them. bf16 within 1e-2 of the
// largest value. Skipped where there is no GPU or it has too little memory.
#include <cmath>
#include <cstring>
#include <set>

#include "tests/kernels/cuda_test.h"
#include "tests/kernels/kernel_test.h"

namespace genossm::testing {
namespace {

constexpr Index kPeriod = 4099;  // rows; no multiple of a segment or a tile
constexpr double kHalf = 1e-2;

class CudaLarge : public ::testing::Test {
 protected:
  void SetUp() override {
    device_ = open_cuda();
    if (!device_) GTEST_SKIP() << kNoGpu;
  }
  Cuda& cuda() { return *as_cuda(*device_); }
  Device& device() { return *device_; }
  bool fits(Index bytes) { return cuda().free_memory() > bytes + (Index{2} << 30); }
  static std::string too_small(Index bytes) {
    return "too little GPU memory: " + std::to_string(bytes >> 30) + " GiB are wanted";
  }

  // [rows, columns] in device memory whose row t is row t % kPeriod of `block`.
  template <class T>
  struct Repeated {
    mutable Matrix block;  // its view is not const
    CudaBuffer<T> values;
    View<T, 2> view;
    double at(Index t, Index c) const {
      return static_cast<double>(block.view().row(t % kPeriod)[c]);
    }
  };
  template <class T>
  Repeated<T> repeated(Index rows, Index columns, float scale = 1) {
    Repeated<T> out{
        random_matrix(random_, kPeriod, columns), CudaBuffer<T>(cuda(), rows * columns), {}};
    std::vector<T> host;
    for (Index t = 0; t < kPeriod; ++t) {
      for (Index c = 0; c < columns; ++c) {
        float& v = out.block.at(t, c);
        v *= scale;
        if constexpr (sizeof(T) == 2) {
          host.push_back({f32_to_bf16(v)});
          v = bf16_to_f32(host.back().bits);
        } else {
          host.push_back(v);
        }
      }
    }
    for (Index t = 0; t < rows; t += kPeriod) {
      const Index n = std::min(kPeriod, rows - t);
      cuda().copy_in(out.values.data() + t * columns, host.data(), n * columns * Index{sizeof(T)});
    }
    out.view = out.values.matrix(rows, columns);
    return out;
  }
  std::vector<Index> positions(Index rows) {
    std::set<Index> out{0, 511, 512, rows - 1, rows - 2};
    while (out.size() < 200) out.insert(static_cast<Index>(random_()) % rows);
    return {out.begin(), out.end()};
  }
  double value(View<bf16, 2> y, Index t, Index c) {
    bf16 v{};
    cuda().copy_out(&v, y.row(t) + c, sizeof v);
    return static_cast<double>(bf16_to_f32(v.bits));
  }
  // Largest distance over largest value.
  struct Error {
    double distance = 0, largest = 0;
    void add(double got, double want) {
      distance = got == got ? std::max(distance, std::abs(got - want)) : 1e300;
      largest = std::max(largest, std::abs(want));
    }
    double relative() const { return distance / largest; }
  };
  static double silu(double x) { return x / (1 + std::exp(-x)); }
  static double softplus(double x) { return x > 20 ? x : std::log1p(std::exp(x)); }

  std::mt19937 random_{29};

 private:
  std::optional<Device> device_;
};

// Where few blocks would be at work the scan has a channel a thread instead of two: a sequence
// alone and among others, both directions in one stream and in two, steps from 0.002 to 1 so that
// segments are left early and late.
template <class T>
void same_bits_alone(Cuda& cuda, View<const T, 2> u, View<const T, 2> dt, View<const T, 2> z,
                     View<const T, 2> B, View<const T, 2> C, const std::vector<float>& A,
                     const std::vector<float>& bias) {
  const Index L = u.extent[0], D = u.extent[1], N = B.extent[1], first = 9 * 1024 + 77;
  CudaBuffer<float> on_A(cuda, A), on_bias(cuda, bias);
  const auto y_of = [&](Index end, std::vector<SequenceRows> rows_of, bool two_streams) {
    CudaBuffer<T> y(cuda, end * D);
    SequenceTable table;
    table.assign(cuda, std::move(rows_of));
    SelectiveScanSet<T> set{.op = {.u = rows(u, 0, end),
                                   .dt = rows(dt, 0, end),
                                   .dt_bias = on_bias.view(),
                                   .A = on_A.matrix(N, D),
                                   .B = {B.data, {end, 1, N}},
                                   .C = {C.data, {end, 1, N}},
                                   .y = y.matrix(end, D)},
                            .sequences = table.view()};
    SelectiveScanSet<T> back = set;
    back.reverse = back.op.accumulate = back.op.gate_sum = true;
    back.op.z = rows(z, 0, end);
    check(set);
    check(back);
    if (two_streams) {
      Cuda& beside = cuda.beside();
      beside.follow(cuda);
      run(cuda, set);
      back.after = &cuda;
      run(beside, back);
      cuda.follow(beside);
    } else {
      run(cuda, set);
      run(cuda, back);
    }
    std::vector<T> host(static_cast<std::size_t>(first * D));
    cuda.copy_out(host.data(), y.data(), first * D * Index{sizeof(T)});
    return host;
  };
  const std::vector<SequenceRows> one = {{0, first, -1, true, 0}};
  const std::vector<SequenceRows> two = {{0, first, -1, true, 0}, {first, L, -1, true, 0}};
  const auto alone = y_of(first, one, false);
  for (const auto& other : {y_of(L, two, false), y_of(first, one, true), y_of(L, two, true)}) {
    EXPECT_EQ(std::memcmp(alone.data(), other.data(), alone.size() * sizeof(T)), 0);
  }
}

TEST_F(CudaLarge, ScanOfFewAndManyBlocksGivesTheSameBits) {
  constexpr Index L = 80 * 512 + 5, D = 2048, N = 16;
  const Index bytes = L * D * 24;
  if (!fits(bytes)) GTEST_SKIP() << too_small(bytes);
  std::vector<float> A, bias;
  for (Index n = 0; n < N; ++n) {
    for (Index c = 0; c < D; ++c) A.push_back(-static_cast<float>(n + 1));
  }
  for (Index c = 0; c < D; ++c) {
    bias.push_back(-6.0f + 6.0f * static_cast<float>(c) / static_cast<float>(D));
  }
  {
    const auto u = repeated<bf16>(L, D), dt = repeated<bf16>(L, D, 0.5f), z = repeated<bf16>(L, D);
    const auto B = repeated<bf16>(L, N), C = repeated<bf16>(L, N);
    same_bits_alone<bf16>(cuda(), u.view, dt.view, z.view, B.view, C.view, A, bias);
  }
  const auto u = repeated<float>(L, D), dt = repeated<float>(L, D, 0.5f), z = repeated<float>(L, D);
  const auto B = repeated<float>(L, N), C = repeated<float>(L, N);
  same_bits_alone<float>(cuda(), u.view, dt.view, z.view, B.view, C.view, A, bias);
}

TEST_F(CudaLarge, ScanConvolutionNormAndProduct) {
  constexpr Index L = 1'100'003, D = 2048, N = 16, W = 4;
  static_assert(L * D > Index{1} << 31);
  const Index bytes = L * D * 12;
  if (!fits(bytes)) GTEST_SKIP() << too_small(bytes);
  const auto u = repeated<bf16>(L, D), dt = repeated<bf16>(L, D), z = repeated<bf16>(L, D, 3);
  const auto B = repeated<bf16>(L, N), C = repeated<bf16>(L, N);
  CudaBuffer<bf16> out(cuda(), L * D);
  const View<bf16, 2> y = out.matrix(L, D);
  std::vector<float> A, bias, skip;
  for (Index n = 0; n < N; ++n) {
    for (Index c = 0; c < D; ++c) A.push_back(-static_cast<float>(n + 1));
  }
  for (Index c = 0; c < D; ++c) {
    bias.push_back(-2.0f - 4.0f * static_cast<float>(c * 7919 % D) / static_cast<float>(D));
    skip.push_back(0.5f);
  }
  CudaBuffer<float> on_A(cuda(), A), on_bias(cuda(), bias), on_skip(cuda(), skip);
  CudaBuffer<float> h(cuda(), N * D);
  cuda().fill_zero(h.data(), h.bytes());
  const BasicSelectiveScan<bf16> scan{.u = u.view,
                                      .dt = dt.view,
                                      .dt_bias = on_bias.view(),
                                      .A = on_A.matrix(N, D),
                                      .B = {B.values.data(), {L, 1, N}},
                                      .C = {C.values.data(), {L, 1, N}},
                                      .skip = on_skip.view(),
                                      .z = z.view,
                                      .h = h.matrix(N, D),
                                      .y = y};
  check(scan);
  run(cuda(), scan);
  cuda().wait();
  const std::vector<Index> wanted = positions(L);
  const std::vector<Index> channels{0, 1, 1023, D - 1};
  Error error;
  for (const Index c : channels) {
    std::vector<double> state(N, 0.0);
    std::size_t next = 0;
    for (Index t = 0; t < L; ++t) {
      const double d = softplus(dt.at(t, c) + bias[static_cast<std::size_t>(c)]);
      double sum = 0.5 * u.at(t, c);
      const double step = std::exp(-d);
      double decay = 1;  // exp(A d) for A = -1, -2, ...
      for (Index n = 0; n < N; ++n) {
        decay *= step;
        double& s = state[static_cast<std::size_t>(n)];
        s = decay * s + d * u.at(t, c) * B.at(t, n);
        sum += C.at(t, n) * s;
      }
      if (next < wanted.size() && wanted[next] == t) {
        ++next;
        error.add(value(y, t, c), sum * silu(z.at(t, c)));
      }
    }
  }
  EXPECT_LE(error.relative(), kHalf) << "selective_scan";

  std::vector<float> taps;
  for (Index i = 0; i < W * D; ++i) taps.push_back(static_cast<float>(i % 13) * 0.1f - 0.6f);
  CudaBuffer<float> on_taps(cuda(), taps), tail(cuda(), (W - 1) * D);
  cuda().fill_zero(tail.data(), tail.bytes());
  const BasicCausalConv<bf16> conv{.x = u.view,
                                   .w = on_taps.matrix(W, D),
                                   .bias = on_bias.view(),
                                   .tail = tail.matrix(W - 1, D),
                                   .y = y};
  check(conv);
  run(cuda(), conv);
  cuda().wait();
  error = {};
  for (const Index c : channels) {
    for (const Index t : wanted) {
      double sum = bias[static_cast<std::size_t>(c)];
      for (Index k = 0; k < W; ++k) {
        const Index from = t - (W - 1) + k;
        if (from >= 0) sum += taps[static_cast<std::size_t>(k * D + c)] * u.at(from, c);
      }
      error.add(value(y, t, c), silu(sum));
    }
  }
  EXPECT_LE(error.relative(), kHalf) << "causal_conv";

  const BasicNorm<bf16, bf16> norm{.x = u.view, .weight = on_skip.view(), .y = y};
  check(norm);
  run(cuda(), norm);
  cuda().wait();
  error = {};
  for (const Index t : wanted) {
    double squares = 0;
    for (Index c = 0; c < D; ++c) squares += u.at(t, c) * u.at(t, c);
    const double scale = 0.5 / std::sqrt(squares / static_cast<double>(D) + 1e-5);
    for (const Index c : channels) error.add(value(y, t, c), u.at(t, c) * scale);
  }
  EXPECT_LE(error.relative(), kHalf) << "norm";

  constexpr Index M = 16;
  Matrix w = random_matrix(random_, M, D);
  const auto weight = MatmulWeight::pack(device(), w.view(), Precision::bf16);
  const View<bf16, 2> p{out.data(), {L, M}};
  const BasicMatmul<bf16, bf16> product{.x = u.view, .weight = &weight, .y = p};
  check(product);
  run(cuda(), product);
  cuda().wait();
  error = {};
  for (const Index t : wanted) {
    for (Index m = 0; m < M; m += 5) {
      double sum = 0;
      for (Index c = 0; c < D; ++c) {
        sum += u.at(t, c) * static_cast<double>(bf16_to_f32(f32_to_bf16(w.at(m, c))));
      }
      error.add(value(p, t, m), sum);
    }
  }
  EXPECT_LE(error.relative(), kHalf) << "matmul";
}

TEST_F(CudaLarge, SsdOfAMillionTokensAnd64Heads) {
  constexpr Index L = 1'048'576, H = 64, P = 64, N = 128, D = H * P;
  static_assert(L * D == Index{1} << 32);
  const Index bytes = L * D * 4 + L / kCudaSegment * H * N * P * 4;
  if (!fits(bytes)) GTEST_SKIP() << too_small(bytes);
  const auto x = repeated<bf16>(L, D), dt = repeated<bf16>(L, H), B = repeated<bf16>(L, N),
             C = repeated<bf16>(L, N);
  CudaBuffer<bf16> out(cuda(), L * D);
  const View<bf16, 2> y = out.matrix(L, D);
  std::vector<float> A, bias, skip(static_cast<std::size_t>(D), 0.5f);
  for (Index i = 0; i < H; ++i) {
    A.push_back(-1.0f - 15.0f * static_cast<float>(i) / static_cast<float>(H));
    bias.push_back(-6.0f + 4.0f * static_cast<float>(i * 37 % H) / static_cast<float>(H));
  }
  CudaBuffer<float> on_A(cuda(), A), on_bias(cuda(), bias), on_skip(cuda(), skip);
  CudaBuffer<float> h(cuda(), H * N * P);
  cuda().fill_zero(h.data(), h.bytes());
  const BasicSsd<bf16> op{.x = x.view,
                          .dt = dt.view,
                          .dt_bias = on_bias.view(),
                          .A = on_A.view(),
                          .B = {B.values.data(), {L, 1, N}},
                          .C = {C.values.data(), {L, 1, N}},
                          .skip = on_skip.view(),
                          .h = {h.data(), {H, N, P}},
                          .y = y};
  check(op);
  run(cuda(), op);
  cuda().wait();
  const std::vector<Index> wanted = positions(L);
  for (const Index c : {Index{0}, Index{31} * P + 17, D - 1}) {
    const auto head = static_cast<std::size_t>(c / P);
    std::vector<double> state(N, 0.0);
    std::size_t next = 0;
    Error error;
    for (Index t = 0; t < L; ++t) {
      const double d = softplus(dt.at(t, c / P) + bias[head]);
      const double decay = std::exp(d * A[head]), input = d * x.at(t, c);
      const bool sampled = next < wanted.size() && wanted[next] == t;
      double sum = 0.5 * x.at(t, c);
      const float* b = B.block.view().row(t % kPeriod);
      for (std::size_t n = 0; n < N; ++n) {
        state[n] = decay * state[n] + input * static_cast<double>(b[n]);
      }
      if (!sampled) continue;
      ++next;
      for (Index n = 0; n < N; ++n) sum += C.at(t, n) * state[static_cast<std::size_t>(n)];
      error.add(value(y, t, c), sum);
    }
    EXPECT_LE(error.relative(), kHalf) << "channel " << c;
  }
}

}  // namespace
}  // namespace genossm::testing
