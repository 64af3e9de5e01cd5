#include "libgenossm/jobs/classify.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <numeric>

#include "libgenossm/jobs/figures.h"
#include "libgenossm/jobs/own_head.h"
#include "libgenossm/jobs/pieces.h"
#include "libgenossm/output/alignment_writer.h"
#include "libgenossm/output/tsv.h"

namespace genossm {
namespace {

// What becomes of the numbers of one sequence or window.
class Results {
 public:
  virtual ~Results() = default;
  virtual void put(const SequencePart& piece, std::span<const double> values) = 0;
  virtual void finish() = 0;
};

struct Naming {
  std::vector<std::string> labels;  // empty: a number, not a class
  bool logits = false;              // numbers a class, not probabilities
  double min_prob = 0;

  // The index of the best class, or -1: no values, or too improbable.
  int best(std::span<const double> values) const {
    if (labels.empty() || std::isnan(values[0])) return -1;
    const auto at = std::max_element(values.begin(), values.end()) - values.begin();
    return values[static_cast<std::size_t>(at)] < min_prob ? -1 : static_cast<int>(at);
  }
};

class TableResults final : public Results {
 public:
  TableResults(const ClassifyOptions& options, Naming naming, bool regions,
               const std::vector<std::string>& provenance)
      : options_(options), naming_(std::move(naming)), regions_(regions) {
    std::vector<std::string> lines = provenance;
    std::string header = "#name";
    if (regions_) header += "\tcontig";
    if (regions_ || options.per_window) header += "\tstart\tend";
    if (naming_.labels.empty()) {
      header += "\tvalue";
    } else {
      const std::string p = naming_.logits ? "logit" : "p";
      header += "\tclass\t" + p;
      for (Index k = 2; k <= options.top; ++k) {
        header += "\tclass_" + std::to_string(k) + "\t" + p + "_" + std::to_string(k);
      }
      if (options.top == 0) {
        for (const std::string& label : naming_.labels) {
          header.append("\t").append(p).append("_").append(label);
        }
      }
    }
    lines.push_back(header);
    table_ = open_table(options.output, lines);
  }

  void put(const SequencePart& piece, std::span<const double> values) override {
    std::string line = piece.name;
    if (regions_) line.append("\t").append(piece.contig);
    if (options_.per_window) {
      line += '\t' + std::to_string(piece.at + piece.begin) + '\t' +
              std::to_string(piece.at + piece.end);
    } else if (regions_) {
      line += '\t' + std::to_string(piece.at) + '\t' + std::to_string(piece.sequence_end);
    }
    if (naming_.labels.empty()) {
      line.append("\t").append(short_number(values[0]));
    } else {
      put_classes(line, values);
    }
    table_->line(line);
  }

  void finish() override { table_->finish(); }

 private:
  void put_classes(std::string& line, std::span<const double> values) const {
    std::vector<std::size_t> order(values.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return values[a] > values[b]; });
    const int best = naming_.best(values);
    line.append("\t").append(best < 0 ? "." : naming_.labels[static_cast<std::size_t>(best)]);
    line.append("\t").append(short_number(values[order[0]]));
    for (std::size_t k = 1; k < static_cast<std::size_t>(options_.top); ++k) {
      line.append("\t").append(std::isnan(values[0]) ? "." : naming_.labels[order[k]]);
      line.append("\t").append(short_number(values[order[k]]));
    }
    if (options_.top > 0) return;
    for (const double value : values) line.append("\t").append(short_number(value));
  }

  const ClassifyOptions& options_;
  Naming naming_;
  bool regions_;
  std::unique_ptr<TableWriter> table_;
};

class TagResults final : public Results {
 public:
  TagResults(std::unique_ptr<TaggedAlignments> alignments, Naming naming)
      : alignments_(std::move(alignments)), naming_(std::move(naming)) {}
  void put(const SequencePart&, std::span<const double> values) override {
    const int best = naming_.best(values);
    const double p = *std::max_element(values.begin(), values.end());
    alignments_->result(naming_.labels.empty() ? ""
                        : best < 0             ? "."
                                               : naming_.labels[static_cast<std::size_t>(best)],
                        static_cast<float>(p));
  }
  void finish() override { alignments_->finish(); }

