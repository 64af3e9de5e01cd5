// genossm train-head: labelled sequences in, a classifier on frozen embeddings out.
#include "libgenossm/jobs/train_head.h"

#include <charconv>
#include <cstdlib>
#include <iostream>

#include "apps/build_facts.h"
#include "apps/commands.h"
#include "apps/report.h"
#include "libgenossm/output/byte_sink.h"

namespace genossm {
namespace {

struct Options {
  ModelOptions model;
  ReportOptions report;
  LabelledOptions train, test;  // columns and reference stand in train
  std::string layer = "last", pool = "mean", strand, special = "published";
  Index window = 0, chunk = 0;
  std::string type = "softmax", folds = "5";
  std::vector<double> l2;
  FitOptions fit;
  BootstrapOptions bootstrap;
  bool drop_leaks = false, no_cache = false;
  std::string cache, output, metrics, predictions;
  bool force = false;
};

// Where features are kept: as other programs do.
std::string cache_folder(const Options& options) {
  if (options.no_cache) return "";
  if (!options.cache.empty()) return options.cache;
  for (const auto& [variable, rest] : {std::pair{"GENOSSM_CACHE", ""},
                                       {"XDG_CACHE_HOME", "/genossm"},
                                       {"HOME", "/.cache/genossm"}}) {
    if (const char* value = std::getenv(variable); value != nullptr && *value != '\0') {
      return std::string(value) + rest;
    }
  }
  return "";
}

Index parse_folds(const std::string& text) {
  if (text == "loo") return kLeaveOneOut;
  Index folds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), folds);
  if (error != std::errc() || end != text.data() + text.size() || folds < 2) {
    fail(Fault::usage, "--cv '" + text + "': want a number of folds from 2 on, or loo");
  }
  return folds;
}

void run(Options& options) {
  TrainHeadOptions job;
  job.train = options.train;
  if (!options.test.path.empty()) {
    job.test = options.train;
    job.test->path = options.test.path;
    if (!options.test.labels.empty()) job.test->labels = options.test.labels;
  } else if (!options.test.labels.empty()) {
    fail(Fault::usage, "--test-labels without --test");
  }
  if (options.drop_leaks && !job.test) fail(Fault::usage, "--drop-leaks without --test");
  job.recipe.pool = parse_pool(options.pool);
  if (job.recipe.pool.empty()) fail(Fault::usage, "--pool none: a head needs one row a sequence");
  job.recipe.special_tokens = parse_special_tokens(options.special);
  const Index folds = parse_folds(options.folds);
  job.fit = options.fit;
  job.fit.kind = parse_head_kind(options.type);
  job.fit.l2 = options.l2;
  // Leaving one out is for the evaluation; the strength inside is chosen by five folds.
  job.fit.folds = folds == kLeaveOneOut ? 5 : folds;
  job.evaluation_folds = job.test ? 0 : folds;
  if (job.test && folds == kLeaveOneOut) job.fit.folds = kLeaveOneOut;
  job.drop_leaks = options.drop_leaks;
  job.bootstrap = options.bootstrap;
  job.bootstrap.seed = options.fit.seed;
  job.cache = FeatureCache(cache_folder(options));
  job.machine = version() + ' ' + simd_level();
  job.output = {options.output, "safetensors", options.force};
  job.metrics = {options.metrics, "tsv", options.force};
  job.predictions = {options.predictions, "", options.force};
  job.provenance = options.report.provenance();
  const ProgressKind kind = options.report.progress_kind();

  Device device = options.model.open_device();
  const OpenedModel model = options.model.open(device, options.report.quiet);
  job.recipe.lowercase_upper = model.lowercase_upper;
  job.recipe.layers = parse_layers(options.layer, model.model.card().layers);
  job.recipe.strand =
      options.strand.empty() ? default_strand(model, false, false) : parse_strand(options.strand);
  job.run.window = options.window;
  job.run.chunk = options.chunk;
  job.run.memory = options.model.memory_bytes();
  job.run.threads = options.model.thread_count();
  job.run.strict = options.report.strict;
  job.recipe.window = window_of(model, job.run);
  Progress progress("train-head", kind);
  job.run.progress = [&](Index done, Index total) { progress.update(done, total); };
  job.stage = [&](const std::string& name) {
    progress.clear();
    if (kind != ProgressKind::none) std::cerr << "train-head: " << name << '\n';
  };
  const TrainHeadReport done = train_head(model, device, job);
  progress.clear();
  if (!options.report.quiet) {
    ByteSink out = ByteSink::standard_output();
    char line[200];
    std::snprintf(line, sizeof line,
                  "seconds: reading %.2f, embedding %.2f, fitting %.2f, evaluating %.2f\n",
                  done.seconds_reading, done.seconds_embedding, done.seconds_fitting,
                  done.seconds_evaluating);
    out.write(done.text + line);
    out.flush();
  }
  report({"train-head", &model, &options.model, &done.job, options.output, progress.seconds()},
         options.report);
}

}  // namespace

