// genossm merge: the parts that --shard made, as one output.
#include "libgenossm/jobs/merge.h"

#include <iostream>

#include "apps/commands.h"
#include "apps/shared_options.h"
#include "kernels/core/cpu.h"

namespace genossm {
namespace {

struct Options {
  MergeOptions job;
  bool quiet = false;
};

void run(Options& options) {
  options.job.output.threads = available_threads();
  const MergeReport done = merge(options.job);
  if (options.quiet) return;
  std::cerr << "merge: " << done.parts << (done.parts == 1 ? " part, " : " parts, ") << done.type
            << " -> " << options.job.output.path << '\n';
}

}  // namespace

void add_merge(CLI::App& root, const std::vector<std::string>&) {
  const auto o = std::make_shared<Options>();
  CLI::App* app = root.add_subcommand("merge", "The parts of a job (--shard) as one output");
  app->add_option("parts", o->job.parts,
                  "The parts, in any order [OUT.shard-1-of-N ... beside the output]");
  add_output_options(*app, o->job.output, "that of the parts");
  app->get_option("--output")->required();
  app->add_option("--input", o->job.input,
                  "Parts of variants: the file that was scored [where it was then]");
  app->add_flag("--remove", o->job.remove, "Remove the parts when the output stands");
  app->add_flag("-q,--quiet", o->quiet, "Only errors on standard error");
  app->callback([o] { run(*o); });
}

}  // namespace genossm
