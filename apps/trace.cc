// genossm trace: what the recurrences of a model do along a sequence.
#include "libgenossm/jobs/trace.h"

#include "apps/commands.h"
#include "apps/report.h"

namespace genossm {
namespace {

struct Options {
  ModelOptions model;
  SequenceOptions sequences;
  ReportOptions report;
  OutputRequest output;
  std::string track = "delta,half_life,state_norm,memory", layer = "all", plot;
  Index window = 0, chunk = 0;
};

std::vector<Index> blocks(const std::string& text, Index layers) {
  if (text == "all") return {};
  std::vector<Index> out = parse_layers(text, layers);
  for (Index& layer : out) {
    if (layer == Features::kLast) layer = layers;
    if (layer == 0)
      fail(Fault::usage,
           "--layer 0 is the embedding, which is no block; want 1 to " + std::to_string(layers));
  }
  return out;
}

void run(Options& options) {
  TraceOptions job;
  job.source = options.sequences.source;
  job.run.window = options.window;
  job.run.chunk = options.chunk;
  job.run.memory = options.model.memory_bytes();
  job.run.threads = options.model.thread_count();
  job.run.strict = options.report.strict;
  job.tracks = parse_trace_tracks(options.track);
  job.output = options.output;
  complete(job.output, options.model);
  job.plot = options.plot;
  job.provenance = options.report.provenance();
  const ProgressKind kind = options.report.progress_kind();

  options.sequences.check(options.model);
  // Steps are looked at on the CPU; a GPU that is merely there is left alone.
  if (options.model.device == "auto") options.model.device = "cpu";
  Device device = options.model.open_device();
  const OpenedModel model = options.model.open(device, options.report.quiet);
  job.layers = blocks(options.layer, model.model.card().layers);
  Progress progress("trace", kind);
  job.run.progress = [&](Index done, Index total) { progress.update(done, total); };
  const JobReport done = trace(model, device, job);
  progress.clear();
  report({"trace", &model, &options.model, &done, job.output.path, progress.seconds()},
         options.report);
}

}  // namespace

void add_trace(CLI::App& root, const std::vector<std::string>& words) {
  const auto o = std::make_shared<Options>();
  o->report.words = words;
  CLI::App* app = root.add_subcommand(
      "trace", "Step sizes, half-lives, states and memory of every block along sequences");
  o->sequences.add(*app);
  o->model.add(*app, "genossm-mini-causal");
  o->model.add_lowercase(*app);
  app->add_option("--track", o->track,
                  "A list of delta (step size), half_life and slowest (bases until a state has "
                  "decayed by half: geometric mean, longest), state_norm, memory (bases that "
                  "states look back), stream (rms of the residual stream; of every model)")
      ->capture_default_str();
  app->add_option("--layer", o->layer, "all, or a list of blocks, 1 being the first")
      ->capture_default_str();
  app->add_option("--window", o->window,
                  "Two-way models: bases that a record may have [the published context]")
      ->check(positive());
  app->add_option("--chunk", o->chunk, "Tokens computed at once; never changes a result [planned]")
      ->check(positive());
  app->add_option("--plot", o->plot, "Also draw an SVG, a panel for each track");
  add_output_options(*app, o->output,
                     "tsv, tsv.gz, npz, bedgraph, bedgraph.gz or bw (of several columns a file "
                     "each, NAME.L1.delta.bw)");
  o->report.add(*app);
  app->callback([o] { run(*o); });
}

}  // namespace genossm
