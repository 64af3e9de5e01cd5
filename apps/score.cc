// genossm score: how likely the model finds every base.
#include "libgenossm/jobs/score.h"

#include "apps/build_facts.h"
#include "apps/command_line.h"
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
  std::string track = "logp", alphabet, bos, logo, assembly, plot;
  bool masked = false, per_record = false;
};

void run(Options& options) {
  ScoreOptions job;
  job.source = options.sequences.source;
  job.run = options.work.options(options.model);
  job.run.strict = options.report.strict;
  job.masked = options.masked;
  job.per_record = options.per_record;
  job.tracks = parse_tracks(options.track);
  job.output = options.output;
  job.plot = options.plot;
  if (!options.logo.empty()) {
    if (!job.output.path.empty() || !job.output.type.empty()) {
      fail(Fault::usage, "--logo-hub is an output of its own; it does not go with -o or -O");
    }
    job.logo = true;
    job.output.path = options.logo;
    job.output.type = "hub";
  }
  job.assembly = options.assembly;
  complete(job.output, options.model);
  job.run.keep = options.keep.options(options.model);
  if (!options.report.no_version) {
    job.version = version();
    job.command = recorded_command(options.report.words);
  }
  job.provenance = options.report.provenance();
  if (!options.alphabet.empty() && options.alphabet != "acgt" && options.alphabet != "full") {
    fail(Fault::usage, "--alphabet '" + options.alphabet + "' is none of acgt, full");
  }
  if (!options.bos.empty() && options.bos != "on" && options.bos != "off") {
    fail(Fault::usage, "--bos '" + options.bos + "' is none of on, off");
  }
  const ProgressKind kind = options.report.progress_kind();

  options.sequences.check(options.model);
  Device device = options.model.open_device();
  const OpenedModel model = options.model.open(device, options.report.quiet);
  job.full_alphabet = options.alphabet.empty() ? !model.alphabet_acgt : options.alphabet == "full";
  job.bos =
      options.bos.empty() ? model.scores_bos && job.source.token_ids.empty() : options.bos == "on";
  if (options.plan.plan) {
    print_plan("score", plan_score(model, device, job), options.plan.json);
    return;
  }
  Progress progress("score", kind);
  job.run.progress = [&](Index done, Index total) { progress.update(done, total); };
  const JobReport done = score(model, device, job);
  progress.clear();
  report({"score", &model, &options.model, &done, job.output.path, progress.seconds()},
         options.report);
}

}  // namespace

void add_score(CLI::App& root, const std::vector<std::string>& words) {
  const auto o = std::make_shared<Options>();
  o->report.words = words;
  CLI::App* app = root.add_subcommand("score", "Log-likelihood of every base, or of every record");
  o->sequences.add(*app);
  o->model.add(*app, "genossm-mini-causal");
  o->model.add_lowercase(*app);
  app->add_flag(
      "--per-record", o->per_record,
      "One row a record: length, bases scored, sum and mean of ln p, bits per base, perplexity");
  app->add_option(
         "--track", o->track,
         "logp (ln p, nats), entropy (of the prediction, nats), info (2 - entropy in bits); "
         "or a list")
      ->capture_default_str();
  app->add_flag("--masked", o->masked,
                "Masked models: mask each base in turn, one pass a base (for short regions)");
  app->add_option(
      "--alphabet", o->alphabet,
      "acgt (probabilities over the four bases) or full (all tokens) [the model's, mostly acgt]");
  app->add_option("--bos", o->bos,
                  "on or off: a token for the beginning of the text before every window, so that "
                  "its first base is scored too [the published way: on for Evo 1, else off]");
  o->work.add(*app, "fwd, rc or avg [fwd]");
  app->add_option("--logo-hub", o->logo,
                  "Instead of -o: a folder for genome browsers, four bigWigs with the heights of "
                  "A, C, G and T in the logo of the prediction, and hub.txt");
  app->add_option("--assembly", o->assembly,
                  "What genome browsers call the reference, such as hg38, for the files of "
                  "--logo-hub [the name of the FASTA file without its suffixes]");
  add_output_options(*app, o->output,
                     "tsv, tsv.gz, bedgraph, bedgraph.gz, bw, npz, or bam (reads with tags gl and "
                     "gb)");
  app->add_option("--plot", o->plot, "Also draw an SVG of the tracks along the records");
  o->keep.add(*app);
  o->plan.add(*app);
  o->report.add(*app);
  app->callback([o, app] {
    o->sequences.refuse_windows_of_ids(*app);
    if (o->per_record || !o->logo.empty()) {
      refuse_given(*app, {"--track"}, "tables and tracks of bases");
    }
    run(*o);
  });
}

}  // namespace genossm
