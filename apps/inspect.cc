// genossm inspect: what is in a checkpoint, which family it is, what it needs. Executes nothing of
// it.
#include <iomanip>
#include <iostream>
#include <sstream>

#include "apps/commands.h"
#include "apps/report.h"
#include "libgenossm/base/text.h"
#include "libgenossm/checkpoint/checkpoint.h"
#include "libgenossm/jobs/embed.h"
#include "libgenossm/model/families/presets.h"
#include "libgenossm/runtime/random_model.h"

namespace genossm {
namespace {

struct Options {
  ModelOptions model;
  WorkOptions work;
  bool plan = false, tensors = false, json = false;
};

using Facts = std::vector<std::pair<std::string, std::string>>;

void print(const Facts& facts) {
  for (const auto& [key, value] : facts)
    std::cout << std::left << std::setw(12) << key << one_line(value) << '\n';
}

std::string tensor_lines(const Checkpoint& checkpoint) {
  std::ostringstream out;
  for (const TensorInfo& tensor : checkpoint.tensors()) {
    out << tensor.name << '\t' << name_of(tensor.dtype) << '\t' << shape_text(tensor.shape) << '\n';
  }
  return out.str();
}

std::string file_names(const Checkpoint& checkpoint) {
  std::string out;
  for (const auto& file : checkpoint.files()) {
    out += (out.empty() ? "" : ", ") + file.filename().string();
  }
  return out;
}

std::string vocabulary_text(const OpenedModel& model) {
  if (!model.tokenizer) return "none declared: only --token-ids can be fed";
  std::string out = model.tokenizer->name() + ": ";
  for (const auto& [id, text] : model.tokenizer->vocabulary())
    out += text + ' ' + std::to_string(id) + ' ';
  const auto added = [](const std::vector<std::int32_t>& ids) {
    std::string list;
    for (const std::int32_t id : ids) list += (list.empty() ? "" : " ") + std::to_string(id);
    return list.empty() ? "nothing" : list;
  };
  return out + "(adds " + added(model.tokenizer->prefix()) + " before, " +
         added(model.tokenizer->suffix()) + " after)";
}

Facts model_facts(const OpenedModel& model) {
  const Card& card = model.model.card();
  Facts facts;
  facts.emplace_back("name", model.name);
  facts.emplace_back("family", card.family);
  facts.emplace_back("objective", card.objective == Objective::causal ? "causal" : "masked");
  facts.emplace_back("reads", card.two_way ? "both ways" : "left to right");
  facts.emplace_back("strands",
                     card.strands ? "shared parameters (reverse-complement equivariant)" : "one");
  facts.emplace_back("d_model", std::to_string(card.d_model));
  facts.emplace_back("layers", std::to_string(card.layers));
  facts.emplace_back("vocab", std::to_string(card.vocab) + " rows");
  facts.emplace_back("tokens", vocabulary_text(model));
  facts.emplace_back("context",
                     model.context > 0
                         ? with_commas(model.context) + " bases, from " + model.context_source
                         : "not stated" + std::string(card.layer_major() ? ": give --window" : ""));
  facts.emplace_back("parameters", with_commas(model.parameters));
  if (card.whole) {
    facts.emplace_back("state", "none: filters see a whole sequence, of " +
                                    with_commas(card.longest) + " tokens at most");
  } else if (!card.two_way)
    facts.emplace_back("state", with_commas(4 * card.state_floats) + " bytes a sequence");
  if (card.history_bytes > 0) {
    facts.emplace_back("attention",
                       with_commas(card.history_bytes) + " bytes of keys and values a token");
  }
  facts.emplace_back("licence", model.licence.empty() ? "not stated" : model.licence);
  return facts;
}

std::string mebibytes(Index bytes) { return with_commas((bytes + (1 << 20) - 1) >> 20) + " MiB"; }

// What a published model would need, without its weights.
void sketch(const Json& config, const Options& options) {
  const Card card = Model::sketch(sketch_spec(config), options.model.chosen_precision()).card();
  print({{"model", options.model.model + ", as published; no weights here"},
         {"family", card.family},
         {"d_model", std::to_string(card.d_model)},
         {"layers", std::to_string(card.layers)},
         {"state", with_commas(4 * card.state_floats) + " bytes a sequence"},
         {"attention", with_commas(card.history_bytes) + " bytes of keys and values a token"},
         {"weights", mebibytes(card.weight_bytes)}});
  PlanRequest request;
  request.window = options.work.window > 0 ? options.work.window : config.integer("max_seqlen", 0);
  request.chunk = options.work.chunk;
  request.memory = options.model.memory.empty() ? 0 : options.model.memory_bytes();
  request.threads = options.model.thread_count();
  request.columns = card.vocab;
  if (!options.plan) return;
  std::cout << "plan for windows of " << with_commas(request.window) << " tokens:\n"
            << plan_text(make_plan(card, request)) << '\n';
}

Plan plan_for(const OpenedModel& model, const Options& options, Index window, Device& device) {
  PlanRequest request;
  request.window = window;
  request.chunk = options.work.chunk;
  request.memory = options.model.memory.empty() ? 0 : options.model.memory_bytes();
  request.threads = options.model.thread_count();
  request.strand = options.work.strand.empty() ? default_strand(model, false, false)
                                               : parse_strand(options.work.strand);
  request.columns = model.model.card().d_model;
  if constexpr (build::has_cuda) {
    if (const Cuda* cuda = as_cuda(device)) request.device_memory = cuda->free_memory() / 10 * 9;
  }
  return make_plan(model.model.card(), request);
}

void print_memory(const OpenedModel& model, const Options& options, Device& device) {
  std::cout << "peak memory by length, " << options.model.thread_count() << " threads:\n";
  const Index longest = model.model.card().longest;
  for (Index length : {Index{1'000}, Index{10'000}, Index{100'000}, Index{1'000'000}}) {
    if (longest > 0 && length / 10 >= longest) break;
    if (longest > 0) length = std::min(length, longest);
    std::cout << "  " << std::right << std::setw(10) << with_commas(length) << " tokens  "
              << mebibytes(plan_for(model, options, length, device).peak_bytes) << '\n';
  }
}

void print_json(const Checkpoint& checkpoint, const OpenedModel& model, const Options& options,
                Device& device) {
  const Card& card = model.model.card();
  const Plan plan = plan_for(model, options,
                             options.work.window > 0 ? options.work.window : model.context, device);
  std::string tensors = "[";
  for (const TensorInfo& tensor : checkpoint.tensors()) {
    tensors +=
        (tensors.size() > 1 ? ", " : "") + json_line({{"name", json_text(tensor.name)},
                                                      {"dtype", json_text(name_of(tensor.dtype))},
                                                      {"shape", shape_text(tensor.shape)}});
  }
  std::cout << json_line({{"name", json_text(model.name)},
                          {"family", json_text(card.family)},
                          {"objective",
                           json_text(card.objective == Objective::causal ? "causal" : "masked")},
                          {"two_way", card.two_way ? "true" : "false"},
                          {"strands", card.strands ? "true" : "false"},
                          {"d_model", std::to_string(card.d_model)},
                          {"layers", std::to_string(card.layers)},
                          {"vocab", std::to_string(card.vocab)},
                          {"context", std::to_string(model.context)},
                          {"parameters", std::to_string(model.parameters)},
                          {"sha256", json_text(model.sha256)},
                          {"peak_bytes", std::to_string(plan.peak_bytes)},
                          {"tensors", tensors + "]"}})
            << '\n';
}

void run(const Options& options) {
  Device device = options.model.open_device();
  const std::string& name = options.model.model;
  if (const auto preset = preset_config(name); preset && !std::filesystem::exists(name)) {
    sketch(*preset, options);
    return;
  }
  const ModelPath where = options.model.find();
  const Checkpoint checkpoint = Checkpoint::open(where.path);
  if (!options.json) {
    print({{"path", where.path.string()},
           {"files", file_names(checkpoint)},
           {"sha256", checkpoint.sha256()},
           {"tensors", with_commas(static_cast<Index>(checkpoint.tensors().size()))}});
    // Before anything is refused: a developer wants to see what is there.
    if (options.tensors) std::cout << tensor_lines(checkpoint);
    std::cout.flush();
  }
  const OpenedModel model = options.model.open(device, options.json);
  if (options.json) {
    print_json(checkpoint, model, options, device);
    return;
  }
  print(model_facts(model));
  std::cout << "every tensor of the file is accounted for\n";
  print_memory(model, options, device);
  if (!options.plan) return;
  const Card& card = model.model.card();
  const bool long_matters = card.layer_major() || card.history_bytes > 0;
  const Index window = options.work.window > 0 ? options.work.window
                       : long_matters          ? model.context
                                               : 0;
  std::cout << "plan for "
            << (window > 0 ? "windows of " + with_commas(window) + " tokens" : "any length")
            << ":\n"
            << plan_text(plan_for(model, options, window, device)) << '\n';
}

}  // namespace

void add_inspect(CLI::App& root, const std::vector<std::string>&) {
  const auto o = std::make_shared<Options>();
  CLI::App* app = root.add_subcommand("inspect", "What is in a checkpoint and what it needs");
  o->model.add(*app, "genossm-mini-ps");
  app->add_option("model", o->model.model, "The same as -m");
  app->add_flag("--plan", o->plan, "Order of work, chunk and memory for the window");
  app->add_flag("--tensors", o->tensors, "Every tensor: name, type, shape");
  app->add_flag("--json", o->json, "All of it as JSON");
  o->work.add(*app, "fwd, rc, avg or both, for the plan", false);
  app->callback([o, app] {
    if (!o->plan && !o->json) {
      refuse_given(*app, {"--window", "--chunk", "--strand"}, "--plan and --json");
    }
    run(*o);
  });
}

}  // namespace genossm
