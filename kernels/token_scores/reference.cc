#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "kernels/core/shapes.h"
#include "kernels/token_scores/token_scores.h"

namespace genossm {

namespace {

void check_shapes(const TokenScores& op) {
  const auto [L, V] = op.logits.extent;
  const Index K = op.alphabet.empty() ? V : op.alphabet.extent[0];
  require(K > 0, Fault::shape, "token_scores: the alphabet has no token, want at least one");
  want_shape_or_empty("token_scores", "target", op.target, {L});
  want_shape_or_empty("token_scores", "logp", op.logp, {L});
  want_shape_or_empty("token_scores", "entropy", op.entropy, {L});
  require(op.logp.empty() || !op.target.empty() || L == 0, Fault::shape,
          "token_scores: logp is wanted without a target, want a target for every token");
}

}  // namespace

void check_on(const Cuda&, const TokenScores& op) { check_shapes(op); }

void check(const TokenScores& op) {
  check_shapes(op);
  const auto [L, V] = op.logits.extent;
  const Index K = op.alphabet.empty() ? V : op.alphabet.extent[0];
  for (Index k = 0; k < K && !op.alphabet.empty(); ++k) {
    const Index token = op.alphabet.data[k];
    if (token >= 0 && token < V) continue;
    fail(Fault::shape, "token_scores: token " + std::to_string(k) + " of the alphabet is " +
                           std::to_string(token) + ", want 0 to " + std::to_string(V - 1));
  }
  for (Index t = 0; t < L && !op.target.empty(); ++t) {
    const Index target = op.target.data[t];
    if (target >= -1 && target < K) continue;
    fail(Fault::shape, "token_scores: target " + std::to_string(t) + " is " +
                           std::to_string(target) + ", want -1 to " + std::to_string(K - 1));
  }
}

void run(Reference&, const TokenScores& op) {
  const auto [L, V] = op.logits.extent;
  const Index K = op.alphabet.empty() ? V : op.alphabet.extent[0];
  std::vector<double> log_p(static_cast<std::size_t>(K));
  for (Index t = 0; t < L; ++t) {
    for (Index k = 0; k < K; ++k) {
      const Index token = op.alphabet.empty() ? k : op.alphabet.data[k];
      log_p[static_cast<std::size_t>(k)] = op.logits.row(t)[token];
    }
    const double largest = *std::max_element(log_p.begin(), log_p.end());
    double sum = 0, entropy = 0;
    for (const double l : log_p) sum += std::exp(l - largest);
    for (double& l : log_p) l = l - largest - std::log(sum);
    for (const double l : log_p) {
      const double p = std::exp(l);
      if (p != 0) entropy -= p * l;  // the limit of p ln p at 0 is 0
    }
    if (!op.entropy.empty()) op.entropy.data[t] = static_cast<float>(entropy);
    if (op.logp.empty()) continue;
    const Index target = op.target.data[t];
    op.logp.data[t] = target < 0 ? std::numeric_limits<float>::quiet_NaN()
                                 : static_cast<float>(log_p[static_cast<std::size_t>(target)]);
  }
}

}  // namespace genossm
