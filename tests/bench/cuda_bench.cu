// Times of the CUDA engine beside a bound and, where one was measured on an H200, the original
// kernels (gpu_peers: mamba-ssm 2.3.2, causal-conv1d 1.6.1). Random inputs, medians of CUDA events.
//
//   cuda_bench [quick | once] [TEXT]   once: every row a single time, for profilers; TEXT: only the
//                                      rows whose name holds it
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <vector>

#include "kernels/causal_conv/causal_conv.h"
#include "kernels/core/cuda/device.cuh"
#include "kernels/core/cuda/impl.h"
#include "kernels/hyena_filter/hyena_filter.h"
#include "kernels/long_conv/long_conv.h"
#include "kernels/matmul/matmul.h"
#include "kernels/norm/norm.h"
#include "kernels/selective_scan/selective_scan.h"
#include "kernels/ssd/ssd.h"
#include "libgenossm/model/cuda_mixer.h"
#include "libgenossm/model/cuda_whole.h"
#include "libgenossm/runtime/cuda_lane.h"
#include "libgenossm/runtime/random_model.h"

namespace genossm {
namespace {

// Uniform in [low, high), a function of the index alone.
template <class T>
__global__ void fill_kernel(T* out, Index n, unsigned seed, float low, float high) {
  const Index i = static_cast<Index>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= n) return;
  unsigned x =
      static_cast<unsigned>(i) * 2654435761u ^ static_cast<unsigned>(i >> 32) * 40503u ^ seed;
  x ^= x >> 16, x *= 0x7feb352du, x ^= x >> 15, x *= 0x846ca68bu, x ^= x >> 16;
  out[i] = from_float<T>(low + (high - low) * (static_cast<float>(x >> 8) * 0x1p-24f));
}

class Bench {
 public:
  Bench() : device_(Cuda(0)), cuda_(*as_cuda(device_)) {}
  Cuda& cuda() { return cuda_; }
  Device& device() { return device_; }

  template <class T>
  CudaBuffer<T> random(Index n, float low = -1, float high = 1) {
    CudaBuffer<T> out(cuda_, n);
    fill_kernel<<<static_cast<unsigned>(div_up(n, 256)), 256, 0, stream_of(cuda_)>>>(
        out.data(), n, ++seed_ * 7919u, low, high);
    ok_launch();
    return out;
  }

  template <class Body>
  double milliseconds(Body body, int repeats = 7) {
    if (!once) body();
    std::vector<double> times;
    for (int i = 0; i < (once ? 1 : repeats); ++i) {
      cuda_.mark(6);
      body();
      cuda_.mark(7);
      cuda_.wait_for(7);
      times.push_back(cuda_.milliseconds(6, 7));
    }
    std::sort(times.begin(), times.end());
    return times[times.size() / 2];
  }

  // bound and peer in ms, 0: none.
  void row(const char* what, double ms, Index tokens, double bound, double peer, double must = 0,
           double good = 0) {
    std::printf("%-58s %9.3f ms %8.2f ns/token", what, ms, ms * 1e6 / static_cast<double>(tokens));
    if (bound > 0) std::printf("  bound %8.3f (%3.0f %%)", bound, 100 * bound / ms);
    if (peer > 0) std::printf("  peer %8.2f (%.2fx)", peer, peer / ms);
    if (must > 0)
      std::printf("  must %.2f good %.2f: %s", must, good,
                  ms <= good   ? "good"
                  : ms <= must ? "must"
                               : "SHORT");
    std::printf("\n");
    std::fflush(stdout);
  }

  bool wanted(const std::string& what) const { return what.find(only) != std::string::npos; }

  bool once = false;
  std::string only;
  double bytes_a_ms = 4.3e9;  // replaced by what this device copies

