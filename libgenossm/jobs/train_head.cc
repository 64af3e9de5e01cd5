#include "libgenossm/jobs/train_head.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>

#include "libgenossm/base/text.h"
#include "libgenossm/jobs/figures.h"
#include "libgenossm/output/atomic_file.h"
#include "libgenossm/output/byte_sink.h"
#include "libgenossm/output/tsv.h"

namespace genossm {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::vector<std::string_view> sequences_of(const std::vector<LabelledRecord>& records) {
  std::vector<std::string_view> out;
  for (const LabelledRecord& record : records) out.push_back(record.bases);
  return out;
}

class Run {
 public:
  Run(const OpenedModel& model, Device& device, const TrainHeadOptions& options)
      : model_(model), device_(device), options_(options), cpu_(options.run.threads) {}

  TrainHeadReport run() {
    refuse_existing();
    read();
    embed_parts();
    fit();
    evaluate();
    write();
    return std::move(report_);
  }

 private:
  bool regression() const { return options_.fit.kind == HeadKind::ridge; }
  void stage(const std::string& name) const {
    if (options_.stage) options_.stage(name);
  }

  // An output that may not be written is found before the work, not after it.
  void refuse_existing() const {
    for (const OutputRequest* output :
         {&options_.output, &options_.metrics, &options_.predictions}) {
      if (output->path.empty() || is_standard_output(output->path)) continue;
      if (!is_device(output->path)) static_cast<void>(AtomicFile(output->path, output->force));
    }
  }

  void read() {
    const auto start = std::chrono::steady_clock::now();
    stage("reading");
    LabelledSet train = read_labelled(options_.train);
    add_tally(report_.job, train.tally);
    train_ = std::move(train.records);
    if (options_.test) {
      LabelledSet test = read_labelled(*options_.test);
      add_tally(report_.job, test.tally);
      test_ = std::move(test.records);
    }
    if (!regression()) {
      classes_ = class_names(train_);
      if (classes_.size() < 2) {
        fail(Fault::input, shown(options_.train.path) + ": all " + std::to_string(train_.size()) +
                               " records have the label '" + shown(classes_.front()) +
                               "'; a classifier needs two classes or more");
      }
      if (classes_.size() > train_.size() / 2 && classes_.size() > 10) {
        fail(Fault::input, shown(options_.train.path) + ": " + std::to_string(classes_.size()) +
                               " different labels in " + std::to_string(train_.size()) +
                               " records. Is the label column the right one (--label-column)? For "
                               "numbers, use --type ridge");
      }
    }
    train_targets_ = targets_of(train_, classes_);
    test_targets_ = targets_of(test_, classes_);
    require_lengths(train_, options_.recipe.window);
    require_lengths(test_, options_.recipe.window);
    find_twins();
    shortest_ = longest_ = static_cast<Index>(train_.front().bases.size());
    for (const LabelledRecord& record : train_) {
      shortest_ = std::min(shortest_, static_cast<Index>(record.bases.size()));
      longest_ = std::max(longest_, static_cast<Index>(record.bases.size()));
    }
    if (shortest_ != longest_) {
      ++report_.job.warnings["training sequences have " + std::to_string(shortest_) + " to " +
                             std::to_string(longest_) +
                             " bases: a head may learn the length, and places along a sequence "
                             "(center, segments) mean different things"];
    }
    report_.seconds_reading = seconds_since(start);
  }

  void find_twins() {
    leaks_ = find_leaks(sequences_of(train_), sequences_of(test_), train_targets_.labels,
                        test_targets_.labels);
    if (leaks_.any()) {
      const std::string what = std::to_string(leaks_.pairs.size()) + " of " +
                               std::to_string(test_.size()) +
                               " test sequences stand in the training part too (" +
                               std::to_string(leaks_.reverse_pairs) + " as reverse complements)";
      if (!options_.drop_leaks) {
        ++report_.job.warnings[what +
                               ": the figures flatter the head; --drop-leaks takes them out "
                               "of the training part"];
      }
    }
    if (options_.drop_leaks && !leaks_.train_rows.empty()) {
      std::vector<Index> keep;
      std::size_t drop = 0;
      for (Index i = 0; i < static_cast<Index>(train_.size()); ++i) {
        if (drop < leaks_.train_rows.size() && leaks_.train_rows[drop] == i) {
          ++drop;
        } else {
          keep.push_back(i);
        }
      }
      std::vector<LabelledRecord> kept;
      for (const Index i : keep) kept.push_back(std::move(train_[static_cast<std::size_t>(i)]));
      train_ = std::move(kept);
      train_targets_ = take_rows(train_targets_, keep);
      report_.job.skipped["training sequences that stand in the test part"] +=
          static_cast<Index>(drop);
      require(!train_.empty(), Fault::input,
              "all training sequences stand in the test part; nothing is left to train on");
      require_all_classes();
    }
    if (!leaks_.train_conflicts.empty()) {
      report_.job.warnings["training sequences that occur with different labels"] +=
          static_cast<Index>(leaks_.train_conflicts.size());
    }
  }

