#include "libgenossm/jobs/job_plan.h"

#include <algorithm>

#include "libgenossm/output/journal.h"
#include "libgenossm/runtime/model_speed.h"
#include "libgenossm/runtime/windows.h"

namespace genossm {

std::vector<Index> lengths_of(const SourceOptions& options, Survey& found) {
  if (!can_survey(options)) {
    fail(Fault::usage,
         "--plan reads the input once beforehand; standard input can be read once "
         "only. Want files");
  }
  std::vector<Index> lengths;
  found = survey(options, [&](const std::string&, Index length) { lengths.push_back(length); });
  return lengths;
}

void count_windows(JobPlan& plan, Index length, Index window, Index stride, bool two_way,
                   const RecordShare& part, Index around) {
  for (const Window& w : cut_windows(length, window, stride, two_way)) {
    if (std::max(w.report_begin, part.begin) >= std::min(w.report_end, part.end)) continue;
    ++plan.windows;
    plan.tokens += w.end - w.begin + around;
  }
}

Index bytes_of_output(const std::string& type, Element element, Index values, Index labels,
                      Index label_bytes) {
  constexpr Index kTextValue = 13;   // a tab and the shortest decimals of most floats
  constexpr Index kPlace = 30;       // numbers of a place as text
  constexpr Index kBigWigValue = 6;  // four bytes hardly shrink; with the zoom levels of it
  const Index size = element == Element::f32 ? 4 : 2;
  Index text = values * kTextValue + label_bytes + labels * kPlace;
  if (type.ends_with(".gz")) text = text * 2 / 5;
  if (type.starts_with("tsv") || type.starts_with("bedgraph")) return text;
  if (type == "bw" || type == "hub") return values * kBigWigValue + label_bytes;
  // HDF5 keeps whole blocks: of a MiB of values, of 4,096 labels with their references.
  if (type.starts_with("h5")) {
    constexpr Index kBlock = Index{1} << 20, kLabels = 4096, kLabel = 60;
    return (values * size + kBlock - 1) / kBlock * kBlock +
           (labels + kLabels - 1) / kLabels * kLabels * kLabel + 2 * label_bytes;
  }
  if (type == "npz") return values * size + 4 * label_bytes + labels * kPlace;
  return values * size + label_bytes + labels * kPlace;
}

void add_own_memory(JobPlan& plan) {
  constexpr Index kProgram = Index{20} << 20;  // of a run over one base, less its weights and lane
  constexpr auto kSegment = static_cast<Index>(Journal::kSegment);
  plan.plan.peak_bytes += kProgram + std::min(kSegment, plan.journal_bytes);
}

void expect_time(JobPlan& plan, const OpenedModel& model, Device& device, const RunOptions& run,
                 Index window, Index passes) {
  constexpr Index kTokens = 4096;
  SpeedRequest request;
  request.tokens = std::max<Index>(1, std::min(window > 0 ? window : kTokens, plan.tokens));
  request.sequences = std::max<Index>(1, std::min<Index>(run.threads, plan.windows));
  request.repetitions = 1;
  request.chunk = run.chunk;
  request.memory = run.memory;
  if (plan.tokens == 0) return;
  plan.tokens_per_s = measure_model(model.model, device, request).tokens_per_s;
  if (plan.tokens_per_s > 0) {
    plan.seconds = static_cast<double>(plan.tokens * passes) / plan.tokens_per_s;
  }
}

}  // namespace genossm