 private:
  Device device_;
  Cuda& cuda_;
  unsigned seed_ = 1;
};

constexpr double kSpecialAMs = 4.13e9;  // exponentials of an H200

void copy(Bench& b) {
  const Index n = Index{1} << 30;
  auto x = b.random<float>(n / 4), y = b.random<float>(n / 4);
  const double ms = b.milliseconds([&] {
    ok(cudaMemcpyAsync(y.data(), x.data(), static_cast<std::size_t>(n), cudaMemcpyDeviceToDevice,
                       stream_of(b.cuda())));
  });
  b.bytes_a_ms = 2.0 * static_cast<double>(n) / ms;
  std::printf("%s: copy %.2f TB/s\n", b.cuda().name().c_str(), b.bytes_a_ms * 1e-9);
}

// The steps of a freshly initialised Mamba: log-uniform in [0.001, 0.1] over the channels, A = -1
// .. -16.
struct ScanSizes {
  Index L, D, N;
};
template <class T>
void scan(Bench& b, const char* what, ScanSizes s, double peer, double must, double good) {
  if (!b.wanted(what)) return;
  const auto [L, D, N] = s;
  auto u = b.random<T>(L * D), dt = b.random<T>(L * D, -0.5f, 0.5f), z = b.random<T>(L * D),
       y = b.random<T>(L * D);
  auto B = b.random<T>(L * N), C = b.random<T>(L * N);
  std::vector<float> bias, A, skip(static_cast<std::size_t>(D), 1.0f);
  for (Index c = 0; c < D; ++c) {
    const double step =
        0.001 * std::pow(100.0, static_cast<double>((c * 7919) % D) / static_cast<double>(D));
    bias.push_back(static_cast<float>(std::log(std::expm1(step))));
  }
  for (Index n = 0; n < N; ++n) {
    for (Index c = 0; c < D; ++c) A.push_back(-static_cast<float>(n + 1));
  }
  CudaBuffer<float> on_bias(b.cuda(), bias), on_A(b.cuda(), A), on_skip(b.cuda(), skip),
      h = b.random<float>(N * D);
  const BasicSelectiveScan<T> op{.u = u.matrix(L, D),
                                 .dt = dt.matrix(L, D),
                                 .dt_bias = on_bias.view(),
                                 .A = on_A.matrix(N, D),
                                 .B = {B.data(), {L, 1, N}},
                                 .C = {C.data(), {L, 1, N}},
                                 .skip = on_skip.view(),
                                 .z = z.matrix(L, D),
                                 .h = h.matrix(N, D),
                                 .y = y.matrix(L, D)};
  const double ms = b.milliseconds([&] { run(b.cuda(), op); });
  const double bytes = static_cast<double>(L) *
                       (4.0 * static_cast<double>(D) + 2.0 * static_cast<double>(N)) * sizeof(T);
  const double special = static_cast<double>(L * D) * static_cast<double>(N + 4);
  b.row(what, ms, L, std::max(bytes / b.bytes_a_ms, special / kSpecialAMs), peer, must, good);
}

void conv(Bench& b, const char* what, Index L, Index D, double peer) {
  if (!b.wanted(what)) return;
  auto x = b.random<bf16>(L * D), y = b.random<bf16>(L * D);
  auto w = b.random<float>(4 * D), bias = b.random<float>(D), tail = b.random<float>(3 * D);
  const BasicCausalConv<bf16> op{.x = x.matrix(L, D),
                                 .w = w.matrix(4, D),
                                 .bias = bias.view(),
                                 .tail = tail.matrix(3, D),
                                 .y = y.matrix(L, D)};
  const double ms = b.milliseconds([&] { run(b.cuda(), op); });
  b.row(what, ms, L, static_cast<double>(L * D) * 4 / b.bytes_a_ms, peer);
}

void products(Bench& b, Index L) {
  if (!b.wanted("products")) return;
  for (const auto& [K, N, softplus] : {std::tuple<Index, Index, bool>{256, 1024, false},
                                       {512, 48, false},
                                       {16, 512, true},
                                       {256, 1160, false}}) {
    std::vector<float> w(static_cast<std::size_t>(K * N));
    for (std::size_t i = 0; i < w.size(); ++i)
      w[i] = static_cast<float>(i * 7919 % 1000) * 1e-3f - 0.5f;
    const auto weight = MatmulWeight::pack(b.device(), {w.data(), {N, K}}, Precision::bf16);
    auto x = b.random<bf16>(L * K), y = b.random<bf16>(L * N);
    auto bias = b.random<float>(N);
    BasicMatmul<bf16, bf16> op{
        .x = x.matrix(L, K), .weight = &weight, .y = y.matrix(L, N), .softplus = softplus};
    if (softplus) op.bias = bias.view();
    const double ms = b.milliseconds([&] { run(b.cuda(), op); });
    const double bytes = 2.0 * static_cast<double>(L * (K + N)),
                 flops = 2.0 * static_cast<double>(L) * static_cast<double>(K * N);
    b.row(("product " + std::to_string(K) + " x " + std::to_string(N) +
           (softplus ? ", softplus" : ""))
              .c_str(),
          ms, L, std::max(bytes / b.bytes_a_ms, flops / 0.79e12), 0);
  }
  const Index K = 512, N = 256;
  std::vector<float> w(static_cast<std::size_t>(K * N), 0.01f);
  const auto weight = MatmulWeight::pack(b.device(), {w.data(), {N, K}}, Precision::bf16);
  auto x = b.random<bf16>(L * 2 * K);
  auto y = b.random<float>(L * N);
  const BasicMatmul<bf16, float> op{.x = {x.data(), {L, K}, {2 * K, 1}},
                                    .weight = &weight,
                                    .accumulate = true,
                                    .y = y.matrix(L, N)};
  b.row("product 512 x 256 added to float32", b.milliseconds([&] { run(b.cuda(), op); }), L,
        static_cast<double>(L) * (1024 + 2048) / b.bytes_a_ms, 0);
  auto weights = b.random<float>(N);
  auto half = b.random<bf16>(L * N);
  const BasicNorm<float, bf16> norm{
      .x = y.matrix(L, N), .weight = weights.view(), .y = half.matrix(L, N)};
  b.row("norm 256, float32 to bf16", b.milliseconds([&] { run(b.cuda(), norm); }), L,
        static_cast<double>(L * N) * 6 / b.bytes_a_ms, 0);
}

void ssd(Bench& b, const char* what, Index L, Index H, Index N, double peer, double must,
         double good) {
  if (!b.wanted(what)) return;
  const Index D = H * 64;
  auto x = b.random<bf16>(L * D), y = b.random<bf16>(L * D), dt = b.random<bf16>(L * H);
  auto B = b.random<bf16>(L * N), C = b.random<bf16>(L * N);
  auto h = b.random<float>(H * N * 64), skip = b.random<float>(D),
       bias = b.random<float>(H, -6, -2);
  std::vector<float> decays;
  for (Index i = 0; i < H; ++i)
    decays.push_back(-1.0f - 15.0f * static_cast<float>(i) / static_cast<float>(H));
  CudaBuffer<float> A(b.cuda(), decays);
  const BasicSsd<bf16> op{.x = x.matrix(L, D),
                          .dt = dt.matrix(L, H),
                          .dt_bias = bias.view(),
                          .A = A.view(),
                          .B = {B.data(), {L, 1, N}},
                          .C = {C.data(), {L, 1, N}},
                          .skip = skip.view(),
                          .h = {h.data(), {H, N, 64}},
                          .y = y.matrix(L, D)};
  const double ms = b.milliseconds([&] { run(b.cuda(), op); }, 5);
  const double bytes = static_cast<double>(L) * 2 * static_cast<double>(2 * D + 2 * N + H);
  const double flops = static_cast<double>(L * H) *
                       (64.0 * static_cast<double>(N) + 64 * 64 + 4 * 64 * static_cast<double>(N));
  b.row(what, ms, L, std::max(bytes / b.bytes_a_ms, flops / 0.776e12), peer, must, good);
}

std::vector<std::int32_t> random_tokens(Index n, unsigned seed) {
  std::vector<std::int32_t> out(static_cast<std::size_t>(n));
  for (auto& token : out) {
    seed = seed * 1664525u + 1013904223u;
    token = static_cast<std::int32_t>(7 + (seed >> 13) % 4);
  }
  return out;
}

Model model_of(Bench& b, const std::string& config, Precision precision) {
  return Model::make(random_spec(Json::parse(config, "bench"), 5), {&b.device(), precision});
}

std::string caduceus(int layers) {
  return R"({"model_type": "caduceus", "d_model": 256, "n_layer": )" + std::to_string(layers) +
         R"(, "vocab_size": 16, "rcps": true, "complement_map": {"7": 10, "8": 9, "9": 8, "10": 7},
         "ssm_cfg": {"d_state": 16}})";
}

