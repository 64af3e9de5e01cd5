#include "apps/report.h"

#include <sys/resource.h>

#include <cstdio>
#include <fstream>
#include <iostream>
#include <string>

#include "apps/build_facts.h"
#include "apps/command_line.h"
#include "libgenossm/base/text.h"
#include "libgenossm/output/tsv.h"

namespace genossm {
namespace {

std::string json_counts(const std::map<std::string, Index>& counts) {
  Provenance pairs;
  for (const auto& [key, n] : counts) pairs.emplace_back(key, std::to_string(n));
  return json_line(pairs);
}

std::string json_number(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

// Of this program: what the system counts for the process begins with the memory of whoever started
// it.
Index peak_memory() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    Index kibibytes = 0;
    if (word == "VmHWM:" && status >> kibibytes) return kibibytes * 1024;
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<Index>(usage.ru_maxrss) * 1024;
}

std::string plan_json(const Plan& plan) {
  return json_line({{"order", json_text(plan.layer_major ? "layer-major" : "chunk-major")},
                    {"chunk", std::to_string(plan.chunk)},
                    {"lanes", std::to_string(plan.lanes)},
                    {"weight_bytes", std::to_string(plan.weight_bytes)},
                    {"lane_bytes", std::to_string(plan.lane_bytes)},
                    {"device_bytes", std::to_string(plan.device_bytes)},
                    {"peak_bytes", std::to_string(plan.peak_bytes)}});
}

std::string mebibytes(Index bytes) { return with_commas((bytes + (1 << 20) - 1) >> 20) + " MiB"; }

}  // namespace

std::string plan_text(const Plan& plan) {
  return "order " +
         std::string(plan.layer_major
                         ? "layer-major (a window goes through one layer after the other)"
                         : "chunk-major (a chunk goes through all layers, states carried)") +
         "\nchunk " + with_commas(plan.chunk) + " tokens\nlanes " + std::to_string(plan.lanes) +
         "\nweights " + mebibytes(plan.weight_bytes) +
         (plan.cuda ? "\ndevice memory for a batch " + mebibytes(plan.device_bytes) + ", free " +
                          mebibytes(plan.device_free)
                    : "") +
         (plan.history_bytes > 0 ? "\nkeys and values " + mebibytes(plan.history_bytes) +
                                       (plan.cuda ? " of that" : " a lane")
                                 : "") +
         "\nmemory for each lane " + mebibytes(plan.lane_bytes) + "\npeak memory " +
         mebibytes(plan.peak_bytes);
}

void print_plan(const std::string& command, const JobPlan& plan, bool json) {
  if (json) {
    std::cout << json_line({{"program", json_text("genossm " + command)},
                            {"version", json_text(version())},
                            {"records", std::to_string(plan.records)},
                            {"bases", std::to_string(plan.bases)},
                            {"windows", std::to_string(plan.windows)},
                            {"tokens", std::to_string(plan.tokens)},
                            {"rows", std::to_string(plan.rows)},
                            {"columns", std::to_string(plan.columns)},
                            {"type", json_text(plan.type)},
                            {"output_bytes", std::to_string(plan.output_bytes)},
                            {"journal_bytes", std::to_string(plan.journal_bytes)},
                            {"tokens_per_s", json_number(plan.tokens_per_s)},
                            {"seconds", json_number(plan.seconds)},
                            {"plan", plan_json(plan.plan)}})
              << '\n';
    return;
  }
  std::cout << "records " << with_commas(plan.records) << "\nbases " << with_commas(plan.bases)
            << "\nwindows " << with_commas(plan.windows) << ", " << with_commas(plan.tokens)
            << " tokens\n"
            << plan_text(plan.plan) << "\noutput " << plan.type << ", " << with_commas(plan.rows)
            << " rows of " << with_commas(plan.columns) << ", about "
            << mebibytes(plan.output_bytes) << '\n';
  if (plan.journal_bytes > 0) {
    std::cout << "journal beside it until it stands, about " << mebibytes(plan.journal_bytes)
              << '\n';
  }
  std::cout << "time about " << duration_text(plan.seconds)
            << " (measured: " << with_commas(static_cast<Index>(plan.tokens_per_s))
            << " tokens/s)\n";
}

namespace {

// MultiQC's custom content: one row of its general statistics a run.
void write_multiqc(const Finished& finished, const JobReport& job, double rate,
                   const std::string& path) {
  Index skipped = 0;
  for (const auto& [reason, n] : job.skipped) skipped += n;
  const std::string sample = finished.output.empty() || finished.output == "-"
                                 ? "genossm " + finished.command
                                 : finished.output.substr(finished.output.find_last_of('/') + 1);
  const auto header = [](const char* title, const char* description) {
    return json_line({{"title", json_text(title)}, {"description", json_text(description)}});
  };
  const auto file = open_table({path, "tsv", true}, {});
  file->line(json_line(
      {{"id", json_text("genossm_" + finished.command)},
       {"section_name", json_text("genossm " + finished.command)},
       {"description",
        json_text("Sequences read by state-space models (genossm " + version() + ")")},
       {"plot_type", json_text("generalstats")},
       {"pconfig",
        "[" + json_line({{"records", header("Records", "Records of the input")}}) + ", " +
            json_line({{"units",
                        header(job.unit == "base" ? "Bases" : "Alleles", "What was computed")}}) +
            ", " + json_line({{"skipped", header("Skipped", "Without a result, by any reason")}}) +
            ", " + json_line({{"rate", header("Per second", "Speed")}}) + "]"},
       {"data", json_line({{sample, json_line({{"records", std::to_string(job.records)},
                                               {"units", std::to_string(job.bases)},
                                               {"skipped", std::to_string(skipped)},
                                               {"rate", json_number(rate)}})}})}}));
  file->finish();
}

}  // namespace

void report(const Finished& finished, const ReportOptions& options) {
  JobReport job = *finished.report;
  if (job.plan.halved_to > 0) {
    ++job.warnings["device memory was short: batches of " + with_commas(job.plan.halved_to) +
                   " tokens instead of " + with_commas(job.plan.chunk)];
  }
  // Of what this run did itself.
  const double rate =
      finished.seconds > 0 ? static_cast<double>(job.bases - job.found) / finished.seconds : 0;
  if (!options.quiet) {
    for (const auto& [text, n] : job.warnings) {
      std::cerr << "genossm " << finished.command << ": warning: " << one_line(text) << " ("
                << with_commas(n) << ")\n";
    }
    for (const auto& [reason, n] : job.skipped) {
      std::cerr << "genossm " << finished.command << ": skipped: " << reason << ": "
                << with_commas(n) << '\n';
    }
    std::cerr << finished.command << ": " << with_commas(job.records)
              << (job.records == 1 ? " record, " : " records, ") << with_commas(job.bases) << ' '
              << job.unit << (job.bases == 1 ? "" : "s")
              << (job.found > 0 ? " (" + with_commas(job.found) + " found finished)" : "") << ", "
              << duration_text(finished.seconds) << ", " << rate_text(rate, job.unit);
    if (!finished.output.empty() && finished.output != "-") std::cerr << " -> " << finished.output;
    std::cerr << '\n';
    if (options.verbose) {
      std::cerr << "model " << finished.model->path.string() << " sha256 " << finished.model->sha256
                << "\nstrand " << job.strand << ", " << with_commas(job.windows) << " windows, "
                << with_commas(job.tokens) << " tokens\n"
                << plan_text(job.plan) << '\n';
    }
  }
  if (!options.multiqc.empty()) write_multiqc(finished, job, rate, options.multiqc);
  if (options.summary.empty()) return;
  Provenance all{{"program", json_text("genossm " + finished.command)},
                 {"version", json_text(version())},
                 {"command", json_text(command_text(options.words))}};
  for (auto& pair : provenance_of(*finished.model)) all.push_back(pair);
  all.insert(all.end(), {{"device", json_text(finished.model->model.card().cuda ? "cuda" : "cpu")},
                         {"instruction_set", json_text(simd_level())},
                         {"threads", std::to_string(finished.options->thread_count())},
                         {"strand", json_text(job.strand)},
                         {"records", std::to_string(job.records)},
                         {job.unit + "s", std::to_string(job.bases)},
                         {job.unit + "s_found_finished", std::to_string(job.found)},
                         {"windows", std::to_string(job.windows)},
                         {"tokens", std::to_string(job.tokens)},
                         {"counts", json_counts(job.counts)},
                         {"skipped", json_counts(job.skipped)},
                         {"warnings", json_counts(job.warnings)},
                         {"seconds", json_number(finished.seconds)},
                         {job.unit + "s_per_second", json_number(rate)},
                         {"peak_memory_bytes", std::to_string(peak_memory())},
                         {"plan", plan_json(job.plan)},
                         {"output", json_text(finished.output)}});
  const auto file = open_table({options.summary, "", true}, {});
  file->line(json_line(all));
  file->finish();
}

}  // namespace genossm
