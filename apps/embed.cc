// genossm embed: sequences in, one vector per record (or per base) out.
#include "libgenossm/jobs/embed.h"

#include "apps/commands.h"
#include "apps/report.h"

namespace genossm {
namespace {

struct Options {
  ModelOptions model;
  SequenceOptions sequences;
  WorkOptions work;
  ReportOptions report;
  OutputRequest output;
  std::string layer = "last", pool = "mean", dtype = "f32", special = "published";
  bool logits = false;
};

void run(Options& options) {
  EmbedOptions job;
  job.source = options.sequences.source;
  job.run = options.work.options(options.model);
  job.run.strict = options.report.strict;
  job.pool = parse_pool(options.pool);
  job.element = parse_element(options.dtype);
  job.features.logits = options.logits;
  job.output = options.output;
  if (job.output.path.empty()) job.output.path = "-";
  if (job.output.path == "-" && job.output.type.empty()) job.output.type = "tsv";
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
  app->add_option("--pool", o->pool,
                  "none (one row per base), or parts joined by +: mean, max, first, last, "
                  "center[:W] (the W bases in the middle), segments:K (K means along the record)")
      ->capture_default_str();
  app->add_flag("--logits", o->logits, "The head's logits instead of hidden states");
  app->add_option("--dtype", o->dtype, "f32, f16 or bf16 (bf16: .safetensors only)")
      ->capture_default_str();
  app->add_option("--special-tokens", o->special,
                  "published (as the model's tokenizer adds them; rows are bases only) or none")
      ->capture_default_str();
  o->work.add(*app,
              "fwd, rc, avg or both [strand-sharing models and Caduceus-Ph: avg; others: fwd]");
  add_output_options(*app, o->output, "npz, npy (+ .names.tsv), tsv, tsv.gz or safetensors");
  o->report.add(*app);
  app->callback([o] { run(*o); });
}

}  // namespace genossm