// One whole forward pass, tokens to the last hidden states, in batches of `chunk` rows.
void whole(Bench& b, const char* what, const Model& model, Index L, int strands, Index chunk,
           double peer, double must, double good, int repeats = 3) {
  if (!b.wanted(what)) return;
  std::vector<std::vector<std::int32_t>> ids;
  for (int i = 0; i < strands; ++i) ids.push_back(random_tokens(L, static_cast<unsigned>(i + 1)));
  const Index before = b.cuda().free_memory();
  CudaLane lane(model, Features{}, chunk);
  const bool together = strands * L <= chunk;
  std::vector<std::vector<Tokens>> batches(1);
  for (const auto& one : ids) {
    if (!together && !batches.back().empty()) batches.emplace_back();
    batches.back().emplace_back(one);
  }
  std::vector<double> times;
  for (int i = b.once ? 1 : 0; i <= (b.once ? 1 : repeats); ++i) {
    double sum = 0;
    for (const auto& batch : batches) {
      lane.forward(b.cuda(), batch);
      b.cuda().mark(7);
      b.cuda().wait_for(7);
      sum += b.cuda().milliseconds(CudaLane::kBegunMark, 7);
    }
    if (i > 0) times.push_back(sum);
  }
  std::sort(times.begin(), times.end());
  const double ms = times[times.size() / 2];
  b.row(what, ms, L, 0, peer, must, good);
  std::printf("    device memory %.2f GiB beside %.1f MiB of weights\n",
              static_cast<double>(before - b.cuda().free_memory()) / (1 << 30),
              static_cast<double>(model.card().weight_bytes) / (1 << 20));
}