 private:
  std::unique_ptr<TaggedAlignments> alignments_;
  Naming naming_;
};

class ClassifyRun {
 public:
  ClassifyRun(const OpenedModel& model, Device& device, const ClassifyOptions& options)
      : model_(model), device_(device), options_(options), cpu_(options.run.threads) {
    if (options.head) {
      recipe_ = options.head->recipe;
      outputs_ = options.head->head.outputs;
      naming_.labels = options.head->labels;
    } else {
      own_.emplace(model, options.own);
      recipe_ = own_->recipe();
      outputs_ = own_->outputs();
      if (own_->kind() != OwnHead::Kind::value) naming_.labels = model.labels;
      if (outputs_ > 1 && own_->kind() == OwnHead::Kind::value) {
        fail(Fault::checkpoint, model.name +
                                    ": a head of several regression targets is not "
                                    "supported");
      }
    }
    naming_.logits = options.logits;
    naming_.min_prob = options.logits ? -std::numeric_limits<double>::infinity() : options.min_prob;
    refuse_senseless();
  }

  JobReport run() {
    SourceOptions from = options_.source;
    const std::string type = output_type(options_.output, {"tsv", "tsv.gz", "bam", "sam"}, "tsv");
    std::unique_ptr<TaggedAlignments> alignments;
    if (type == "bam" || type == "sam") {
      refuse_as_alignments();
      alignments =
          TaggedAlignments::open({options_.output, type, options_.version, options_.command});
      from.tap = alignments.get();
    }
    PieceSource source(SequenceSource::open(from), window(), options_.run.stride, given_);
    const bool regions = !from.regions.empty() || !from.regions_file.empty() || from.inputs.empty();
    RunOptions run = options_.run;
    run.stride = 0;
    EmbedOptions embedding = embed_options(recipe_, run);
    embedding.source.token_ids = options_.source.token_ids;
    JobReport report = embed(model_, device_, embedding, source, [&](const MatrixSpec&) {
      results_ = alignments ? std::unique_ptr<Results>(
                                  std::make_unique<TagResults>(std::move(alignments), naming_))
                            : std::make_unique<TableResults>(options_, naming_, regions && !ids(),
                                                             provenance());
      return std::make_unique<Sink>(*this);
    });
    report.records = source.sequences();
    report.bases = source.bases();
    for (std::size_t k = 0; k < counts_.size() && !naming_.labels.empty(); ++k) {
      const bool none = k == naming_.labels.size();
      if (!none || counts_[k] > 0) {
        report.counts[none ? "class ." : "class " + naming_.labels[k]] = counts_[k];
      }
    }
    return report;
  }

 private:
  // Takes feature rows as they come and hands them on in blocks.
  class Sink final : public MatrixWriter {
   public:
    explicit Sink(ClassifyRun& run) : run_(run) {}
    void begin_record(const RowLabel&) override {}
    void rows(View<const float, 2> rows) override {
      for (Index i = 0; i < rows.extent[0]; ++i) {
        rows_.values.insert(rows_.values.end(), rows.row(i), rows.row(i) + rows.extent[1]);
      }
      rows_.columns = rows.extent[1];
    }
    void end_record() override {
      if (rows_.table().rows >= kBlock) flush();
    }
    void finish() override {
      flush();
      run_.results_->finish();
    }

   private:
    static constexpr Index kBlock = 256;
    void flush() {
      if (rows_.values.empty()) return;
      run_.take(rows_.table());
      rows_.values.clear();
    }
    ClassifyRun& run_;
    FeatureRows rows_;
  };

  bool ids() const { return !options_.source.token_ids.empty(); }

  Index window() const {
    Index window = options_.window;
    if (window == 0) window = options_.head ? options_.head->longest : recipe_.window;
    if (recipe_.window > 0 && window > recipe_.window) {
      fail(Fault::usage, "--window " + std::to_string(window) + ": the head's model sees " +
                             std::to_string(recipe_.window) + " bases at once");
    }
    return window;
  }

