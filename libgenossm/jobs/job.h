// What the jobs share: how a model is to be run, what is reported back, provenance.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "libgenossm/jobs/keep.h"
#include "libgenossm/jobs/source.h"
#include "libgenossm/runtime/executor.h"
#include "libgenossm/runtime/open_model.h"

namespace genossm {

struct RunOptions {
  Index window = 0;  // bases; 0: the model's context (two-way) or the whole record (one-way)
  Index stride = 0;
  Index chunk = 0;
  Index memory = 0;
  int threads = 1;
  std::optional<StrandMode> strand;  // none: the model's default
  bool strict = false;
  KeepOptions keep;
  // Called with bases computed so far (those that windows share counted twice) and the total, 0 if
  // unknown.
  std::function<void(Index, Index)> progress;
};

struct JobReport {
  Index records = 0, bases = 0, windows = 0, tokens = 0;
  Index found = 0;                       // of the bases, what an earlier run had finished
  std::map<std::string, Index> skipped;  // reason -> count
  std::map<std::string, Index> warnings;
  std::map<std::string, Index> counts;  // what else a job counts, for the summary
  std::string unit = "base";            // what `bases` counts, for messages
  Plan plan;
  std::string strand;
};

std::string_view name_of(StrandMode mode);  // fwd, rc, avg, both
// "fwd", "rc", "avg", "both"; Fault::usage.
StrandMode parse_strand(const std::string& text);

// The window in bases for this model and these options, before special tokens; 0: the whole record.
// Fault::usage for a stride that has no windows.
Index window_of(const OpenedModel& model, const RunOptions& options);

const char* name_of(Precision precision);  // "fp32", "bf16", as headers say

// Key-value pairs as one line of JSON, in the order given. Values are JSON already (see
// json_text()).
using Provenance = std::vector<std::pair<std::string, std::string>>;
std::string json_line(const Provenance& pairs);
std::string json_text(std::string_view text);
// What every output says of the model: name, checksum, family, precision.
Provenance provenance_of(const OpenedModel& model);

// Token encoders for one window of a sequence, special tokens included.
struct WindowTokens {
  const Tokenizer* tokenizer = nullptr;
  std::shared_ptr<const SequenceText> text;
  Index begin = 0, end = 0;
  bool special = false;
};
Unit::Read forward_tokens(const WindowTokens& window);
Unit::Read reverse_tokens(const WindowTokens& window);

// Adds the reader's counts to the report.
void add_tally(JobReport& report, const ReadTally& tally);

}  // namespace genossm