// One block of a model alone: from its norm to out_proj, added to the residual stream.
void block(Bench& b, const char* what, const Model& model, Index L, double peer, double must,
           double good) {
  if (!b.wanted(what)) return;
  const CudaModel& net = *model.on_cuda();
  const Index D = model.card().d_model;
  auto x = b.random<float>(L * D);
  SequenceTable table;
  table.assign(b.cuda(), {{0, L, -1, true, 0}});
  CudaScratch scratch;
  net.reserve(b.cuda(), scratch, L, 1);
  const double ms = b.milliseconds([&] {
    net.block(b.cuda(), scratch, 0, x.matrix(L, D), {table.view(), {}}, nullptr);
  });
  b.row(what, ms, L, 0, peer, must, good);
}

// What the original block is: the mixer without norm and residual stream, in_proj to out_proj,
// with a result in bf16.
void mixer(Bench& b, const char* what, const std::string& config, Index L, double peer) {
  if (!b.wanted(what)) return;
  const ModelSpec spec = random_spec(Json::parse(config, "bench"), 5);
  const auto& mixer = std::get<Mamba2Spec>(spec.blocks.front().forward);
  const auto made = make_cuda_mixer<bf16>(b.device(), mixer, mixer);
  auto x = b.random<bf16>(L * spec.d_model), p = b.random<bf16>(L * made->projected()),
       g = b.random<bf16>(L * made->mixed());
  auto y = b.random<bf16>(L * spec.d_model);
  const CudaLinear out(b.device(), Precision::bf16, mixer.out_proj, mixer.out_bias);
  SequenceTable table;
  table.assign(b.cuda(), {{0, L, -1, true, 0}});
  CudaScratch scratch;
  made->reserve(b.cuda(), scratch, L, 1);
  const double ms = b.milliseconds([&] {
    const View<bf16, 2> projected = p.matrix(L, made->projected()),
                        mixed = g.matrix(L, made->mixed());
    made->project_in(b.cuda(), x.matrix(L, spec.d_model), projected);
    made->mix(b.cuda(), scratch, projected, {table.view(), {}}, nullptr, false, false, mixed);
    out.run(b.cuda(), View<const bf16, 2>(mixed), y.matrix(L, spec.d_model));
  });
  b.row(what, ms, L, 0, peer);
}

// The taps' spectra are computed in every run, as the peer does. Bound: a channel and token of 48
// bytes: two levels of a transform of complex numbers, there and back.
void long_conv(Bench& b, const char* what, Index L, Index D, double peer, double must,
               double good) {
  if (!b.wanted(what)) return;
  auto u = b.random<float>(L * D), h = b.random<float>(L * D), y = b.random<float>(L * D),
       gate = b.random<float>(L * D), skip = b.random<float>(D);
  const LongConv op{.u = u.matrix(L, D),
                    .h = h.matrix(L, D),
                    .skip = skip.view(),
                    .gate = gate.matrix(L, D),
                    .y = y.matrix(L, D)};
  const double ms = b.milliseconds([&] { run(b.cuda(), op); });
  b.row(what, ms, L, 48.0 * static_cast<double>(L * D) / b.bytes_a_ms, peer, must, good);
}

