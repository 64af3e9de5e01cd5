#include "libgenossm/jobs/op_speed.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <limits>
#include <vector>

#include "kernels/activation/activation.h"
#include "kernels/causal_conv/causal_conv.h"
#include "kernels/core/buffer.h"
#include "kernels/embedding/embedding.h"
#include "kernels/matmul/matmul.h"
#include "kernels/norm/norm.h"
#include "kernels/pool/pool.h"
#include "kernels/selective_scan/selective_scan.h"
#include "kernels/ssd/ssd.h"
#include "kernels/token_scores/token_scores.h"

namespace genossm {
namespace {

double median_seconds(int repetitions, const std::function<void()>& body) {
  body();  // touches the memory, makes what is made once
  std::vector<double> all;
  for (int i = 0; i < repetitions; ++i) {
    const auto start = std::chrono::steady_clock::now();
    body();
    all.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::nth_element(all.begin(), all.begin() + all.size() / 2, all.end());
  return all[all.size() / 2];
}

// Values in [-scale, scale) that no routine can take for zeros or constants.
Buffer<float> filled(Index n, float scale, float offset = 0) {
  Buffer<float> out(n);
  for (Index i = 0; i < n; ++i) {
    const auto mixed = static_cast<std::uint64_t>(i + 1) * 0x9e3779b97f4a7c15ull >> 40;
    out[i] = offset + scale * (static_cast<float>(mixed) * 0x1p-23f - 1.0f);
  }
  return out;
}

Buffer<float> zeros(Index n) {
  Buffer<float> out(n);
  std::fill(out.begin(), out.end(), 0.0f);
  return out;
}

class Ops {
 public:
  Ops(Device& device, const MachineSpeed& machine, Index tokens, int repetitions,
      const std::function<void(const OpSpeed&)>& take)
      : device_(device), machine_(machine), L_(tokens), repetitions_(repetitions), take_(take) {}

  void embedding() {
    std::vector<std::int32_t> ids(static_cast<std::size_t>(L_));
    for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<std::int32_t>(i * 7 % 16);
    const auto table = filled(16 * kD, 1), y = zeros(L_ * kD);
    measure(
        "embedding", "16 x 256", 4.0 * (1 + kD), 0,
        Embedding{
            .tokens = {ids.data(), {L_}}, .table = table.matrix(16, kD), .y = y.matrix(L_, kD)});
  }

  void norm() {
    const auto x = filled(L_ * kD, 1), y = zeros(L_ * kD), weight = filled(kD, 0.1f, 1);
    measure("norm", "rms, 256", 8.0 * kD, 4.0 * kD,
            Norm{.x = x.matrix(L_, kD), .weight = weight.view(), .y = y.matrix(L_, kD)});
  }

  void matmul(Index K, Index N, Precision precision) {
    const auto x = filled(L_ * K, 1), y = zeros(L_ * N), w = filled(N * K, 0.1f);
    const MatmulWeight weight = MatmulWeight::pack(device_, w.matrix(N, K), precision);
    measure("matmul",
            std::to_string(K) + " x " + std::to_string(N) +
                (precision == Precision::bf16 ? ", bf16" : ", fp32"),
            4.0 * static_cast<double>(K + N), 2.0 * static_cast<double>(K * N),
            Matmul{.x = x.matrix(L_, K), .weight = &weight, .y = y.matrix(L_, N)});
  }

  void activation() {
    const auto x = filled(L_ * kE, 1), gate = filled(L_ * kE, 3), y = zeros(L_ * kE);
    measure("activation", "silu gate, 512", 12.0 * kE, 8.0 * kE,
            Activation{.x = x.matrix(L_, kE), .gate = gate.matrix(L_, kE), .y = y.matrix(L_, kE)});
  }

  void causal_conv() {
    const auto x = filled(L_ * kE, 1), y = zeros(L_ * kE), w = filled(4 * kE, 0.5f);
    const auto bias = filled(kE, 0.1f), tail = zeros(3 * kE);
    measure("causal_conv", "width 4, silu, 512", 8.0 * kE, 16.0 * kE,
            CausalConv{.x = x.matrix(L_, kE),
                       .w = w.matrix(4, kE),
                       .bias = bias.view(),
                       .tail = tail.matrix(3, kE),
                       .y = y.matrix(L_, kE)});
  }

  void selective_scan() {
    constexpr Index N = 16;
    const auto u = filled(L_ * kE, 1), dt = filled(L_ * kE, 1, -3), z = filled(L_ * kE, 1);
    const auto y = zeros(L_ * kE), bias = filled(kE, 0.1f), A = filled(N * kE, 4, -8);
    const auto B = filled(L_ * N, 1), C = filled(L_ * N, 1), skip = filled(kE, 0.1f, 1);
    const auto h = zeros(N * kE);
    // A state and token: the exponential (about 12 operations), the decay, the input, the output.
    measure("selective_scan", "512 channels, 16 states, gate", 4.0 * (4 * kE + 2 * N),
            19.0 * kE * N + 16.0 * kE,
            SelectiveScan{.u = u.matrix(L_, kE),
                          .dt = dt.matrix(L_, kE),
                          .dt_bias = bias.view(),
                          .A = A.matrix(N, kE),
                          .B = {B.data(), {L_, 1, N}},
                          .C = {C.data(), {L_, 1, N}},
                          .skip = skip.view(),
                          .z = z.matrix(L_, kE),
                          .h = h.matrix(N, kE),
                          .y = y.matrix(L_, kE)});
  }

  void ssd() {
    constexpr Index H = 8, P = 64, N = 64;
    const auto x = filled(L_ * H * P, 1), dt = filled(L_ * H, 1, -3), y = zeros(L_ * H * P);
    const auto bias = filled(H, 0.1f), A = filled(H, 4, -8), B = filled(L_ * N, 1);
    const auto C = filled(L_ * N, 1), skip = filled(H * P, 0.1f, 1), h = zeros(H * N * P);
    // As a recurrence: decay, input and output of every state.
    measure("ssd", "8 heads x 64, 64 states", 4.0 * (2 * H * P + H + 2 * N), 5.0 * H * P * N,
            Ssd{.x = x.matrix(L_, H * P),
                .dt = dt.matrix(L_, H),
                .dt_bias = bias.view(),
                .A = A.view(),
                .B = {B.data(), {L_, 1, N}},
                .C = {C.data(), {L_, 1, N}},
                .skip = skip.view(),
                .h = {h.data(), {H, N, P}},
                .y = y.matrix(L_, H * P)});
  }

  void pool() {
    const auto x = filled(L_ * kD, 1);
    Buffer<double> sum(kD);
    std::fill(sum.begin(), sum.end(), 0.0);
    measure("pool", "mean, 256", 4.0 * kD, kD, Pool{.x = x.matrix(L_, kD), .sum = sum.view()});
  }

  void token_scores() {
    constexpr Index V = 16;
    const auto logits = filled(L_ * V, 2), logp = zeros(L_), entropy = zeros(L_);
    std::vector<std::int32_t> alphabet{7, 8, 9, 10}, target(static_cast<std::size_t>(L_), 2);
    measure("token_scores", "4 of 16", 4.0 * (V + 3), 60,
            TokenScores{.logits = logits.matrix(L_, V),
                        .alphabet = {alphabet.data(), {4}},
                        .target = {target.data(), {L_}},
                        .logp = logp.view(),
                        .entropy = entropy.view()});
  }

 private:
  static constexpr Index kD = 256, kE = 512;

  template <class Op>
  void measure(const char* name, const std::string& shape, double bytes_a_token,
               double flop_a_token, const Op& op) {
    OpSpeed speed;
    speed.op = name;
    speed.shape = shape;
    speed.seconds = median_seconds(repetitions_, [&] { launch(device_, op); });
    const double bytes = bytes_a_token * static_cast<double>(L_);
    const double flop = flop_a_token * static_cast<double>(L_);
    speed.gbytes = bytes / speed.seconds * 1e-9;
    speed.gflops = flop / speed.seconds * 1e-9;
    const double memory = bytes * 1e-9 / machine_.copy_gbytes;
    const double arithmetic = flop * 1e-9 / machine_.gflops;
    speed.bound_by_memory = memory >= arithmetic;
    speed.ratio = std::max(memory, arithmetic) / speed.seconds;
    take_(speed);
  }

  Device& device_;
  const MachineSpeed& machine_;
  Index L_;
  int repetitions_;
  const std::function<void(const OpSpeed&)>& take_;
};

}  // namespace

MachineSpeed measure_machine(Cpu& cpu, int repetitions) {
  MachineSpeed speed;
  constexpr Index kFloats = Index{16} << 20;  // a thread; far beyond its share of any cache
  const Index threads = cpu.threads();
  const auto from = filled(threads * kFloats, 1);
  const auto to = zeros(threads * kFloats);
  const double copy = median_seconds(repetitions, [&] {
    cpu.for_each(threads, [&](Index i) {
      std::memcpy(to.data() + i * kFloats, from.data() + i * kFloats, kFloats * sizeof(float));
    });
  });
  speed.copy_gbytes = 2e-9 * sizeof(float) * static_cast<double>(threads * kFloats) / copy;

  constexpr Index K = 512;
  const Index L = 1024 * threads;
  Device device{Cpu(cpu.threads())};
  const auto x = filled(L * K, 1), w = filled(K * K, 0.1f), y = zeros(L * K);
  const MatmulWeight weight = MatmulWeight::pack(device, w.matrix(K, K));
  const Matmul product{.x = x.matrix(L, K), .weight = &weight, .y = y.matrix(L, K)};
  const double seconds = median_seconds(repetitions, [&] { launch(device, product); });
  speed.gflops = 2e-9 * static_cast<double>(L) * K * K / seconds;
  return speed;
}

void measure_ops(Device& device, const MachineSpeed& machine, Index tokens, int repetitions,
                 const std::function<void(const OpSpeed&)>& take) {
  require(std::holds_alternative<Cpu>(device), Fault::device, "bench: --suite ops runs on the CPU");
  Ops ops(device, machine, tokens, repetitions, take);
  ops.embedding();
  ops.norm();
  for (const Precision precision : {Precision::fp32, Precision::bf16}) {
    ops.matmul(256, 1024, precision);
    ops.matmul(512, 256, precision);
    ops.matmul(512, 48, precision);
    ops.matmul(16, 512, precision);
  }
  ops.activation();
  ops.causal_conv();
  ops.selective_scan();
  ops.ssd();
  ops.pool();
  ops.token_scores();
}

}  // namespace genossm
