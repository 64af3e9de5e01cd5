// genossm convert: a checkpoint as a model folder with safetensors weights.
#include <cstdio>
#include <iostream>

#include "apps/build_facts.h"
#include "apps/commands.h"
#include "apps/shared_options.h"
#include "libgenossm/base/text.h"
#include "libgenossm/jobs/convert_checkpoint.h"

namespace genossm {
namespace {

struct Options {
  std::string model, output, dtype = "f32", progress = "auto";
  bool force = false, json = false, no_version = false;
};

DType parse_type(const std::string& text) {
  if (text == "f32") return DType::f32;
  if (text == "f16") return DType::f16;
  if (text == "bf16") return DType::bf16;
  fail(Fault::usage, "--dtype '" + text + "' is none of f32, f16, bf16");
}

std::string short_number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", value);
  return text;
}

void print(const ConvertReport& done, const Options& options) {
  std::string copied, beside;
  for (const std::string& name : done.copied) {
    copied += (copied.empty() ? "" : ", ") + json_text(name);
    beside += (beside.empty() ? "" : ", ") + name;
  }
  const Provenance facts{{"output", json_text(options.output)},
                         {"dtype", json_text(options.dtype)},
                         {"tensors", std::to_string(done.tensors)},
                         {"values", std::to_string(done.values)},
                         {"rounded", std::to_string(done.rounded)},
                         {"largest_rounding", short_number(done.largest_rounding)},
                         {"vanished", std::to_string(done.vanished)},
                         {"not_finite", std::to_string(done.not_finite)},
                         {"bytes", std::to_string(done.bytes)},
                         {"source_sha256", json_text(done.source_sha256)},
                         {"sha256", json_text(done.sha256)},
                         {"verified", "true"},
                         {"beside", '[' + copied + ']'}};
  if (options.json) {
    std::cout << json_line(facts) << '\n';
    return;
  }
  for (const auto& [key, value] : facts) {
    const bool text = value.front() == '"';
    std::cout << key << '\t'
              << (key == "beside" ? beside
                  : text          ? value.substr(1, value.size() - 2)
                                  : value)
              << '\n';
  }
}

void run(const Options& options) {
  ConvertOptions job;
  job.type = parse_type(options.dtype);
  job.output = options.output;
  job.force = options.force;
  if (!options.no_version) job.version = version();
  const ProgressKind kind = parse_progress(options.progress);
  ModelOptions named;
  named.model = options.model;
  const ModelPath found = named.find();
  job.model = found.path;
  job.pin = found.pin;
  Progress progress("convert", kind, "byte");
  job.progress = [&](Index done, Index total) { progress.update(done, total); };
  const ConvertReport done = convert_checkpoint(job);
  progress.clear();
  for (const std::string& warning : done.warnings) {
    std::cerr << "genossm convert: warning: " << one_line(warning) << '\n';
  }
  print(done, options);
}

}  // namespace

void add_convert(CLI::App& root, const std::vector<std::string>&) {
  const auto o = std::make_shared<Options>();
  CLI::App* app =
      root.add_subcommand("convert", "A checkpoint as a model folder with safetensors weights");
  app->add_option("model", o->model,
                  "Model: a folder as published, a weights file, or a name under $GENOSSM_MODELS; "
                  "NAME@sha256:HEX pins it")
      ->required();
  app->add_option("-o,--output", o->output,
                  "Folder to make: model.safetensors, config.json and the tokenizer's files")
      ->required();
  app->add_option("--dtype", o->dtype,
                  "f32, f16 or bf16; what is beyond the range of f16 is an error")
      ->capture_default_str();
  app->add_flag("--force", o->force, "Overwrite an existing folder");
  app->add_flag("--json", o->json, "The report as JSON");
  app->add_option("--progress", o->progress, "auto, plain or none")->capture_default_str();
  app->add_flag("--no-version", o->no_version, "Leave the version out of the file");
  app->callback([o] { run(*o); });
}

}  // namespace genossm