// The Hyena operator of HyenaDNA's width, in_proj to out_proj, with its filters; and these alone.
template <class T>
void hyena(Bench& b, const char* what, Index L, double peer, double must, double good) {
  if (!b.wanted(what)) return;
  const ModelSpec spec = random_spec(
      Json::parse(R"({"model_type": "hyenadna", "d_model": 256, "d_inner": 1024, "n_layer": 1,
                      "vocab_size": 12, "emb_dim": 5, "filter_order": 64, "max_seq_len": )" +
                      std::to_string(L) + "}",
                  "bench"),
      5);
  const auto& mixer = std::get<HyenaSpec>(spec.blocks.front().forward);
  const auto made = make_cuda_whole<T>(b.device(), mixer);
  auto n = b.random<T>(L * 256);
  auto x = b.random<float>(L * 256);
  SequenceTable table;
  table.assign(b.cuda(), {{0, L, -1, true, 0}});
  CudaScratch scratch;
  made->reserve(b.cuda(), scratch, L);
  const double ms = b.milliseconds([&] {
    made->run(b.cuda(), scratch, View<const T, 2>(n.matrix(L, 256)), table.view(),
              x.matrix(L, 256));
  });
  b.row(what, ms, L, 0, peer, must, good);
  std::printf("    device memory %.2f GiB in scratch\n",
              static_cast<double>(scratch.size() + b.cuda().scratch_bytes()) / (1 << 30));
}

void hyena_filter(Bench& b, const char* what, Index L, double peer) {
  if (!b.wanted(what)) return;
  const Index E = 5, H = 64, M = 2, D = 256;
  auto z = b.random<float>(L * E), a = b.random<float>(L * H), h = b.random<float>(L * D),
       weights = b.random<float>((E + M * H + D) * H), time = b.random<float>(L, 0, 1),
       small = b.random<float>((2 + M) * H + D);
  const float *w0 = weights.data(), *b0 = small.data();
  const HyenaTrunk trunk{.z = z.matrix(L, E),
                         .w0 = {w0, {E, H}},
                         .b0 = {b0, {H}},
                         .w = {w0 + E * H, {M, H, H}},
                         .b = {b0 + H, {M, H}},
                         .freq = {b0 + (1 + M) * H, {H}},
                         .a = a.matrix(L, H)};
  const HyenaTaps taps{.a = a.matrix(L, H),
                       .w = {w0 + (E + M * H) * H, {H, D}},
                       .time = time.view(),
                       .deltas = {b0 + (2 + M) * H, {D}},
                       .h = h.matrix(L, D)};
  const double first = b.milliseconds([&] { run(b.cuda(), trunk); });
  const double both = b.milliseconds([&] {
    run(b.cuda(), trunk);
    run(b.cuda(), taps);
  });
  b.row(what, both, L, 0, peer);
  std::printf("    the trunk %.3f ms\n", first);
}

