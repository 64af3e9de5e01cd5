// genossm embed: sequences in, one vector per record (or per base) out.
#include "libgenossm/jobs/embed.h"

#include <charconv>

#include "apps/commands.h"
#include "apps/report.h"

namespace genossm {
namespace {

struct Options {
  ModelOptions model;
  SequenceOptions sequences;
  WorkOptions work;
  KeepFlags keep;
  PlanFlags plan;
  ReportOptions report;
  OutputRequest output;
  std::string plot;
  std::string layer = "last", pool = "mean", dtype = "f32", special = "published";
  bool logits = false;
};

// "bins:128"
Index parse_bin(const std::string& text) {
  constexpr Index kMost = Index{1} << 30;
  Index bin = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data() + 5, end, bin);
  if (error != std::errc() || rest != end || bin < 1 || bin > kMost) {
    fail(Fault::usage,
         "--pool '" + text + "': want bins:N with a number of bases, such as bins:128");
  }
  return bin;
}

void run(Options& options) {
  EmbedOptions job;
  job.source = options.sequences.source;
  job.run = options.work.options(options.model);
  job.run.strict = options.report.strict;
  job.run.keep = options.keep.options(options.model);
  if (options.pool.starts_with("bins:")) {
    job.bin = parse_bin(options.pool);
    job.pool = {PoolPart{}};
  } else {
    job.pool = parse_pool(options.pool);
  }
  job.element = parse_element(options.dtype);
  job.features.logits = options.logits;
  job.output = options.output;
  complete(job.output, options.model);
  if (job.output.path == "-" && job.output.type.empty()) job.output.type = "tsv";
  job.plot = options.plot;
  job.special_tokens = parse_special_tokens(options.special);
  job.provenance = options.report.provenance();
  const ProgressKind kind = options.report.progress_kind();

  options.sequences.check(options.model);
  Device device = options.model.open_device();
  const OpenedModel model = options.model.open(device, options.report.quiet);
  if (options.logits && options.layer != "last") {
    fail(Fault::usage, "--layer does not apply to --logits, which come from the last layer");
  }
  job.features.layers = parse_layers(options.layer, model.model.card().layers);
  if (options.plan.plan) {
    print_plan("embed", plan_embed(model, device, job), options.plan.json);
    return;
  }
  Progress progress("embed", kind);
  job.run.progress = [&](Index done, Index total) { progress.update(done, total); };
  const JobReport done = embed(model, device, job);
  progress.clear();
  report({"embed", &model, &options.model, &done, job.output.path, progress.seconds()},
         options.report);
}

}  // namespace

void add_embed(CLI::App& root, const std::vector<std::string>& words) {
  const auto o = std::make_shared<Options>();
  o->report.words = words;
  CLI::App* app = root.add_subcommand("embed", "Vectors of hidden states, per record or per base");
  o->sequences.add(*app);
  o->model.add(*app, "genossm-mini-ps");
  o->model.add_lowercase(*app);
  app->add_option("--layer", o->layer,
                  "last (after the final norm), 0 (the embedding), i (after block i), or a list, "
                  "whose vectors are put side by side")
      ->capture_default_str();
  app->add_option(
         "--pool", o->pool,
         "none (one row per base), or parts joined by +: mean, max, first, last, "
         "center[:W] (the W bases in the middle), segments:K (K means along the record); or "
         "bins:N (the mean of every N bases along the record, with its place)")
      ->capture_default_str();
  app->add_flag("--logits", o->logits, "The head's logits instead of hidden states");
  app->add_option("--dtype", o->dtype, "f32, f16 or bf16 (bf16: safetensors, h5, h5ad)")
      ->capture_default_str();
  app->add_option("--special-tokens", o->special,
                  "published (as the model's tokenizer adds them; rows are bases only) or none")
      ->capture_default_str();
  o->work.add(*app,
              "fwd, rc, avg or both [strand-sharing models and Caduceus-Ph: avg; others: fwd]");
  add_output_options(*app, o->output,
                     "npz, npy (+ .names.tsv), h5, h5ad, zarr, tsv, tsv.gz or safetensors");
  app->add_option("--plot", o->plot,
                  "Also draw an SVG: the first two principal components of the vectors");
  o->keep.add(*app);
  o->plan.add(*app);
  o->report.add(*app);
  app->callback([o, app] {
    o->sequences.refuse_windows_of_ids(*app);
    run(*o);
  });
}

}  // namespace genossm
