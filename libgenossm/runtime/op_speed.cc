#include "libgenossm/runtime/op_speed.h"

#include <algorithm>
#include <chrono>
#include <limits>

#include "kernels/activation/activation.h"
#include "kernels/causal_conv/causal_conv.h"
#include "kernels/core/buffer.h"
#include "kernels/matmul/matmul.h"
#include "kernels/norm/norm.h"
#include "kernels/selective_scan/selective_scan.h"
#include "kernels/ssd/ssd.h"

namespace genossm {
namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Numbers spread over [low, high) without a pattern that repeats along rows.
Buffer<float> spread(Index n, float low, float high) {
  Buffer<float> out(n);
  std::uint32_t seed = 1;
  for (float& v : out) {
    seed = seed * 1664525u + 1013904223u;
    v = low + (high - low) * static_cast<float>(seed >> 8) * 0x1p-24f;
  }
  return out;
}

class Meter {
 public:
  Meter(Cpu& cpu, const MachineSpeed& machine, const OpRequest& request)
      : cpu_(cpu), machine_(machine), request_(request), L_(request.tokens) {}

  bool wants(const std::string& op) const { return request_.only.empty() || request_.only == op; }

  // make(begin, end) is the op for these tokens; as a model does, the run goes through all tokens
  // slab by slab. flop and floats moved are those of one token.
  template <class Make>
  void run(const std::string& op, const std::string& sizes, double flop, double floats, Make make) {
    const Index slab = kTile * cpu_.threads();
    check(make(0, std::min(slab, L_)));
    const auto once = [&] {
      for (Index begin = 0; begin < L_; begin += slab) {
        genossm::run(cpu_, make(begin, std::min(begin + slab, L_)));
      }
    };
    once();
    // The best, as for the limits: others who use the machine only ever add time.
    double best = std::numeric_limits<double>::infinity();
    for (int i = 0; i < request_.repetitions; ++i) {
      const double start = now();
      once();
      best = std::min(best, now() - start);
    }
    OpSpeed speed;
    speed.op = op;
    speed.sizes = "L " + std::to_string(L_) + ", " + sizes;
    speed.seconds = best;
    const double per_ns = static_cast<double>(L_) / best / 1e9;
    speed.gflops = flop * per_ns;
    speed.gbytes_per_s = floats * sizeof(float) * per_ns;
    speed.fma_ratio = speed.gflops / machine_.fma_gflops;
    speed.copy_ratio = speed.gbytes_per_s / machine_.copy_gbytes_per_s;
    speed.ratio = std::max(speed.fma_ratio, speed.copy_ratio);
    results.push_back(std::move(speed));
  }

  std::vector<OpSpeed> results;
  Index tokens() const { return L_; }

