// Head: a fitted predictor on feature rows, as plain data, and what it says about new rows.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/core/cpu.h"
#include "libgenossm/tasks/features.h"
#include "libgenossm/tasks/standardizer.h"

namespace genossm {

enum class HeadKind {
  softmax,  // multinomial logistic regression
  ridge,    // linear regression with an L2 penalty: numbers, not classes
  mlp,      // one hidden layer of ReLU units, softmax on top
};
HeadKind parse_head_kind(const std::string& text);  // "softmax", "ridge", "mlp"; Fault::usage
std::string_view name_of(HeadKind kind);

// All matrices row-major. z is the standardised row.
//   softmax: p = softmax(output_weight z + output_bias)
//   ridge:   y = output_weight z + output_bias, outputs = 1
//   mlp:     p = softmax(output_weight max(hidden_weight z + hidden_bias, 0) + output_bias)
struct Head {
  HeadKind kind = HeadKind::softmax;
  Index columns = 0;  // of the features
  Index outputs = 0;  // classes; 1 for ridge
  Index hidden = 0;   // units of the hidden layer; 0 but for mlp
  Standardizer standardizer;
  std::vector<float> hidden_weight, hidden_bias;  // [hidden, columns], [hidden]
  std::vector<float> output_weight, output_bias;  // [outputs, hidden or columns], [outputs]
};

// Throws Fault::input if sizes do not fit together, a number is not finite or a scale is not
// positive: what a head that came from a file must pass before it is used.
void check_head(const Head& head);

// out: [rows, outputs]: probabilities that sum to 1, or values for ridge. A row's result is the
// same bytes whatever rows stand beside it and however many threads there are: every row is added
// up alone, in double, in one fixed order. A row with NaN gives NaN. Throws Fault::input if the
// features have other columns than the head.
void predict(const Head& head, const FeatureTable& features, Cpu& cpu, double* out);
std::vector<double> predict(const Head& head, const FeatureTable& features, Cpu& cpu);

// The class with the largest probability of each row, the first among equals; -1 for a row of NaN.
std::vector<std::int32_t> most_probable(const std::vector<double>& probabilities, Index classes);

}  // namespace genossm
