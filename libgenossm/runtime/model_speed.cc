#include "libgenossm/runtime/model_speed.h"

#include <algorithm>
#include <chrono>

namespace genossm {
namespace {

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t n = values.size();
  return n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

Timing median(const std::vector<Timing>& timings) {
  std::vector<double> wall, cpu;
  for (const Timing& t : timings) wall.push_back(t.seconds), cpu.push_back(t.cpu_seconds);
  return {median(wall), median(cpu)};
}

// Tokens 7 to 10 are A, C, G, T in the Caduceus vocabulary; smaller ones wrap round.
std::int32_t token_at(Index i, Index vocab) {
  const auto mixed = static_cast<std::uint64_t>(i + 1) * 0x9e3779b97f4a7c15ull >> 62;
  return static_cast<std::int32_t>((7 + static_cast<Index>(mixed)) % vocab);
}

Timing run_model(const Model& model, Executor& executor, const SpeedRequest& request) {
  const Index vocab = model.card().vocab;
  Unit unit;
  unit.length = unit.count = request.tokens;
  unit.tokens = [vocab](Index begin, std::span<std::int32_t> out) {
    for (std::size_t i = 0; i < out.size(); ++i) {
      out[i] = token_at(begin + static_cast<Index>(i), vocab);
    }
  };
  const std::vector<Unit> units(static_cast<std::size_t>(request.sequences), unit);
  const auto start = std::chrono::steady_clock::now();
  const double cpu_start = process_cpu_seconds();
  executor.run(units, [](Index, Index, View<const float, 2>) {});
  return {std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(),
          process_cpu_seconds() - cpu_start};
}

}  // namespace

ModelSpeed measure_model(const Model& model, Device& device, const SpeedRequest& request) {
  require(as_cuda(device) != nullptr || std::holds_alternative<Cpu>(device), Fault::device,
          "bench: there is nothing to be learnt from the speed of the definition");
  require(request.tokens > 0 && request.sequences > 0 && request.repetitions > 0, Fault::usage,
          "bench: tokens, sequences and repetitions must be above 0");
  const bool on_gpu = as_cuda(device) != nullptr;
  const int threads = on_gpu ? 1 : std::get<Cpu>(device).threads();
  const bool strands = model.card().strands;
  ExecutorOptions options;
  options.strand = strands ? StrandMode::average : StrandMode::forward;
  options.threads = threads;
  options.chunk = request.chunk;
  options.memory = request.memory;
  options.window = model.card().layer_major() ? request.tokens : 0;
  Executor executor(model, device, options);
  const Index tokens = request.tokens * request.sequences;
  const Index rows = tokens * (strands ? 2 : 1);
  // The replay is even all along: a part of a long run says as much as the whole.
  const Index replay_rows = std::min<Index>(rows, 16'384);

  std::vector<Timing> whole, gemm, convs;
  // Caches and pages are warm after the first seconds of a run: one of minutes needs none before
  // it.
  constexpr Index kLong = 500'000;
  if (tokens < kLong) run_model(model, executor, request);
  const auto replay = [&] {
    Cpu& cpu = std::get<Cpu>(device);
    gemm.push_back(replay_products(model, cpu, replay_rows, executor.plan().lane_slab));
    const Timing conv = replay_long_convs(model, cpu, request.tokens);
    const double times = static_cast<double>(request.sequences);
    convs.push_back({times * conv.seconds, times * conv.cpu_seconds});
  };
  // The first replay of all is the slowest by far. One stands on either side of every run.
  if (!on_gpu)
    replay_products(model, std::get<Cpu>(device), replay_rows, executor.plan().lane_slab);
  for (int i = 0; i < request.repetitions; ++i) {
    if (!on_gpu) replay();
    whole.push_back(run_model(model, executor, request));
  }
  if (!on_gpu) replay();
  const Timing a = median(whole);
  ModelSpeed speed;
  speed.threads = threads;
  const double n = static_cast<double>(tokens);
  speed.tokens_per_s = n / a.seconds;
  if (on_gpu) return speed;
  const Timing b = median(gemm), c = median(convs);
  const double share = static_cast<double>(replay_rows) / static_cast<double>(rows);
  speed.gemm_tokens_per_s = n / (b.seconds / share + c.seconds);
  speed.ratio = speed.tokens_per_s / speed.gemm_tokens_per_s;
  speed.cpu_tokens_per_s = n / a.cpu_seconds;
  speed.cpu_gemm_tokens_per_s = n / (b.cpu_seconds / share + c.cpu_seconds);
  speed.cpu_ratio = speed.cpu_tokens_per_s / speed.cpu_gemm_tokens_per_s;
  speed.gemm_gflops = product_flop(model, replay_rows) / b.seconds / 1e9;
  return speed;
}

}  // namespace genossm
