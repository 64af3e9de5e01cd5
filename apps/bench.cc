// genossm bench: speed on this machine, as ratios to what the same machine can do in the same run.
#include <cstdio>
#include <iostream>

#include "apps/build_facts.h"
#include "apps/commands.h"
#include "apps/shared_options.h"
#include "libgenossm/output/tsv.h"
#include "libgenossm/runtime/model_speed.h"
#include "libgenossm/runtime/op_speed.h"
#include "libgenossm/runtime/random_model.h"

namespace genossm {
namespace {

struct Options {
  ModelOptions model;
  std::string suite = "model", json;
  Index tokens = 0, chunk = 0;
  int repetitions = 3;
};

// A published shape with random weights: speed does not depend on their values.
struct Shape {
  const char* name;
  const char* config;
  Index tokens;
};

constexpr Shape kShapes[] = {
    {"caduceus-ps-131k",
     R"({"model_type": "caduceus", "d_model": 256, "n_layer": 16, "vocab_size": 12, "rcps": true,
         "complement_map": {"7": 10, "8": 9, "9": 8, "10": 7}})",
     131'072},
    {"mamba-256x16", R"({"d_model": 256, "n_layer": 16, "vocab_size": 16})", 16'384},
};
constexpr const char* kBundled[] = {"genossm-mini-ps", "genossm-mini-causal"};
constexpr Index kBundledTokens = 32'768;

std::string fixed(double value, int digits) {
  char text[40];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

// What was not measured, as the products alone on a GPU, has no number.
std::string measured(double value, int digits) { return value > 0 ? fixed(value, digits) : "-"; }

class Bench {
 public:
  explicit Bench(const Options& options)
      : options_(options), device_(options.model.open_device()) {}

  void model(const std::string& name, const Model& model, Index tokens) {
    if (rows_.empty()) {
      std::cout << "model\tprecision\tthreads\ttokens\ttokens/s\tproducts (and long convolutions) "
                   "alone, tokens/s\tratio\t"
                   "ratio by processor time\tproducts, GFLOP/s\n";
    }
    SpeedRequest request;
    request.tokens = options_.tokens > 0 ? options_.tokens : tokens;
    request.repetitions = options_.repetitions;
    request.chunk = options_.chunk;
    request.memory = options_.model.memory_bytes();
    const ModelSpeed speed = measure_model(model, device_, request);
    const std::string precision = name_of(model.card().precision);
    std::cout << name << '\t' << precision << '\t' << speed.threads << '\t' << request.tokens
              << '\t' << fixed(speed.tokens_per_s, 0) << '\t'
              << measured(speed.gemm_tokens_per_s, 0) << '\t' << measured(speed.ratio, 3) << '\t'
              << measured(speed.cpu_ratio, 3) << '\t' << measured(speed.gemm_gflops, 1)
              << std::endl;
    rows_.push_back(json_line({{"model", json_text(name)},
                               {"precision", json_text(precision)},
                               {"threads", std::to_string(speed.threads)},
                               {"tokens", std::to_string(request.tokens)},
                               {"tokens_per_s", fixed(speed.tokens_per_s, 1)},
                               {"gemm_tokens_per_s", fixed(speed.gemm_tokens_per_s, 1)},
                               {"ratio", fixed(speed.ratio, 4)},
                               {"cpu_tokens_per_s", fixed(speed.cpu_tokens_per_s, 1)},
                               {"cpu_gemm_tokens_per_s", fixed(speed.cpu_gemm_tokens_per_s, 1)},
                               {"cpu_ratio", fixed(speed.cpu_ratio, 4)},
                               {"gemm_gflops", fixed(speed.gemm_gflops, 2)}}));
  }

  void shape(const Shape& shape) {
    const Placement place{&device_, options_.model.chosen_precision()};
    model(shape.name, Model::make(random_spec(Json::parse(shape.config, shape.name), 1), place),
          shape.tokens);
  }

  void opened(ModelOptions options) {
    const OpenedModel found = options.open(device_, false);
    const Card& card = found.model.card();
    const Index context = card.layer_major() && found.context > 0 ? found.context : kBundledTokens;
    const Index tokens = std::max(context, kBundledTokens);
    model(found.name, found.model, card.longest > 0 ? std::min(tokens, context) : tokens);
  }

  void ops() {
    if (as_cuda(device_) != nullptr) {
      fail(Fault::usage, "--suite ops measures the ops of a CPU; use --device cpu");
    }
    Cpu& cpu = std::get<Cpu>(device_);
    const MachineSpeed machine = measure_machine(cpu);
    std::cout << "# copy " << fixed(machine.copy_gbytes_per_s, 1) << " GB/s, multiply-adds "
              << fixed(machine.fma_gflops, 1) << " GFLOP/s\n"
              << "op\tsizes\tms\tGB/s\tGFLOP/s\tof the nearer limit\n";
    OpRequest request;
    request.repetitions = options_.repetitions;
    if (options_.tokens > 0) request.tokens = options_.tokens;
    for (const std::string& op : measured_ops()) {
      request.only = op;
      for (const OpSpeed& speed : measure_ops(cpu, machine, request)) op_row(speed);
    }
  }

  void write_json() const {
    if (options_.json.empty()) return;
    std::string rows = "[";
    for (const std::string& row : rows_) rows += (rows.size() > 1 ? ", " : "") + row;
    const auto file = open_table({options_.json, "", true}, {});
    file->line(json_line({{"program", json_text("genossm bench")},
                          {"version", json_text(version())},
                          {"instruction_set", json_text(simd_level())},
                          {"suite", json_text(options_.suite)},
                          {"results", rows + "]"}}));
    file->finish();
  }

 private:
  void op_row(const OpSpeed& speed) {
    std::cout << speed.op << '\t' << speed.sizes << '\t' << fixed(1e3 * speed.seconds, 3) << '\t'
              << fixed(speed.gbytes_per_s, 1) << '\t' << fixed(speed.gflops, 1) << '\t'
              << fixed(speed.ratio, 3) << std::endl;
    rows_.push_back(json_line({{"op", json_text(speed.op)},
                               {"sizes", json_text(speed.sizes)},
                               {"ms", fixed(1e3 * speed.seconds, 4)},
                               {"gbytes_per_s", fixed(speed.gbytes_per_s, 2)},
                               {"gflops", fixed(speed.gflops, 2)},
                               {"ratio", fixed(speed.ratio, 4)}}));
  }

  const Options& options_;
  Device device_;
  std::vector<std::string> rows_;
};

void run(const Options& options) {
  if (options.suite != "model" && options.suite != "ops") {
    fail(Fault::usage, "--suite '" + options.suite + "' is none of model, ops");
  }
  Bench bench(options);
  std::cout << "# " << simd_level() << ", " << options.model.thread_count()
            << " threads, median of " << options.repetitions << '\n';
  if (options.suite == "ops") {
    bench.ops();
  } else if (!options.model.model.empty()) {
    bench.opened(options.model);
  } else {
    for (const char* name : kBundled) {
      ModelOptions named = options.model;
      named.model = name;
      bench.opened(named);
    }
    for (const Shape& shape : kShapes) bench.shape(shape);
  }
  bench.write_json();
}

}  // namespace

void add_bench(CLI::App& root, const std::vector<std::string>&) {
  const auto o = std::make_shared<Options>();
  CLI::App* app = root.add_subcommand("bench", "Speed on this machine, beside what it can do");
  app->add_option("--suite", o->suite,
                  "model: tokens per second beside its matrix products and long "
                  "convolutions alone; ops: every op beside "
                  "what its memory and its arithmetic allow")
      ->capture_default_str();
  o->model.add(*app, "");
  app->add_option("--tokens", o->tokens, "Length of the sequence [a default for each model]")
      ->check(positive());
  app->add_option("--chunk", o->chunk, "Tokens computed at once [planned]")->check(positive());
  app->add_option("--reps", o->repetitions, "Runs, of which the median counts")
      ->check(positive())
      ->capture_default_str();
  app->add_option("--json", o->json, "Write the results as JSON");
  app->callback([o] { run(*o); });
}

}  // namespace genossm
