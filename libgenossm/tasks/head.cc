#include "libgenossm/tasks/head.h"

#include <algorithm>
#include <cmath>

#include "kernels/core/error.h"

namespace genossm {
namespace {

constexpr std::string_view kNames[] = {"softmax", "ridge", "mlp"};

bool all_finite(const auto& values) {
  return std::all_of(values.begin(), values.end(), [](auto v) { return std::isfinite(v); });
}

// Rows that one task takes.
constexpr Index kRows = 64;

// out[j] = bias[j] + sum_c weight[j, c] x[c], in eight running sums so that it is fast and always
// added in the same order.
template <class X>
void affine(const std::vector<float>& weight, const std::vector<float>& bias,
            const std::vector<X>& x, std::vector<double>& out) {
  const std::size_t n = x.size();
  const float* w = weight.data();
  for (std::size_t j = 0; j < out.size(); ++j, w += n) {
    double sum[8] = {};
    std::size_t c = 0;
    for (; c + 8 <= n; c += 8) {
      for (std::size_t i = 0; i < 8; ++i) {
        sum[i] += static_cast<double>(w[c + i]) * static_cast<double>(x[c + i]);
      }
    }
    for (; c < n; ++c) sum[0] += static_cast<double>(w[c]) * static_cast<double>(x[c]);
    out[j] = static_cast<double>(bias[j]) +
             (((sum[0] + sum[4]) + (sum[1] + sum[5])) + ((sum[2] + sum[6]) + (sum[3] + sum[7])));
  }
}

void softmax(std::vector<double>& logits) {
  const double most = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (double& v : logits) sum += v = std::exp(v - most);
  for (double& v : logits) v /= sum;
}

}  // namespace

HeadKind parse_head_kind(const std::string& text) {
  for (std::size_t i = 0; i < std::size(kNames); ++i) {
    if (text == kNames[i]) return static_cast<HeadKind>(i);
  }
  fail(Fault::usage, "head '" + text + "' is none of softmax, ridge, mlp");
}

std::string_view name_of(HeadKind kind) { return kNames[static_cast<std::size_t>(kind)]; }

void check_head(const Head& head) {
  const auto want = [](bool condition, const std::string& sentence) {
    require(condition, Fault::input, "head: " + sentence);
  };
  const bool mlp = head.kind == HeadKind::mlp;
  want(head.columns > 0, "it takes no columns, want some");
  want(head.kind == HeadKind::ridge ? head.outputs == 1 : head.outputs >= 2,
       std::to_string(head.outputs) + " outputs, want 1 for ridge and 2 or more for classes");
  want(mlp ? head.hidden > 0 : head.hidden == 0, std::to_string(head.hidden) +
                                                     " hidden units do not fit a " +
                                                     std::string(name_of(head.kind)) + " head");
  const Index inner = mlp ? head.hidden : head.columns;
  const auto size = [&](const auto& values, Index rows, Index columns, const char* name) {
    want(static_cast<Index>(values.size()) == rows * columns,
         std::string(name) + " has " + std::to_string(values.size()) + " numbers, want " +
             std::to_string(rows * columns));
    want(all_finite(values), std::string(name) + " holds a number that is not finite");
  };
  size(head.standardizer.mean, 1, head.columns, "the standardiser's mean");
  size(head.standardizer.scale, 1, head.columns, "the standardiser's scale");
  size(head.hidden_weight, head.hidden, head.columns, "hidden_weight");
  size(head.hidden_bias, 1, head.hidden, "hidden_bias");
  size(head.output_weight, head.outputs, inner, "output_weight");
  size(head.output_bias, 1, head.outputs, "output_bias");
  const auto& scale = head.standardizer.scale;
  want(std::all_of(scale.begin(), scale.end(), [](double s) { return s > 0; }),
       "the standardiser's scale holds a number that is not positive");
}

void predict(const Head& head, const FeatureTable& features, Cpu& cpu, double* out) {
  require(features.columns == head.columns, Fault::input,
          "head: the rows have " + std::to_string(features.columns) + " columns, want " +
              std::to_string(head.columns));
  cpu.for_each((features.rows + kRows - 1) / kRows, [&](Index part) {
    std::vector<float> z(static_cast<std::size_t>(head.columns));
    std::vector<double> hidden(static_cast<std::size_t>(head.hidden));
    std::vector<double> result(static_cast<std::size_t>(head.outputs));
    const Index end = std::min(features.rows, (part + 1) * kRows);
    for (Index i = part * kRows; i < end; ++i) {
      head.standardizer.apply(features.row(i), z.data());
      if (head.kind == HeadKind::mlp) {
        affine(head.hidden_weight, head.hidden_bias, z, hidden);
        // Written so that NaN stays NaN.
        for (double& v : hidden) v = v < 0 ? 0 : v;
        affine(head.output_weight, head.output_bias, hidden, result);
      } else {
        affine(head.output_weight, head.output_bias, z, result);
      }
      if (head.kind != HeadKind::ridge) softmax(result);
      std::copy(result.begin(), result.end(), out + i * head.outputs);
    }
  });
}

std::vector<double> predict(const Head& head, const FeatureTable& features, Cpu& cpu) {
  std::vector<double> out(static_cast<std::size_t>(features.rows * head.outputs));
  predict(head, features, cpu, out.data());
  return out;
}

std::vector<std::int32_t> most_probable(const std::vector<double>& probabilities, Index classes) {
  const auto k = static_cast<std::size_t>(classes);
  std::vector<std::int32_t> out;
  out.reserve(probabilities.size() / k);
  for (std::size_t at = 0; at + k <= probabilities.size(); at += k) {
    std::int32_t best = -1;
    for (std::size_t j = 0; j < k; ++j) {
      const double p = probabilities[at + j];
      if (std::isnan(p)) {
        best = -1;
        break;
      }
      if (best < 0 || p > probabilities[at + static_cast<std::size_t>(best)]) {
        best = static_cast<std::int32_t>(j);
      }
    }
    out.push_back(best);
  }
  return out;
}

}  // namespace genossm
