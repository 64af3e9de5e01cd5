#include <algorithm>
#include <cmath>
#include <string>

#include "kernels/core/error.h"
#include "libgenossm/tasks/bootstrap.h"
#include "libgenossm/tasks/metrics.h"
#include "libgenossm/tasks/ranking.h"

namespace genossm {
namespace {

constexpr double kLeastProbability = 2.220446049250313e-16;  // of scikit-learn's log_loss
constexpr std::size_t kBins = 10;

enum Figure { kAccuracy, kBalanced, kMcc, kF1, kAuroc, kAuprc, kBrier, kLogLoss, kFigures };

double ratio(double a, double b) { return b > 0 ? a / b : kUndefined; }

// [true, predicted] counts of k classes.
class Confusion {
 public:
  explicit Confusion(std::size_t k) : k_(k), counts_(k * k, 0), true_(k, 0), predicted_(k, 0) {}

  void add(std::size_t truth, std::size_t said, std::uint64_t times) {
    counts_[truth * k_ + said] += static_cast<double>(times);
    true_[truth] += static_cast<double>(times);
    predicted_[said] += static_cast<double>(times);
    all_ += static_cast<double>(times);
  }

  double count(std::size_t truth, std::size_t said) const { return counts_[truth * k_ + said]; }
  double rows_of(std::size_t c) const { return true_[c]; }
  double predicted_as(std::size_t c) const { return predicted_[c]; }
  double right() const {
    double sum = 0;
    for (std::size_t c = 0; c < k_; ++c) sum += count(c, c);
    return sum;
  }
  double accuracy() const { return right() / all_; }
  double recall(std::size_t c) const { return ratio(count(c, c), true_[c]); }
  double precision(std::size_t c) const { return ratio(count(c, c), predicted_[c]); }
  double f1(std::size_t c) const { return ratio(2 * count(c, c), true_[c] + predicted_[c]); }

  // Of a value of each class that has rows.
  double mean_present(auto&& value) const {
    double sum = 0, classes = 0;
    for (std::size_t c = 0; c < k_; ++c) {
      if (true_[c] == 0) continue;
      sum += value(c);
      ++classes;
    }
    return ratio(sum, classes);
  }

  double mcc() const {
    double both = 0, truth = 0, said = 0;
    for (std::size_t c = 0; c < k_; ++c) {
      both += true_[c] * predicted_[c];
      truth += true_[c] * true_[c];
      said += predicted_[c] * predicted_[c];
    }
    const double spread_true = all_ * all_ - truth, spread_said = all_ * all_ - said;
    if (spread_true <= 0) return kUndefined;
    if (spread_said <= 0) return 0;
    return (right() * all_ - both) / std::sqrt(spread_true) / std::sqrt(spread_said);
  }

 private:
  std::size_t k_;
  std::vector<double> counts_, true_, predicted_;
  double all_ = 0;
};

// What a resample needs of every row.
struct Scored {
  std::size_t k;
  std::span<const std::int32_t> labels;
  std::vector<std::int32_t> said;       // predicted class
  std::vector<double> brier, surprise;  // of a row
  std::vector<Ranking> rankings;        // of each class

  Confusion confusion(const std::vector<std::uint32_t>& times) const {
    Confusion out(k);
    for (std::size_t i = 0; i < said.size(); ++i) {
      out.add(static_cast<std::size_t>(labels[i]), static_cast<std::size_t>(said[i]), times[i]);
    }
    return out;
  }