  void refuse_senseless() const {
    const bool classes = !naming_.labels.empty();
    if (options_.logits && options_.head) {
      fail(Fault::usage, "--logits belongs to a checkpoint's own head, not to --head");
    }
    if (options_.logits && options_.min_prob > 0) {
      fail(Fault::usage, "--min-prob with --logits: logits are no probabilities");
    }
    if (!classes && (options_.top > 0 || options_.min_prob > 0)) {
      fail(Fault::usage, "--top and --min-prob need classes; this head gives a number");
    }
    if (options_.top > outputs_) {
      fail(Fault::usage, "--top " + std::to_string(options_.top) + ": the head has " +
                             std::to_string(outputs_) + " classes");
    }
    if (!classes && options_.combine == Combine::max) {
      fail(Fault::usage, "--combine max needs classes; this head gives a number");
    }
  }

  void refuse_as_alignments() const {
    const SourceOptions& from = options_.source;
    if (from.inputs.size() != 1 || !from.regions.empty() || !from.regions_file.empty()) {
      fail(Fault::usage, "alignments are written from one SAM, BAM or CRAM file, without regions");
    }
    if (options_.per_window) fail(Fault::usage, "--per-window writes a table, not alignments");
    if (options_.top > 0) fail(Fault::usage, "--top writes a table, not alignments");
  }

  std::vector<std::string> provenance() const {
    if (options_.provenance.empty()) return {};
    Provenance p = options_.provenance;
    for (auto& pair : provenance_of(model_)) p.push_back(pair);
    p.emplace_back("recipe", recipe_json(recipe_));
    p.emplace_back("classified_in", std::to_string(window()));
    p.emplace_back("combine", json_text(options_.combine == Combine::mean ? "mean" : "max"));
    return {"##genossm=" + json_line(p)};
  }

  void take(const FeatureTable& features) {
    const auto k = static_cast<std::size_t>(outputs_);
    std::vector<double> values(static_cast<std::size_t>(features.rows) * k);
    if (options_.head) {
      predict(options_.head->head, features, cpu_, values.data());
    } else {
      for (Index i = 0; i < features.rows; ++i) {
        double* out = values.data() + static_cast<std::size_t>(i) * k;
        own_->logits(features.row(i), out);
        if (!options_.logits) own_->normalise(out);
      }
    }
    for (Index i = 0; i < features.rows; ++i) {
      one(std::span<const double>(values).subspan(static_cast<std::size_t>(i) * k, k));
    }
  }

  void one(std::span<const double> values) {
    const SequencePart piece = given_.front();
    given_.pop_front();
    if (options_.per_window) {
      put(piece, values);
      return;
    }
    if (joined_ == 0) combined_.assign(values.size(), 0.0);
    for (std::size_t k = 0; k < values.size(); ++k) {
      combined_[k] = options_.combine == Combine::mean || joined_ == 0
                         ? combined_[k] + values[k]
                         : std::max(combined_[k], values[k]);
    }
    ++joined_;
    if (!piece.last) return;
    if (joined_ > 1) {
      double by = static_cast<double>(joined_);
      if (options_.combine == Combine::max && !options_.logits) {
        by = std::accumulate(combined_.begin(), combined_.end(), 0.0);
      } else if (options_.combine == Combine::max) {
        by = 1;
      }
      for (double& value : combined_) value /= by;
    }
    joined_ = 0;
    put(piece, combined_);
  }

  void put(const SequencePart& piece, std::span<const double> values) {
    counts_.resize(naming_.labels.size() + 1);
    const int best = naming_.best(values);
    ++counts_[best < 0 ? naming_.labels.size() : static_cast<std::size_t>(best)];
    results_->put(piece, values);
  }

  const OpenedModel& model_;
  Device& device_;
  const ClassifyOptions& options_;
  Cpu cpu_;
  std::optional<OwnHead> own_;
  HeadRecipe recipe_;
  Index outputs_ = 0;
  Naming naming_;
  std::deque<SequencePart> given_;
  std::unique_ptr<Results> results_;
  std::vector<double> combined_;
  Index joined_ = 0;
  std::vector<Index> counts_;  // by class; the last: none
};

}  // namespace

Combine parse_combine(const std::string& text) {
  if (text == "mean") return Combine::mean;
  if (text == "max") return Combine::max;
  fail(Fault::usage, "--combine '" + text + "' is none of mean, max");
}

JobReport classify(const OpenedModel& model, Device& device, const ClassifyOptions& options) {
  return ClassifyRun(model, device, options).run();
}

}  // namespace genossm