  void require_all_classes() const {
    if (regression()) return;
    std::vector<Index> rows(classes_.size());
    for (const std::int32_t label : train_targets_.labels) ++rows[static_cast<std::size_t>(label)];
    for (std::size_t k = 0; k < rows.size(); ++k) {
      require(rows[k] > 0, Fault::input,
              "class '" + shown(classes_[k]) + "' has no training sequences left");
    }
  }

  void embed_parts() {
    const auto start = std::chrono::steady_clock::now();
    stage("embedding");
    const auto one = [&](const std::vector<LabelledRecord>& records) {
      ComputedFeatures features = compute_features(model_, device_, options_.recipe, options_.run,
                                                   records, options_.cache, options_.machine);
      JobReport& job = report_.job;
      job.records += static_cast<Index>(records.size());
      for (const LabelledRecord& r : records) job.bases += static_cast<Index>(r.bases.size());
      job.windows += features.job.windows;
      job.tokens += features.job.tokens;
      if (features.cached)
        job.counts["records with features from the cache"] += static_cast<Index>(records.size());
      for (const auto& [text, n] : features.job.warnings) job.warnings[text] += n;
      job.plan = features.job.plan;
      return std::move(features.rows);
    };
    train_rows_ = one(train_);
    if (!test_.empty()) test_rows_ = one(test_);
    report_.job.strand = name_of(options_.recipe.strand);
    report_.seconds_embedding = seconds_since(start);
  }

  void fit() {
    const auto start = std::chrono::steady_clock::now();
    stage("fitting");
    FitOptions fit = options_.fit;
    // Twins in two folds would make every strength look as good as the weakest.
    fit.groups = twin_groups(sequences_of(train_));
    if (test_.empty() && options_.evaluation_folds != 0) {
      out_of_fold_ = cross_validated_predictions(train_rows_.table(), train_targets_, fit,
                                                 options_.evaluation_folds, cpu_);
    }
    fitted_ = fit_head(train_rows_.table(), train_targets_, fit, cpu_);
    report_.seconds_fitting = seconds_since(start);
    if (fitted_.report.at_edge) {
      ++report_.job.warnings["the best --l2 is at the edge of those tried; widen it by --l2"];
    }
    if (!fitted_.report.converged && options_.fit.kind != HeadKind::mlp) {
      ++report_.job.warnings["the fit did not converge in --max-iterations"];
    }
  }

  void evaluate() {
    const auto start = std::chrono::steady_clock::now();
    stage("evaluating");
    const bool tested = !test_.empty();
    if (tested) {
      predictions_ = predict(fitted_.head, test_rows_.table(), cpu_);
    } else {
      predictions_ = out_of_fold_.predictions;
    }
    if (!predictions_.empty()) {
      const Targets& truth = tested ? test_targets_ : train_targets_;
      if (regression()) {
        const RegressionMetrics m =
            regression_metrics(predictions_, truth.values, options_.bootstrap, cpu_);
        figures_ = figures_json(m);
        report_.text = figures_text(m);
      } else {
        const ClassificationMetrics m =
            classification_metrics(predictions_, truth.labels, static_cast<Index>(classes_.size()),
                                   options_.bootstrap, cpu_);
        figures_ = figures_json(m, classes_);
        report_.text = figures_text(m, classes_);
      }
    }
    report_.seconds_evaluating = seconds_since(start);
  }

  std::string evaluation() const {
    if (!test_.empty()) return "test part";
    if (predictions_.empty()) return "none";
    return out_of_fold_.folds == static_cast<Index>(train_.size())
               ? "leave one out"
               : std::to_string(out_of_fold_.folds) + "-fold cross-validation";
  }

  void write() {
    HeadFile file;
    file.head = fitted_.head;
    file.labels = classes_;
    file.recipe = options_.recipe;
    file.model = model_.name;
    file.model_sha256 = model_.sha256;
    file.precision = name_of(model_.model.card().precision);
    file.alphabet = model_.alphabet_acgt ? "acgt" : "full";
    file.shortest = shortest_;
    file.longest = longest_;
    file.provenance = options_.provenance;
    if (!figures_.empty()) {
      file.test = json_line({{"evaluation", json_text(evaluation())}, {"figures", figures_}});
    }
    if (!options_.predictions.path.empty()) write_predictions();
    if (!options_.metrics.path.empty()) {
      const auto out = open_table(options_.metrics, {});
      out->line(metrics_json(file));
      out->finish();
    }
    if (!options_.output.path.empty()) {
      write_head(file, options_.output.path, options_.output.force);
    }
    char line[200];
    std::snprintf(line, sizeof line, "%s, l2 %g%s, %s\n",
                  std::string(name_of(fitted_.head.kind)).c_str(), fitted_.report.l2,
                  fitted_.report.folds > 0 ? " (cross-validated)" : "", evaluation().c_str());
    report_.text = line + report_.text;
  }