 private:
  Cpu& cpu_;
  const MachineSpeed& machine_;
  const OpRequest& request_;
  Index L_;
};

// The four products of a Mamba-1 block, and the first one of Mamba-2.
void matmuls(Meter& meter) {
  for (const auto& [K, N] :
       {std::pair<Index, Index>{256, 1024}, {512, 48}, {16, 512}, {512, 256}, {256, 1160}}) {
    Device device{Cpu(1)};
    const Index L = meter.tokens();
    const Buffer<float> w = spread(N * K, -0.1f, 0.1f), x = spread(L * K, -1, 1), y(L * N);
    const MatmulWeight weight = MatmulWeight::pack(device, w.matrix(N, K));
    const auto k = static_cast<double>(K), n = static_cast<double>(N);
    meter.run("matmul", "K " + std::to_string(K) + ", N " + std::to_string(N), 2 * k * n, k + n,
              [&](Index begin, Index end) {
                return Matmul{.x = rows(x.matrix(L, K), begin, end),
                              .weight = &weight,
                              .y = rows(y.matrix(L, N), begin, end)};
              });
  }
}

void selective_scan(Meter& meter) {
  const Index L = meter.tokens(), D = 512, N = 16;
  const Buffer<float> u = spread(L * D, -1, 1), dt = spread(L * D, -5, -2),
                      z = spread(L * D, -2, 2);
  const Buffer<float> A = spread(N * D, -16, -1), B = spread(L * N, -1, 1),
                      C = spread(L * N, -1, 1);
  const Buffer<float> bias = spread(D, -1, 1), h = spread(N * D, 0, 0), y(L * D);
  // A state: the exponent, the exponential, two products and two sums and a product.
  const double channel = 7.0 * N + 10;
  meter.run("selective_scan", "D 512, N 16", channel * D, 4 * D + 2 * N,
            [&](Index begin, Index end) {
              return SelectiveScan{.u = rows(u.matrix(L, D), begin, end),
                                   .dt = rows(dt.matrix(L, D), begin, end),
                                   .dt_bias = bias.view(),
                                   .A = A.matrix(N, D),
                                   .B = rows(View<const float, 3>(B.data(), {L, 1, N}), begin, end),
                                   .C = rows(View<const float, 3>(C.data(), {L, 1, N}), begin, end),
                                   .skip = bias.view(),
                                   .z = rows(z.matrix(L, D), begin, end),
                                   .h = h.matrix(N, D),
                                   .y = rows(y.matrix(L, D), begin, end)};
            });
}

void ssd(Meter& meter) {
  const Index L = meter.tokens(), H = 8, P = 64, N = 64;
  const Buffer<float> x = spread(L * H * P, -1, 1), dt = spread(L * H, -5, -2);
  const Buffer<float> A = spread(H, -16, -1), B = spread(L * N, -1, 1), C = spread(L * N, -1, 1);
  const Buffer<float> bias = spread(H, -1, 1), skip = spread(H * P, -1, 1);
  const Buffer<float> h = spread(H * N * P, 0, 0), scale = spread(H, 1, 1), y(L * H * P);
  // By the definition, five a state; the kernel gets along with four.
  meter.run("ssd", "H 8, P 64, N 64", 5.0 * H * P * N, 2 * H * P + H + 2 * N,
            [&](Index begin, Index end) {
              return Ssd{.x = rows(x.matrix(L, H * P), begin, end),
                         .dt = rows(dt.matrix(L, H), begin, end),
                         .dt_bias = bias.view(),
                         .A = A.view(),
                         .B = rows(View<const float, 3>(B.data(), {L, 1, N}), begin, end),
                         .C = rows(View<const float, 3>(C.data(), {L, 1, N}), begin, end),
                         .skip = skip.view(),
                         .h = {h.data(), {H, N, P}},
                         .scale = scale.view(),
                         .y = rows(y.matrix(L, H * P), begin, end)};
            });
}

void causal_conv(Meter& meter) {
  const Index L = meter.tokens(), D = 512, W = 4;
  const Buffer<float> x = spread(L * D, -1, 1), w = spread(W * D, -1, 1), bias = spread(D, -1, 1);
  const Buffer<float> tail = spread((W - 1) * D, -1, 1), y(L * D);
  meter.run("causal_conv", "D 512, W 4, silu", (2.0 * W + 4) * D, 2 * D,
            [&](Index begin, Index end) {
              return CausalConv{.x = rows(x.matrix(L, D), begin, end),
                                .w = w.matrix(W, D),
                                .bias = bias.view(),
                                .tail = tail.matrix(W - 1, D),
                                .y = rows(y.matrix(L, D), begin, end)};
            });
}

void norms(Meter& meter) {
  const Index L = meter.tokens();
  for (const Index D : {256, 512}) {
    const bool gated = D == 512;
    const Buffer<float> x = spread(L * D, -1, 1), z = spread(L * D, -2, 2), w = spread(D, 0.5f, 2);
    const Buffer<float> y(L * D);
    const auto n = static_cast<double>(D);
    meter.run("norm", gated ? "D 512, gated" : "D 256", (gated ? 9 : 4) * n, (gated ? 3 : 2) * n,
              [&](Index begin, Index end) {
                return Norm{.x = rows(x.matrix(L, D), begin, end),
                            .weight = w.view(),
                            .z = gated ? rows(z.matrix(L, D), begin, end) : View<float, 2>(),
                            .gate = gated ? Norm::Gate::before : Norm::Gate::none,
                            .y = rows(y.matrix(L, D), begin, end)};
              });
  }
}

void activation(Meter& meter) {
  const Index L = meter.tokens(), D = 512;
  const Buffer<float> x = spread(L * D, -1, 1), z = spread(L * D, -2, 2), y(L * D);
  meter.run("activation", "D 512, silu gate", 5.0 * D, 3 * D, [&](Index begin, Index end) {
    return Activation{.x = rows(x.matrix(L, D), begin, end),
                      .gate = rows(z.matrix(L, D), begin, end),
                      .y = rows(y.matrix(L, D), begin, end)};
  });
}

struct Entry {
  const char* name;
  void (*measure)(Meter&);
};
constexpr Entry kEntries[] = {{"matmul", matmuls}, {"selective_scan", selective_scan},
                              {"ssd", ssd},        {"causal_conv", causal_conv},
                              {"norm", norms},     {"activation", activation}};

}  // namespace

std::vector<std::string> measured_ops() {
  std::vector<std::string> names;
  for (const Entry& entry : kEntries) names.emplace_back(entry.name);
  return names;
}

std::vector<OpSpeed> measure_ops(Cpu& cpu, const MachineSpeed& machine, const OpRequest& request) {
  require(request.tokens > 0 && request.repetitions > 0, Fault::usage,
          "bench: tokens and repetitions must be above 0");
  Meter meter(cpu, machine, request);
  bool found = false;
  std::string names;
  for (const Entry& entry : kEntries) {
    names += (names.empty() ? "" : ", ") + std::string(entry.name);
    if (!meter.wants(entry.name)) continue;
    entry.measure(meter);
    found = true;
  }
  if (!found) {
    fail(Fault::usage, "bench: no op '" + request.only + "'; there are " + names);
  }
  return std::move(meter.results);
}

}  // namespace genossm
