// genossm mutate: every single-base change of a region, and its effect.
#include "libgenossm/jobs/mutate.h"

#include "apps/commands.h"
#include "apps/effect_options.h"
#include "apps/report.h"

namespace genossm {
namespace {

struct Options {
  ModelOptions model;
  EffectFlags effect;
  ReportOptions report;
  OutputRequest output;
  SourceOptions source;
  std::string plot;
  int indels = 0;
};

void run(Options& options) {
  MutateOptions job;
  job.source = options.source;
  job.indels = options.indels > 0;
  job.output = options.output;
  complete(job.output, options.model);
  job.plot = options.plot;
  job.provenance = options.report.provenance();
  const ProgressKind kind = options.report.progress_kind();

  Device device = options.model.open_device();
  const OpenedModel model = options.effect.open(options.model, device, options.report.quiet);
  job.effect = options.effect.options(options.model, model);
  job.effect.run.strict = options.report.strict;
  Progress progress("mutate", kind, "allele");
  job.effect.run.progress = [&](Index done, Index total) { progress.update(done, total); };
  const JobReport done = mutate(model, device, job);
  progress.clear();
  report({"mutate", &model, &options.model, &done, job.output.path, progress.seconds()},
         options.report);
}

}  // namespace

void add_mutate(CLI::App& root, const std::vector<std::string>& words) {
  const auto o = std::make_shared<Options>();
  o->report.words = words;
  CLI::App* app = root.add_subcommand("mutate", "Effect of every single-base change of regions");
  app->add_option("-f,--fasta-ref", o->source.fasta_ref, "Indexed reference")->required();
  app->add_option("-r,--region", o->source.regions,
                  "Regions, comma-separated: chr, chr:from-to (1-based, inclusive)");
  app->add_option("-R,--regions-file", o->source.regions_file, "BED file of regions (0-based)");
  app->add_flag("--clip", o->source.clip,
                "Cut regions at the ends of their contig instead of refusing them");
  app->add_option("--indels", o->indels,
                  "1: also the deletion of each base and insertions of a base after it")
      ->check(CLI::Range(0, 1));
  app->add_option("--plot", o->plot, "Also draw an SVG: a logo and a heat map (one region)");
  o->effect.add(*app);
  o->model.add(*app, "genossm-mini-ps, or genossm-mini-causal with --score llr and next");
  o->model.add_lowercase(*app);
  add_output_options(*app, o->output, "npz, npy, safetensors, tsv, tsv.gz, vcf or vcf.gz");
  o->report.add(*app);
  app->callback([o] { run(*o); });
}

}  // namespace genossm