void add_train_head(CLI::App& root, const std::vector<std::string>& words) {
  const auto o = std::make_shared<Options>();
  o->report.words = words;
  CLI::App* app = root.add_subcommand("train-head",
                                      "A classifier on frozen embeddings, from labelled sequences");
  app->add_option("--train", o->train.path,
                  "Training part: TSV with columns sequence and label (plain, gzip, -), FASTA or "
                  "FASTQ with the label after the name, sequence files with --labels, or BED with "
                  "-f")
      ->required();
  app->add_option("--test", o->test.path,
                  "Test part, of the same form; without it the figures are cross-validated");
  app->add_option("--labels", o->train.labels,
                  "Table of names and labels for the sequences of --train (and --test)");
  app->add_option("--test-labels", o->test.labels, "The same for --test, where it is another file");
  app->add_option("-f,--fasta-ref", o->train.reference, "Reference of BED files, or of CRAM");
  app->add_flag("--clip", o->train.clip, "Cut BED intervals at the ends of their contig");
  app->add_option("--sequence-column", o->train.sequence_column, "Column of the sequence")
      ->capture_default_str();
  app->add_option("--label-column", o->train.label_column,
                  "Column of the label: a name in a TSV, a number from 4 on in a BED file [label; "
                  "BED: 4]");
  app->add_option("--id-column", o->train.id_column, "Column of the id, if there is one")
      ->capture_default_str();
  o->model.add(*app, "genossm-mini-ps");
  o->model.add_lowercase(*app);
  app->add_option("--layer", o->layer,
                  "last (after the final norm), 0 (the embedding), i (after block i), or a list, "
                  "whose vectors are put side by side")
      ->capture_default_str();
  app->add_option("--pool", o->pool,
                  "Parts joined by +: mean, max, first, last, center[:W] (the W bases in the "
                  "middle), segments:K (K means along the sequence)")
      ->capture_default_str();
  app->add_option("--strand", o->strand,
                  "fwd, rc, avg or both [strand-sharing models and Caduceus-Ph: avg; others: fwd]");
  app->add_option("--special-tokens", o->special,
                  "published (as the model's tokenizer adds them; rows are bases only) or none")
      ->capture_default_str();
  app->add_option(
         "--window", o->window,
         "Bases that the model sees at once, which no sequence may exceed [two-way models: "
         "their published context]")
      ->check(positive());
  app->add_option("--chunk", o->chunk, "Tokens computed at once; never changes a result [planned]")
      ->check(positive());
  app->add_option("--type", o->type,
                  "softmax (logistic regression), mlp (one hidden layer), or ridge (the labels are "
                  "numbers)")
      ->capture_default_str();
  app->add_option("--cv", o->folds,
                  "Folds of the cross-validation that chooses --l2 and, without --test, gives the "
                  "figures; loo leaves one out")
      ->capture_default_str();
  app->add_option("--l2", o->l2,
                  "Strengths to choose from, comma-separated [0.01 to 10000; mlp: 1]")
      ->delimiter(',')
      ->check(not_negative());
  app->add_option("--hidden", o->fit.hidden, "mlp: units of the hidden layer")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  app->add_option("--epochs", o->fit.epochs, "mlp: passes over the training part at most")
      ->check(positive())
      ->capture_default_str();
  app->add_option("--patience", o->fit.patience, "mlp: passes without a better held-out loss")
      ->check(positive())
      ->capture_default_str();
  app->add_option("--max-iterations", o->fit.max_iterations, "softmax: steps at most")
      ->check(positive())
      ->capture_default_str();
  app->add_option("--seed", o->fit.seed, "Of folds, starting weights and resampling")
      ->check(not_negative())
      ->capture_default_str();
  app->add_option("--resamples", o->bootstrap.resamples,
                  "Bootstrap resamples of the 95 % intervals; 0: no intervals")
      ->check(not_negative())
      ->capture_default_str();
  app->add_flag("--drop-leaks", o->drop_leaks,
                "Take training sequences that stand in the test part too (or their reverse "
                "complements) out of the training part");
  app->add_option("--cache", o->cache,
                  "Folder in which computed embeddings are kept [$GENOSSM_CACHE, else "
                  "~/.cache/genossm]");
  app->add_flag("--no-cache", o->no_cache, "Keep no embeddings and use none");
  app->add_option("-o,--output", o->output, "The head, a safetensors file");
  app->add_option("--metrics", o->metrics, "All figures as JSON");
  app->add_option("--predictions", o->predictions,
                  "Table of the predictions for the test part (without one: for held-out records)");
  app->add_flag("--force", o->force, "Overwrite existing outputs");
  o->report.add(*app);
  app->callback([o, app] {
    if (o->type != "mlp") {
      refuse_given(*app, {"--hidden", "--epochs", "--patience"}, "--type mlp");
    }
    if (o->type != "softmax") refuse_given(*app, {"--max-iterations"}, "--type softmax");
    run(*o);
  });
}

}  // namespace genossm
