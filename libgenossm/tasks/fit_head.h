// Fitting a head. Same rows, options and seed: same bytes, for any number of threads.
//
// What is minimised, with z the standardised row and the sum over training rows:
//   softmax, two classes: sum ln(1 + exp(-+u.z)) + l2/2 |u|^2, weights kept as -u/2 and u/2
//   softmax, k classes:   sum -ln p(label) + l2/2 |W|^2
//   ridge:                sum (y - w.z - b)^2 + l2 |w|^2
//   mlp:                  mean -ln p(label) + l2/(2 rows) (|W1|^2 + |W2|^2)
// Biases are never penalised. So l2 is 1/C of scikit-learn's LogisticRegression and alpha of its
// Ridge and MLPClassifier.
//
// The strength is the one of `l2` with the least cross-validated mean log-loss (ridge: mean squared
// error), the larger of equals; the head is then fitted on all rows with it. Standardisation is
// measured once, on all rows given: it sees no label, and l2 means the same in every fold.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "libgenossm/tasks/folds.h"
#include "libgenossm/tasks/head.h"

namespace genossm {

struct FitOptions {
  HeadKind kind = HeadKind::softmax;
  // Candidates, each >= 0 (softmax and ridge: > 0). Empty: default_l2(kind), or 1 where folds is 0.
  // With one candidate nothing is chosen and there is no cross-validation.
  std::vector<double> l2;
  // >= 2, or kLeaveOneOut (exact and cheap for ridge, a fit a row for the others), or 0: the first
  // candidate is taken. Clipped to the number of rows (of groups).
  Index folds = 5;
  // Empty, or one number a row: rows of one group share a fold (folds.h).
  std::vector<Index> groups;
  std::uint64_t seed = 0;
  // softmax: L-BFGS ends when the decrement g.H^-1.g / 2 a row, an estimate of what the mean loss
  // could still lose (H: the curvature bound used as preconditioner), is no more than this.
  double tolerance = 1e-8;
  Index max_iterations = 500;
  // mlp
  Index hidden = 128;
  Index epochs = 100;   // at most
  Index patience = 10;  // epochs without a better held-out loss
  Index batch = 128;    // rows a step
  double learning_rate = 1e-3;
};

// softmax, ridge: 1e-2 ... 1e5 in decades; mlp: 1.
std::vector<double> default_l2(HeadKind kind);

struct FitReport {
  double l2 = 0;                // chosen
  bool at_edge = false;         // the chosen one is the smallest or largest of several candidates
  std::vector<double> l2_grid;  // candidates, descending, each once
  Index folds = 0;              // used; 0: nothing was chosen; leave-one-out: the number of rows
  // [l2_grid, folds]: mean log-loss (ridge: squared error) of the held-out rows, in nats. For a
  // leave-one-out ridge one column with the mean over all rows. Empty if nothing was chosen. NaN
  // where no held-out row could be scored, and for the strengths that softmax leaves untried: going
  // down, it stops after two in a row that are 5 % worse than the best.
  std::vector<std::vector<double>> score;
  std::vector<double> mean_score;  // [l2_grid], over rows, not over folds
  Index iterations = 0;            // of the final fit: L-BFGS steps, or epochs
  bool converged = true;           // mlp: ended by patience before `epochs`
  double loss = 0;                 // of the final fit: mean log-loss (squared error), no penalty;
                                   // mlp: of the held-out tenth
  double seconds = 0;              // wall time, selection included
};

struct FittedHead {
  Head head;
  FitReport report;
};

// Throws Fault::input: no rows, features that are not finite, a label outside [0, classes), fewer
// than two classes, a class without a row, a target that is not finite, numbers of rows or groups
// that differ; Fault::usage: options outside their ranges, a kind that does not fit the targets.
void check_fit(const FeatureTable& features, const Targets& targets, const FitOptions& options);

// Throws like check_fit, which it calls. The mlp is trained on nine tenths of the rows, stratified;
// the others say when to stop, and the weights of their best epoch are kept.
FittedHead fit_head(const FeatureTable& features, const Targets& targets, const FitOptions& options,
                    Cpu& cpu);

// For evaluation without a test part: every row predicted by a head that was fitted, with its
// standardiser and its choice of l2, on the other folds only. `folds`: >= 2 or kLeaveOneOut;
// options.folds is the inner choice's. A class may be missing from some training part: its
// probability is then 0 there. Throws like
// check_fit.
struct OutOfFold {
  std::vector<double> predictions;  // [rows, classes], or [rows] for ridge
  std::vector<Index> fold;          // [rows]
  std::vector<double> l2;           // [folds]: chosen
  Index folds = 0;
};
// `progress` is called after each fold, from any thread but one at a time, with folds done and all.
OutOfFold cross_validated_predictions(const FeatureTable& features, const Targets& targets,
                                      const FitOptions& options, Index folds, Cpu& cpu,
                                      const std::function<void(Index, Index)>& progress = {});

}  // namespace genossm
