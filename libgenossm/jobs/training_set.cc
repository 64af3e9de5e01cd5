#include "libgenossm/jobs/training_set.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <optional>
#include <set>

#include "libgenossm/base/text.h"
#include "libgenossm/jobs/memory_matrix.h"

namespace genossm {
namespace {

std::optional<double> number_of(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

class RecordSource final : public SequenceSource {
 public:
  explicit RecordSource(const std::vector<LabelledRecord>& records) : records_(records) {
    for (const LabelledRecord& record : records) total_ += static_cast<Index>(record.bases.size());
  }
  bool next(Sequence& sequence) override {
    if (next_ == records_.size()) return false;
    sequence = Sequence{};
    sequence.name = records_[next_].place;
    sequence.bases = records_[next_++].bases;
    return true;
  }
  const ReadTally& tally() const override { return tally_; }
  Index total_bases() const override { return total_; }

 private:
  const std::vector<LabelledRecord>& records_;
  std::size_t next_ = 0;
  Index total_ = 0;
  ReadTally tally_;
};

}  // namespace

std::vector<std::string> class_names(const std::vector<LabelledRecord>& records) {
  std::set<std::string> different;
  for (const LabelledRecord& record : records) different.insert(record.label);
  std::vector<std::string> names(different.begin(), different.end());
  if (std::all_of(names.begin(), names.end(), [](const auto& n) { return number_of(n); })) {
    std::stable_sort(names.begin(), names.end(),
                     [](const auto& a, const auto& b) { return *number_of(a) < *number_of(b); });
  }
  return names;
}

Targets targets_of(const std::vector<LabelledRecord>& records,
                   const std::vector<std::string>& classes) {
  Targets targets;
  targets.classes = static_cast<Index>(classes.size());
  std::map<std::string_view, std::int32_t> numbers;
  for (const std::string& name : classes) {
    numbers.emplace(name, static_cast<std::int32_t>(numbers.size()));
  }
  for (const LabelledRecord& record : records) {
    if (classes.empty()) {
      const auto value = number_of(record.label);
      if (!value || !std::isfinite(*value)) {
        fail(Fault::input,
             record.place + ": the target is '" + shown(record.label) + "', want a finite number");
      }
      targets.values.push_back(*value);
      continue;
    }
    const auto found = numbers.find(record.label);
    if (found == numbers.end()) {
      std::string known;
      for (const std::string& name : classes) {
        if (!known.empty()) known += ", ";
        known += shown(name);
        if (known.size() > 200) break;
      }
      fail(Fault::input, record.place + ": the label '" + shown(record.label) +
                             "' does not occur in the training part, which has " + known);
    }
    targets.labels.push_back(found->second);
  }
  return targets;
}

void require_lengths(const std::vector<LabelledRecord>& records, Index window) {
  if (window == 0) return;
  for (const LabelledRecord& record : records) {
    if (static_cast<Index>(record.bases.size()) > window) {
      fail(Fault::input, record.place + ": the sequence has " +
                             std::to_string(record.bases.size()) +
                             " bases, more than the window of " + std::to_string(window) +
                             ". Cut it into pieces with a label each, or give a larger --window");
    }
  }
}

ComputedFeatures compute_features(const OpenedModel& model, Device& device,
                                  const HeadRecipe& recipe, const RunOptions& run,
                                  const std::vector<LabelledRecord>& records,
                                  const FeatureCache& cache, const std::string& machine) {
  std::vector<std::string_view> sequences;
  for (const LabelledRecord& record : records) sequences.push_back(record.bases);
  const std::string key = feature_key(model, recipe, sequences, machine);
  ComputedFeatures out;
  if (auto kept = cache.find(key, static_cast<Index>(records.size()))) {
    out.rows = std::move(*kept);
    out.cached = true;
    return out;
  }
  RecordSource source(records);
  out.job = embed(model, device, embed_options(recipe, run), source,
                  [&](const MatrixSpec&) { return std::make_unique<MemoryMatrix>(out.rows); });
  const FeatureTable table = out.rows.table();
  for (Index i = 0; i < table.rows; ++i) {
    for (Index c = 0; c < table.columns; ++c) {
      if (std::isfinite(table.row(i)[c])) continue;
      fail(Fault::input, records[static_cast<std::size_t>(i)].place +
                             ": the model gives values that are not finite");
    }
  }
  if (!cache.store(key, out.rows)) {
    ++out.job.warnings["the features cannot be kept in " + cache.folder() +
                       " and will be computed anew next time"];
  }
  return out;
}

}  // namespace genossm
