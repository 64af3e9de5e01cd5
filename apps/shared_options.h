// Options that mean the same in every command, written once.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "apps/progress.h"
#include "libgenossm/jobs/job.h"
#include "libgenossm/output/writer.h"

namespace genossm {

// Where bundled things ("models", "heads") may lie: beside the program, in its source tree,
// installed.
std::vector<std::filesystem::path> share_folders(const std::string& kind);

// Numbers above 0, and from 0 on; the message names the bound alone.
CLI::Validator positive();
CLI::Validator not_negative();

// Fault::usage naming the first of `options` that was given: it `applies` elsewhere ("--type mlp").
void refuse_given(const CLI::App& app, std::initializer_list<const char*> options,
                  const std::string& applies);

// -m, --device, --precision, -@, --memory, --missing-scales
struct ModelOptions {
  std::string model;
  std::string device = "auto";
  std::string precision = "auto";
  int threads = 0;     // 0: what the affinity mask and the cgroup allow
  std::string memory;  // 0: what is free
  std::string lowercase = "published";
  std::string missing_scales = "refuse";

  void add(CLI::App& app, const std::string& bundled);
  void add_lowercase(CLI::App& app);  // --lowercase, where bases are read
  int thread_count() const;
  Index memory_bytes() const;
  int gpu() const;  // the GPU that --device means; -1: the CPU
  Device open_device() const;
  Precision chosen_precision() const;
  ModelPath find() const;
  // Opens the model, or `bundled` where none is named; warns on stderr unless quiet.
  OpenedModel open(Device& device, bool quiet) const;

 private:
  std::string bundled_;
};

// inputs, -f, -r, -R, --clip, --token-ids
struct SequenceOptions {
  SourceOptions source;
  void add(CLI::App& app);
  // Fault::usage where --lowercase meets --token-ids, which have no letters, and for --clip without
  // regions.
  void check(const ModelOptions& model) const;
  // Fault::usage for --window and --stride with --token-ids, which are fed as they are.
  void refuse_windows_of_ids(const CLI::App& app) const;
};

// --window, --stride, --chunk, --strand
struct WorkOptions {
  Index window = 0, stride = 0, chunk = 0;
  std::string strand;
  void add(CLI::App& app, const std::string& strand_help, bool with_stride = true);
  RunOptions options(const ModelOptions& model) const;
};

// --plan, --json
struct PlanFlags {
  bool plan = false, json = false;
  void add(CLI::App& app);
};

// --resume, --save-every, --shard
struct KeepFlags {
  std::string resume = "auto", shard;
  double interval = 15;
  void add(CLI::App& app);
  // From now on SIGINT and SIGTERM end the job where its work can be kept; a second one at once.
  KeepOptions options(const ModelOptions& model) const;
};

// -o, -O, --force
void add_output_options(CLI::App& app, OutputRequest& output, const std::string& types);
// Standard output where no file is named; what is compressed is so by as many threads as compute.
void complete(OutputRequest& output, const ModelOptions& model);

// --summary, --multiqc, --strict, --progress, -q, -v, --no-version
struct ReportOptions {
  std::string summary, multiqc;
  std::string progress = "auto";
  bool strict = false, quiet = false, verbose = false, no_version = false;
  std::vector<std::string> words;  // the command line
  void add(CLI::App& app);
  ProgressKind progress_kind() const;
  // Version and command for the head of an output; nothing with --no-version.
  Provenance provenance() const;
};

// --special-tokens of a command: whether they are added. Fault::usage.
bool parse_special_tokens(const std::string& text);

// "last", "3" or "0,4,last", for a model of `layers` blocks. Fault::usage.
std::vector<Index> parse_layers(const std::string& text, Index layers);

// A number of bytes: "2000000", "500M", "16G"; binary multiples. Fault::usage.
Index parse_bytes(const std::string& text, const std::string& option);

}  // namespace genossm
