// Metrics: what a set of predictions is worth. Nothing here throws for a poor test part: a figure
// that is undefined there is NaN.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/core/cpu.h"

namespace genossm {

// A figure and its 95 % interval: percentiles 2.5 and 97.5 (linear between order statistics) of the
// figure over bootstrap resamples of the rows, those where it is undefined left out. NaN bounds
// without resamples.
struct Estimate {
  double value = 0, low = 0, high = 0;
};

struct BootstrapOptions {
  Index resamples = 1000;  // 0: no intervals
  std::uint64_t seed = 0;
};

// The rows whose largest probability lies in [low, high) (the last bin: up to 1).
struct CalibrationBin {
  double low = 0, high = 0;
  Index rows = 0;
  double confidence = 0;  // mean largest probability; NaN without rows
  double accuracy = 0;    // part of them that are right; NaN without rows
};

struct ClassFigures {
  Index rows = 0;                            // of this class
  Index predicted = 0;                       // as this class
  double precision = 0, recall = 0, f1 = 0;  // precision NaN if never predicted, recall if absent
  double auroc = 0, auprc = 0;  // against all others; NaN if the class, or all others, is absent
};

// Classes without a row in the test part are left out of every mean over classes; `present` says
// which were counted.
struct ClassificationMetrics {
  Index rows = 0, classes = 0;
  std::vector<Index> present;  // classes with a row, ascending

  Estimate accuracy;
  // Mean recall over the classes present.
  Estimate balanced_accuracy;
  // Gorodkin's R_K (2004), which is Matthews' coefficient for two classes; 0 if one class alone is
  // predicted, NaN if one class alone is present.
  Estimate mcc;
  // Mean F1 over the classes present.
  Estimate f1;
  // Two classes: of class 1. More: mean over the classes present, each against all others. Ties
  // count one half.
  Estimate auroc;
  // Average precision, sum of (R_i - R_{i-1}) P_i over distinct scores; two classes: of class 1.
  Estimate auprc;
  // Two classes: mean (p_1 - y)^2, in [0, 1]. More: mean over rows of the sum over classes (Brier
  // 1950), in [0, 2].
  Estimate brier;
  // Mean -ln p(label), nats; p no less than 2.2e-16.
  Estimate log_loss;
  // Part of the rows that the commonest class makes up.
  double majority = 0;

  std::vector<Index> confusion;        // [classes true, classes predicted], row-major
  std::vector<ClassFigures> by_class;  // [classes]
  std::vector<CalibrationBin> bins;    // 10 of equal width
  double calibration_error = 0;        // mean |accuracy - confidence| of the bins, by rows (ECE)
};

// probabilities: [rows, classes]; labels: [rows], in [0, classes). The predicted class is the first
// with the largest probability. The same bytes for any number of threads. Throws Fault::input: no
// rows, classes < 2, a label out of range, probabilities that are not finite; Fault::internal:
// sizes that do not fit.
ClassificationMetrics classification_metrics(std::span<const double> probabilities,
                                             std::span<const std::int32_t> labels, Index classes,
                                             const BootstrapOptions& options, Cpu& cpu);

struct RegressionMetrics {
  Index rows = 0;
  Estimate pearson;   // NaN where either is constant
  Estimate spearman;  // Pearson's of the ranks, ties by their mean rank
  Estimate r2;        // 1 - sum (y - p)^2 / sum (y - mean y)^2; NaN where y is constant
  Estimate mae, rmse;
};

// Throws Fault::input: no rows, a number that is not finite; Fault::internal: sizes that differ.
RegressionMetrics regression_metrics(std::span<const double> predictions,
                                     std::span<const double> values,
                                     const BootstrapOptions& options, Cpu& cpu);

}  // namespace genossm
