// genossm generate: new bases from a causal model.
#include "libgenossm/jobs/generate.h"

#include "apps/commands.h"
#include "apps/report.h"

namespace genossm {
namespace {

struct Options {
  ModelOptions model;
  ReportOptions report;
  GenerateOptions job;
};

void run(Options& options) {
  GenerateOptions& job = options.job;
  job.run.memory = options.model.memory_bytes();
  job.run.threads = options.model.thread_count();
  complete(job.output, options.model);
  const ProgressKind kind = options.report.progress_kind();

  Device device = options.model.open_device();
  const OpenedModel model = options.model.open(device, options.report.quiet);
  Progress progress("generate", kind);
  job.run.progress = [&](Index done, Index total) { progress.update(done, total); };
  const JobReport done = generate(model, device, job);
  progress.clear();
  report({"generate", &model, &options.model, &done, job.output.path, progress.seconds()},
         options.report);
}

}  // namespace

void add_generate(CLI::App& root, const std::vector<std::string>& words) {
  const auto o = std::make_shared<Options>();
  o->report.words = words;
  CLI::App* app = root.add_subcommand("generate", "New bases from a causal model, as FASTA");
  o->model.add(*app, "genossm-mini-causal");
  o->model.add_lowercase(*app);
  app->add_option(
         "--prompt", o->job.prompts,
         "Bases to go on from, not repeated in the output; again for more [none: the first "
         "base is uniform]")
      ->allow_extra_args(false);
  app->add_option("-n", o->job.samples, "Sequences for each prompt")->capture_default_str();
  app->add_option("--length", o->job.length, "New bases in each sequence")->required();
  app->add_option("--temperature", o->job.sampling.temperature,
                  "Below 1 sharpens the predictions, above flattens them; 0: the likeliest base")
      ->capture_default_str();
  app->add_option("--top-k", o->job.sampling.top_k, "Only the k likeliest bases; 0: all")
      ->capture_default_str();
  app->add_option("--top-p", o->job.sampling.top_p,
                  "Only the likeliest bases that together reach this probability")
      ->capture_default_str();
  app->add_option("--seed", o->job.seed, "The same seed gives the same bases [0; --state: its own]")
      ->check(not_negative());
  app->add_option("--save-state", o->job.save_state,
                  "File for the state after the last base, to go on from");
  app->add_option("--state", o->job.state, "Go on from this state instead of a prompt");
  add_output_options(*app, o->job.output, "fasta or fasta.gz");
  o->report.add(*app);
  app->callback([o] { run(*o); });
}

}  // namespace genossm
