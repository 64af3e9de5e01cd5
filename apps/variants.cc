// genossm variants: what a model makes of every allele of a VCF.
#include "libgenossm/jobs/variants.h"

#include "apps/commands.h"
#include "apps/effect_options.h"
#include "apps/report.h"

namespace genossm {
namespace {

struct Options {
  ModelOptions model;
  EffectFlags effect;
  ReportOptions report;
  KeepFlags keep;
  OutputRequest output;
  std::string input, reference, index, ref_mismatch = "skip";
};

void run(Options& options) {
  VariantsOptions job;
  job.input = options.input;
  job.reference = options.reference;
  job.ref_mismatch = parse_ref_mismatch(options.ref_mismatch);
  job.output = options.output;
  complete(job.output, options.model);
  job.index = options.index;
  job.provenance = options.report.provenance();
  const ProgressKind kind = options.report.progress_kind();

  Device device = options.model.open_device();
  const OpenedModel model = options.effect.open(options.model, device, options.report.quiet);
  job.effect = options.effect.options(options.model, model);
  job.effect.run.keep = options.keep.options(options.model);
  job.effect.run.strict = options.report.strict;
  Progress progress("variants", kind, "allele");
  job.effect.run.progress = [&](Index done, Index total) { progress.update(done, total); };
  const JobReport done = score_variants(model, device, job);
  progress.clear();
  report({"variants", &model, &options.model, &done, job.output.path, progress.seconds()},
         options.report);
}

}  // namespace

void add_variants(CLI::App& root, const std::vector<std::string>& words) {
  const auto o = std::make_shared<Options>();
  o->report.words = words;
  CLI::App* app = root.add_subcommand("variants", "Effects of the variants of a VCF, BCF or table");
  app->add_option("input", o->input,
                  "VCF or BCF, or a table with columns chrom, pos, ref, alt; - is standard input")
      ->required();
  app->add_option("-f,--fasta-ref", o->reference, "Reference that the variants were called on");
  o->effect.add(*app);
  app->add_option("--ref-mismatch", o->ref_mismatch,
                  "Where REF is not what the reference has: skip (no score), error, or use-vcf")
      ->capture_default_str();
  o->model.add(*app, "genossm-mini-ps, or genossm-mini-causal with --score llr and next");
  o->model.add_lowercase(*app);
  add_output_options(
      *app, o->output,
      "vcf, vcf.gz, bcf, tsv or tsv.gz [as the input]; npz or npy for the vectors of "
      "embdist");
  app->add_flag("-W{auto},--write-index{auto}", o->index,
                "Index the output: -W (csi), -W=csi or -W=tbi");
  o->keep.add(*app);
  o->report.add(*app);
  app->callback([o] { run(*o); });
}

}  // namespace genossm
