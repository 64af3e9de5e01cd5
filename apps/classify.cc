// genossm classify: sequences in, the class of each out; BAM in, BAM with the class as a tag out.
#include "libgenossm/jobs/classify.h"

#include <algorithm>
#include <filesystem>

#include "apps/build_facts.h"
#include "apps/command_line.h"
#include "apps/commands.h"
#include "apps/report.h"

namespace genossm {
namespace {

constexpr const char* kBundledHead = "organism";

struct Options {
  ModelOptions model;
  SequenceOptions sequences;
  ReportOptions report;
  OutputRequest output;
  std::string head, combine = "mean", pool, special = "published";
  Index window = 0, stride = 0, chunk = 0, top = 0;
  double min_prob = 0;
  bool per_window = false, conjoin = false, logits = false;
};

// A path, or the name of a head in the folder of bundled heads.
std::string find_head(const std::string& name) {
  namespace fs = std::filesystem;
  if (fs::exists(name)) return name;
  std::string looked;
  if (name.find('/') == std::string::npos) {
    for (const fs::path& folder : share_folders("heads")) {
      const fs::path file = folder / (name + ".safetensors");
      if (fs::exists(file)) return file.string();
      looked += (looked.empty() ? "" : ", ") + folder.string();
    }
  }
  fail(Fault::missing, "head: '" + name + "' is no file" +
                           (looked.empty() ? "" : " and no name under " + looked) +
                           ". Make one with genossm train-head");
}

void run(Options& options, const CLI::App& app) {
  ClassifyOptions job;
  job.source = options.sequences.source;
  job.output = options.output;
  complete(job.output, options.model);
  job.combine = parse_combine(options.combine);
  job.per_window = options.per_window;
  job.top = options.top;
  job.min_prob = options.min_prob;
  job.logits = options.logits;
  job.window = options.window;
  job.provenance = options.report.provenance();
  if (!options.report.no_version) {
    job.version = version();
    job.command = recorded_command(options.report.words);
  }
  job.run.stride = options.stride;
  job.run.chunk = options.chunk;
  job.run.memory = options.model.memory_bytes();
  job.run.threads = options.model.thread_count();
  job.run.strict = options.report.strict;
  const ProgressKind kind = options.report.progress_kind();

  std::string head_path = options.head;
  if (head_path.empty() && options.model.model.empty()) head_path = kBundledHead;
  if (!head_path.empty()) {
    for (const char* own : {"--pool", "--conjoin", "--special-tokens", "--lowercase"}) {
      if (app.count(own) > 0) {
        fail(Fault::usage, std::string(own) +
                               " belongs to a checkpoint's own head; a head by --head brings its "
                               "own way of reading");
      }
    }
    head_path = find_head(head_path);
    job.head = read_head(head_path);
    options.model.lowercase = job.head->recipe.lowercase_upper ? "upper" : "published";
    // The head knows its model; it is looked for by name where it is not the bundled one.
    if (options.model.model.empty() && job.head->model.find('/') == std::string::npos) {
      options.model.model = job.head->model;
    }
  } else {
    if (!options.pool.empty()) job.own.pool = parse_pool(options.pool);
    job.own.conjoin = options.conjoin;
    job.own.special_tokens = parse_special_tokens(options.special);
  }
  if (job.head && !job.source.token_ids.empty()) {
    fail(Fault::usage,
         "--token-ids belongs to a checkpoint's own head; heads were trained on bases");
  }
  options.sequences.check(options.model);
  Device device = options.model.open_device();
  const OpenedModel model = options.model.open(device, options.report.quiet);
  if (job.head) require_model(*job.head, model, head_path);
  Progress progress("classify", kind);
  job.run.progress = [&](Index done, Index total) { progress.update(done, total); };
  JobReport done = classify(model, device, job);
  progress.clear();
  if (job.head && job.head->precision != "fp32" &&
      model.model.card().precision == Precision::fp32) {
    done.warnings["the head was trained in " + job.head->precision + ", this run is in fp32"] += 1;
  }
  report({"classify", &model, &options.model, &done, job.output.path, progress.seconds()},
         options.report);
}

}  // namespace

void add_classify(CLI::App& root, const std::vector<std::string>& words) {
  const auto o = std::make_shared<Options>();
  o->report.words = words;
  CLI::App* app = root.add_subcommand("classify", "The class of each sequence or read");
  o->sequences.add(*app);
  app->add_option(
      "--head", o->head,
      "Head made by genossm train-head: a file, or the name of a bundled one [organism, "
      "unless -m names a model with a head of its own]");
  o->model.add(*app, "");
  o->model.add_lowercase(*app);
  app->add_option("--window", o->window,
                  "Longer sequences are cut into windows of this many bases [the longest training "
                  "sequence; a checkpoint's own head: its context]")
      ->check(positive());
  app->add_option("--stride", o->stride, "Bases between the starts of windows [the window]")
      ->check(positive());
  app->add_option("--combine", o->combine,
                  "How the probabilities of the windows of a sequence become one: mean or max")
      ->capture_default_str();
  app->add_flag("--per-window", o->per_window, "A row a window instead of a row a sequence");
  app->add_option("--top", o->top, "Only the K most probable classes [columns for all]")
      ->check(positive());
  app->add_option("--min-prob", o->min_prob, "Class '.' where no class has this probability")
      ->check(CLI::Range(0.0, 1.0));
  app->add_flag("--logits", o->logits, "Own heads: logits instead of probabilities");
  app->add_option("--pool", o->pool, "Own heads of Caduceus: mean or max [mean]");
  app->add_flag("--conjoin", o->conjoin,
                "Own heads: average over both strands (strand-sharing models always do)");
  app->add_option("--special-tokens", o->special,
                  "Own heads: published (as the model's tokenizer adds them) or none")
      ->capture_default_str();
  app->add_option("--chunk", o->chunk, "Tokens computed at once; never changes a result [planned]")
      ->check(positive());
  add_output_options(*app, o->output, "tsv, tsv.gz; from SAM, BAM or CRAM also bam, sam");
  o->report.add(*app);
  app->callback([o, app] {
    if (o->per_window) refuse_given(*app, {"--combine"}, "rows of whole sequences");
    run(*o, *app);
  });
}

}  // namespace genossm
