#include "libgenossm/tasks/likelihood.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "kernels/core/error.h"
#include "kernels/token_scores/token_scores.h"

namespace genossm {

void score_rows(Device& where, View<const float, 2> logits,
                const std::vector<std::int32_t>& alphabet, View<const std::int32_t, 1> target,
                BaseScores& scores) {
  // Logits are in host memory, whatever device they came from.
  Device host{Cpu(1)};
  Device& device = as_cuda(where) != nullptr ? host : where;
  const Index L = logits.extent[0];
  const std::size_t at = scores.logp.size();
  scores.logp.resize(at + static_cast<std::size_t>(L));
  scores.entropy.resize(at + static_cast<std::size_t>(L));
  const auto K = static_cast<Index>(alphabet.size());
  launch(device, TokenScores{.logits = logits,
                             .alphabet = K > 0 ? View<const std::int32_t, 1>(alphabet.data(), {K})
                                               : View<const std::int32_t, 1>(),
                             .target = target,
                             .logp = {scores.logp.data() + at, {L}},
                             .entropy = {scores.entropy.data() + at, {L}}});
}

void logo_heights(std::span<const float> logits, const std::vector<std::int32_t>& alphabet,
                  std::array<float, 4>& heights) {
  require(alphabet.size() == 4, Fault::internal, "logo_heights: want four letters");
  std::array<double, 4> p{};
  double largest = -std::numeric_limits<double>::infinity(), sum = 0, bits = 2;
  for (const std::int32_t id : alphabet) {
    largest = std::max<double>(largest, logits[static_cast<std::size_t>(id)]);
  }
  for (std::size_t b = 0; b < 4; ++b) {
    p[b] = std::exp(logits[static_cast<std::size_t>(alphabet[b])] - largest);
    sum += p[b];
  }
  for (double& value : p) {
    value /= sum;
    if (value > 0) bits += value * std::log2(value);
  }
  for (std::size_t b = 0; b < 4; ++b) heights[b] = static_cast<float>(p[b] * std::max(0.0, bits));
}

void LikelihoodTotals::add(float logp) {
  if (std::isnan(logp)) {
    ++unscored;
    return;
  }
  ++scored;
  sum += static_cast<double>(logp);
}

double LikelihoodTotals::mean() const {
  return scored > 0 ? sum / static_cast<double>(scored) : std::numeric_limits<double>::quiet_NaN();
}
double LikelihoodTotals::bits_per_base() const { return -mean() / std::numbers::ln2; }
double LikelihoodTotals::perplexity() const { return std::exp(-mean()); }

}  // namespace genossm