void all(bool quick, bool once, const char* only) {
  Bench b;
  b.once = once;
  b.only = only;
  copy(b);
  const Index M = Index{1} << 20;
  scan<bf16>(b, "selective scan bf16, 512 x 16, 1 M", {M, 512, 16}, 11.3, 6, 3.8);
  scan<float>(b, "selective scan fp32, 512 x 16, 1 M", {M, 512, 16}, 27.6, 7.5, 5.3);
  scan<bf16>(b, "selective scan bf16, 128 x 16, 1 M", {M, 128, 16}, 9.98, 2, 1.4);
  scan<bf16>(b, "selective scan bf16, 2048 x 16, 1 M", {M, 2048, 16}, 46.7, 0, 0);
  conv(b, "conv + SiLU bf16, 512, 1 M", M, 512, 0.62);
  products(b, M);
  ssd(b, "ssd 64 heads x 64, state 128, 131,072", 131072, 64, 128, 4.93, 3.3, 1.7);
  ssd(b, "ssd 16 heads x 64, state 128, 1 M", M, 16, 128, 11.15, 0, 0);
  ssd(b, "ssd 8 heads x 64, state 64, 1 M", M, 8, 64, 0, 0, 0);
  if (!quick) ssd(b, "ssd 64 heads x 64, state 128, 1 M (peer fails)", M, 64, 128, 0, 0, 0);
  long_conv(b, "long convolution fp32, 256, 131,072", 131072, 256, 2.60, 1.3, 0.6);
  long_conv(b, "long convolution fp32, 256, 1 M", M, 256, 20.3, 10, 4.5);
  hyena_filter(b, "Hyena filter, 64 to 256, 1 M", M, 4.4);
  hyena<bf16>(b, "Hyena operator bf16, 256, 131,072", 131072, 5.41, 1.35, 0.8);
  hyena<bf16>(b, "Hyena operator bf16, 256, 1 M", M, 64.3, 16, 9.2);
  hyena<float>(b, "Hyena operator fp32, 256, 131,072", 131072, 6.91, 0, 0);
  hyena<float>(b, "Hyena operator fp32, 256, 1 M", M, 73.5, 0, 0);
  if (b.wanted("HyenaDNA")) {
    const std::string config = R"({"model_type": "hyenadna", "d_model": 256, "d_inner": 1024,
        "n_layer": 8, "vocab_size": 12, "emb_dim": 5, "filter_order": 64, "max_seq_len": 1000002})";
    const Model large = model_of(b, config, Precision::bf16);
    whole(b, "HyenaDNA large shape, 131,072", large, 131072, 1, 262144, 0, 0, 0);
    whole(b, "HyenaDNA large shape, 1,000,000", large, 1000000, 1, 262144, 0, 0, 0, 3);
  }
  {
    const Model ps = model_of(b, caduceus(16), Precision::bf16);
    whole(b, "Caduceus-PS, 16 layers, 131,072", ps, 131072, 2, 262144, 132, 62, 40);
    whole(b, "Caduceus-PS, 16 layers, 1,048,576", ps, M, 2, 262144, 1044, 480, 300);
    whole(b, "Caduceus-Ph shape, 131,072", ps, 131072, 1, 262144, 66, 0, 0);
    if (!quick) {
      for (const Index L : {Index{65536}, Index{262144}, Index{524288}, Index{4} * M}) {
        whole(b, ("Caduceus-Ph shape, " + std::to_string(L)).c_str(), ps, L, 1, 262144, 0, 0, 0);
      }
      for (const Index L : {Index{65536}, Index{262144}, Index{4} * M}) {
        whole(b, ("Caduceus-PS, 16 layers, " + std::to_string(L)).c_str(), ps, L, 2, 262144, 0, 0,
              0);
      }
      const Model full = model_of(b, caduceus(16), Precision::fp32);
      whole(b, "Caduceus-PS fp32, 131,072", full, 131072, 2, 262144, 0, 0, 0);
    }
  }
  {
    const std::string config = R"({"d_model": 256, "n_layer": 1, "vocab_size": 16,
        "ssm_cfg": {"layer": "Mamba2", "d_state": 64, "headdim": 64}})";
    const Model two = model_of(b, config, Precision::bf16);
    whole(b, "Mamba-2 model of one block, 256, state 64, 1 M", two, M, 1, M, 8.8, 5, 3, 5);
    block(b, "Mamba-2 block alone, 256, state 64, 1 M", two, M, 8.8, 5, 3);
    mixer(b, "Mamba-2 mixer alone, 256, state 64, 1 M", config, M, 8.8);
    const Model one = model_of(
        b, R"({"d_model": 256, "n_layer": 1, "vocab_size": 16, "ssm_cfg": {"d_state": 16}})",
        Precision::bf16);
    whole(b, "Mamba-1 model of one block, 256, 1 M", one, M, 1, M, 14.9, 0, 0, 5);
    block(b, "Mamba-1 block alone, 256, 1 M", one, M, 14.9, 0, 0);
  }
}

}  // namespace
}  // namespace genossm

int main(int argc, char** argv) {
  if (genossm::cuda_devices() == 0) {
    std::printf("no GPU on this machine\n");
    return 0;
  }
  try {
    const bool once = argc > 1 && std::strcmp(argv[1], "once") == 0;
    const bool quick = argc > 1 && std::strcmp(argv[1], "quick") == 0;
    const char* only = argc > 1 ? argv[argc - 1] : "";
    if (argc == 2 && (once || quick)) only = "";
    genossm::all(quick, once, only);
  } catch (const genossm::Error& error) {
    std::printf("%s\n", error.what());
    return 1;
  }
  return 0;
}
