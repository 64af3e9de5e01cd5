// StripedHyena (Evo 1, Evo 2) of a published size on a GPU, with weights that are noise: seconds to
// load, bases a second over windows of some lengths, device memory. Not a test.
//
//   striped_bench NAME LENGTH[xCOUNT]...
//
// NAME: of a preset, "evo2_7b". The last hidden state is what is computed.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "libgenossm/model/families/presets.h"
#include "libgenossm/runtime/executor.h"
#include "libgenossm/runtime/random_model.h"

namespace {

using namespace genossm;

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::uint32_t seed = 1;
float noise() {
  seed = seed * 1664525u + 1013904223u;
  return static_cast<float>(seed >> 8) * 0x1p-23f - 1;
}

// All matrices are the beginning of one.
struct Noise {
  std::vector<std::uint16_t> values;
  void give(Tensor& t) {
    if (t.stored.data == nullptr) return;
    const auto n = static_cast<std::size_t>(t.stored.rows * t.stored.columns);
    while (values.size() < n) values.push_back(f32_to_bf16(0.03f * noise()));
    t.file.reset();
    t.stored.data = reinterpret_cast<const std::byte*>(values.data());
  }
};

void fill(Tensor& t, float mean, float spread) {
  for (float& v : t.values) v = mean + spread * noise();
}

ModelSpec noisy_spec(const Json& config, Noise& noise_of) {
  ModelSpec spec = sketch_spec(config);
  // The largest first: the memory must not move under those that have it.
  Index largest = 0;
  const auto all = [&](const auto& each) {
    each(spec.embedding);
    for (BlockSpec& block : spec.blocks) {
      if (auto* m = std::get_if<StripedSpec>(&block.forward)) each(m->in_proj), each(m->out_proj);
      if (auto* m = std::get_if<AttentionSpec>(&block.forward)) each(m->qkv), each(m->out_proj);
      each(block.mlp->fc1), each(block.mlp->fc2), each(block.mlp->gate);
    }
  };
  all([&](Tensor& t) { largest = std::max(largest, t.stored.rows * t.stored.columns); });
  noise_of.values.reserve(static_cast<std::size_t>(largest));
  all([&](Tensor& t) { noise_of.give(t); });
  fill(spec.final_norm.weight, 1, 0.1f);
  for (BlockSpec& block : spec.blocks) {
    fill(block.norm.weight, 1, 0.1f), fill(block.mlp_norm->weight, 1, 0.1f);
    if (auto* m = std::get_if<AttentionSpec>(&block.forward)) fill(m->inv_freq, 0.5f, 0.5f);
    auto* m = std::get_if<StripedSpec>(&block.forward);
    if (m == nullptr) continue;
    const bool logs = m->conv == StripedSpec::Conv::modal_real;
    fill(m->short_weight, 0, 0.6f), fill(m->filter, 0, 0.1f), fill(m->skip, 1, 0.1f);
    fill(m->poles, logs ? -0.1f : 0, logs ? 0.09f : 0.6f), fill(m->residues, 0, 0.05f);
  }
  return spec;
}

int run(int argc, char** argv) {
  const auto config = preset_config(argv[1]);
  if (!config) {
    std::fprintf(stderr, "no preset is called %s\n", argv[1]);
    return 2;
  }
  Device device = gpu_device(0);
  const double began = now();
  Noise weights;
  const Model model = Model::make(noisy_spec(*config, weights), {&device, Precision::bf16});
  std::printf("%s: weights of %.2f GB in bf16, loaded in %.1f s\n", argv[1],
              static_cast<double>(model.card().weight_bytes) / 1e9, now() - began);
  for (int i = 2; i < argc; ++i) {
    const std::string what = argv[i];
    const std::size_t x = what.find('x');
    const Index length = std::stoll(what);
    const std::size_t count = x == std::string::npos ? 1 : std::stoul(what.substr(x + 1));
    Unit unit;
    unit.length = length, unit.count = 1, unit.first = length - 1;
    unit.tokens = [](Index begin, std::span<std::int32_t> out) {
      for (std::size_t t = 0; t < out.size(); ++t) {
        out[t] = "ACGT"[(static_cast<std::uint64_t>(begin) + t + 1) * 0x9e3779b97f4a7c15ull >> 62];
      }
    };
    ExecutorOptions options;
    options.features.layers = {Features::kLast};
    options.window = length;
    Executor executor(model, device, options);
    const std::vector<Unit> units(count, unit);
    float last = 0;
    double seconds = 1e30;
    for (int repeat = 0; repeat < 2; ++repeat) {
      const double start = now();
      executor.run(units, [&](Index, Index, View<const float, 2> rows) { last = rows.row(0)[0]; });
      seconds = std::min(seconds, now() - start);
    }
    const double tokens = static_cast<double>(length) * static_cast<double>(count);
    std::printf("%s: %.2f s, %.0f bases/s, chunk %lld, keys and values %.2f GB, batch %.2f GB%s\n",
                what.c_str(), seconds, tokens / seconds,
                static_cast<long long>(executor.plan().chunk),
                static_cast<double>(executor.plan().history_bytes) / 1e9,
                static_cast<double>(executor.plan().device_bytes) / 1e9,
                std::isfinite(last) ? "" : ", NOT FINITE");
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "striped_bench NAME LENGTH[xCOUNT]...\n");
    return 2;
  }
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