  std::string metrics_json(const HeadFile& file) const {
    const FitReport& fit = fitted_.report;
    Provenance classes;
    if (!regression()) {
      std::vector<Index> rows(classes_.size());
      for (const std::int32_t label : train_targets_.labels)
        ++rows[static_cast<std::size_t>(label)];
      for (std::size_t k = 0; k < rows.size(); ++k) {
        classes.emplace_back(classes_[k], std::to_string(rows[k]));
      }
    }
    Provenance p = options_.provenance;
    for (auto& pair : provenance_of(model_)) p.push_back(pair);
    p.emplace_back("recipe", recipe_json(file.recipe));
    p.emplace_back("train", json_line({{"records", std::to_string(train_.size())},
                                       {"classes", json_line(classes)},
                                       {"shortest", std::to_string(shortest_)},
                                       {"longest", std::to_string(longest_)},
                                       {"copies", std::to_string(leaks_.train_copies.size())}}));
    p.emplace_back(
        "leaks", json_line({{"test_records", std::to_string(leaks_.pairs.size())},
                            {"as_reverse_complement", std::to_string(leaks_.reverse_pairs)},
                            {"with_another_label", std::to_string(leaks_.label_conflicts)},
                            {"dropped_from_train",
                             std::to_string(options_.drop_leaks ? leaks_.train_rows.size() : 0)}}));
    p.emplace_back("fit", json_line({{"kind", json_text(name_of(fitted_.head.kind))},
                                     {"columns", std::to_string(fitted_.head.columns)},
                                     {"l2", json_real(fit.l2)},
                                     {"l2_tried", json_reals(fit.l2_grid)},
                                     {"cross_validated_loss", json_reals(fit.mean_score)},
                                     {"folds", std::to_string(fit.folds)},
                                     {"iterations", std::to_string(fit.iterations)},
                                     {"converged", fit.converged ? "true" : "false"},
                                     {"loss", json_real(fit.loss)}}));
    p.emplace_back("evaluation", json_text(evaluation()));
    if (!figures_.empty()) p.emplace_back("figures", figures_);
    p.emplace_back("seconds", json_line({{"reading", json_real(report_.seconds_reading)},
                                         {"embedding", json_real(report_.seconds_embedding)},
                                         {"fitting", json_real(report_.seconds_fitting)},
                                         {"evaluating", json_real(report_.seconds_evaluating)}}));
    return json_line(p);
  }

  void write_predictions() const {
    std::string header = "#id\tlabel\t";
    if (regression()) {
      header += "prediction";
    } else {
      header += "class\tp";
      for (const std::string& name : classes_) header.append("\tp_").append(name);
    }
    const auto out = open_table(options_.predictions, {header});
    const auto& records = test_.empty() ? train_ : test_;
    const auto k = regression() ? std::size_t{1} : classes_.size();
    for (std::size_t i = 0; i < records.size() && !predictions_.empty(); ++i) {
      const double* p = predictions_.data() + i * k;
      std::string line = records[i].name.empty() ? records[i].place : records[i].name;
      line.append("\t").append(records[i].label);
      if (!regression()) {
        const auto best = static_cast<std::size_t>(std::max_element(p, p + k) - p);
        line.append("\t").append(classes_[best]).append("\t").append(short_number(p[best]));
      }
      for (std::size_t c = 0; c < k; ++c) line.append("\t").append(short_number(p[c]));
      out->line(line);
    }
    out->finish();
  }

  const OpenedModel& model_;
  Device& device_;
  const TrainHeadOptions& options_;
  Cpu cpu_;
  std::vector<LabelledRecord> train_, test_;
  std::vector<std::string> classes_;
  Targets train_targets_, test_targets_;
  Index shortest_ = 0, longest_ = 0;
  LeakReport leaks_;
  FeatureRows train_rows_, test_rows_;
  OutOfFold out_of_fold_;
  FittedHead fitted_;
  std::vector<double> predictions_;
  std::string figures_;
  TrainHeadReport report_;
};

}  // namespace

TrainHeadReport train_head(const OpenedModel& model, Device& device,
                           const TrainHeadOptions& options) {
  return Run(model, device, options).run();
}

}  // namespace genossm