  std::array<double, kFigures> figures(const std::vector<std::uint32_t>& times) const {
    const Confusion counts = confusion(times);
    std::array<double, kFigures> out{};
    out[kAccuracy] = counts.accuracy();
    out[kBalanced] = counts.mean_present([&](std::size_t c) { return counts.recall(c); });
    out[kMcc] = counts.mcc();
    out[kF1] = counts.mean_present([&](std::size_t c) { return counts.f1(c); });
    std::vector<Areas> areas(k);
    for (std::size_t c = k == 2 ? 1 : 0; c < k; ++c) areas[c] = rankings[c].areas(times);
    if (k == 2) {
      out[kAuroc] = areas[1].roc;
      out[kAuprc] = areas[1].precision;
    } else {
      out[kAuroc] = counts.mean_present([&](std::size_t c) { return areas[c].roc; });
      out[kAuprc] = counts.mean_present([&](std::size_t c) { return areas[c].precision; });
    }
    for (std::size_t i = 0; i < said.size(); ++i) {
      out[kBrier] += times[i] * brier[i];
      out[kLogLoss] += times[i] * surprise[i];
    }
    out[kBrier] /= static_cast<double>(said.size());
    out[kLogLoss] /= static_cast<double>(said.size());
    return out;
  }
};

Scored score_each(std::span<const double> p, std::span<const std::int32_t> labels, Index classes,
                  Cpu& cpu) {
  const auto k = static_cast<std::size_t>(classes);
  Scored out{k, labels, {}, {}, {}, {}};
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const double* row = p.data() + i * k;
    const auto truth = static_cast<std::size_t>(labels[i]);
    std::size_t best = 0;
    double squares = 0;
    for (std::size_t c = 0; c < k; ++c) {
      if (row[c] > row[best]) best = c;
      const double miss = row[c] - (c == truth ? 1.0 : 0.0);
      squares += miss * miss;
    }
    if (k == 2) {
      const double miss = row[1] - (truth == 1 ? 1.0 : 0.0);
      squares = miss * miss;
    }
    out.said.push_back(static_cast<std::int32_t>(best));
    out.brier.push_back(squares);
    out.surprise.push_back(-std::log(std::clamp(row[truth], kLeastProbability, 1.0)));
  }
  out.rankings.resize(k);
  cpu.for_each(classes, [&](Index c) {
    const auto column = static_cast<std::size_t>(c);
    out.rankings[column] = Ranking(
        static_cast<Index>(labels.size()), [&](std::size_t i) { return p[i * k + column]; },
        [&](std::size_t i) { return labels[i] == c; });
  });
  return out;
}

void calibrate(std::span<const double> p, const Scored& scored, ClassificationMetrics& out) {
  out.bins.resize(kBins);
  for (std::size_t b = 0; b < kBins; ++b) {
    out.bins[b].low = static_cast<double>(b) / kBins;
    out.bins[b].high = static_cast<double>(b + 1) / kBins;
  }
  for (std::size_t i = 0; i < scored.said.size(); ++i) {
    const auto said = static_cast<std::size_t>(scored.said[i]);
    const double most = p[i * scored.k + said];
    const double place = std::clamp(std::floor(most * kBins), 0.0, kBins - 1.0);
    CalibrationBin& bin = out.bins[static_cast<std::size_t>(place)];
    ++bin.rows;
    bin.confidence += most;
    bin.accuracy += scored.said[i] == scored.labels[i] ? 1 : 0;
  }
  for (CalibrationBin& bin : out.bins) {
    out.calibration_error +=
        std::abs(bin.accuracy - bin.confidence) / static_cast<double>(out.rows);
    bin.confidence = ratio(bin.confidence, static_cast<double>(bin.rows));
    bin.accuracy = ratio(bin.accuracy, static_cast<double>(bin.rows));
  }
}

void check_rows(std::span<const double> p, std::span<const std::int32_t> labels, Index classes) {
  require(classes >= 2, Fault::input,
          "metrics: " + std::to_string(classes) + " classes, want two or more");
  require(!labels.empty(), Fault::input, "metrics: no rows, want some");
  require(p.size() == labels.size() * static_cast<std::size_t>(classes), Fault::internal,
          "metrics: probabilities and labels do not fit together");
  for (std::size_t i = 0; i < labels.size(); ++i) {
    require(labels[i] >= 0 && labels[i] < classes, Fault::input,
            "metrics: label " + std::to_string(labels[i]) + " of row " + std::to_string(i + 1) +
                " is none of " + std::to_string(classes) + " classes");
  }
  for (const double value : p) {
    require(std::isfinite(value), Fault::input, "metrics: a probability is not a finite number");
  }
}

}  // namespace

ClassificationMetrics classification_metrics(std::span<const double> probabilities,
                                             std::span<const std::int32_t> labels, Index classes,
                                             const BootstrapOptions& options, Cpu& cpu) {
  check_rows(probabilities, labels, classes);
  const Scored scored = score_each(probabilities, labels, classes, cpu);
  const std::vector<std::uint32_t> once(labels.size(), 1);
  const Confusion counts = scored.confusion(once);
  ClassificationMetrics out;
  out.rows = static_cast<Index>(labels.size());
  out.classes = classes;
  for (std::size_t c = 0; c < scored.k; ++c) {
    for (std::size_t said = 0; said < scored.k; ++said) {
      out.confusion.push_back(static_cast<Index>(counts.count(c, said)));
    }
    const auto rows = static_cast<Index>(counts.rows_of(c));
    if (rows > 0) out.present.push_back(static_cast<Index>(c));
    out.majority = std::max(out.majority, counts.rows_of(c) / static_cast<double>(out.rows));
    const Areas areas = scored.rankings[c].areas(once);
    out.by_class.push_back({rows, static_cast<Index>(counts.predicted_as(c)), counts.precision(c),
                            counts.recall(c), counts.f1(c), areas.roc, areas.precision});
  }
  calibrate(probabilities, scored, out);
  const auto estimates = with_intervals<kFigures>(
      out.rows, options, cpu,
      [&](const std::vector<std::uint32_t>& times) { return scored.figures(times); });
  out.accuracy = estimates[kAccuracy];
  out.balanced_accuracy = estimates[kBalanced];
  out.mcc = estimates[kMcc];
  out.f1 = estimates[kF1];
  out.auroc = estimates[kAuroc];
  out.auprc = estimates[kAuprc];
  out.brier = estimates[kBrier];
  out.log_loss = estimates[kLogLoss];
  return out;
}

}  // namespace genossm
