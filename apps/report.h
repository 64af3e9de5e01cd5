// What a command says when it is done: one line and the warnings on stderr, and the summary file.
#pragma once

#include <string>

#include "apps/shared_options.h"
#include "libgenossm/jobs/job_plan.h"

namespace genossm {

struct Finished {
  std::string command;  // "embed"
  const OpenedModel* model = nullptr;
  const ModelOptions* options = nullptr;
  const JobReport* report = nullptr;
  std::string output;
  double seconds = 0;
};

// Prints unless quiet; writes the summary if one is asked for. Fault::output.
void report(const Finished& finished, const ReportOptions& options);

// A job's plan on standard output, as lines or as JSON.
void print_plan(const std::string& command, const JobPlan& plan, bool json);

// Model, plan and memory, for -v and for `inspect --plan`.
std::string plan_text(const Plan& plan);

}  // namespace genossm
