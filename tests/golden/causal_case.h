// A stored case of a causal model: the residual stream after every layer, the last hidden state,
// the logits and the scores of the next token, against what the model gives on a device.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "libgenossm/runtime/executor.h"
#include "libgenossm/runtime/open_model.h"
#include "libgenossm/tasks/likelihood.h"
#include "tests/support/golden.h"

namespace genossm::testing {

inline std::vector<std::int32_t> ids_of(const GoldenFile& file) {
  const std::vector<std::int64_t> stored = file.integers("input_ids");
  return {stored.begin(), stored.end()};
}

// Rows of one sequence, [L, columns].
inline std::vector<float> rows_of(const OpenedModel& model, Device& device,
                                  const Features& features, const std::vector<std::int32_t>& ids,
                                  Index chunk) {
  ExecutorOptions options;
  options.features = features;
  options.chunk = chunk;
  Executor executor(model.model, device, options);
  Unit unit;
  unit.length = unit.count = static_cast<Index>(ids.size());
  unit.tokens = [&](Index begin, std::span<std::int32_t> out) {
    std::copy_n(ids.begin() + begin, out.size(), out.begin());
  };
  std::vector<float> values;
  executor.run(std::span(&unit, 1), [&](Index, Index, View<const float, 2> rows) {
    for (Index t = 0; t < rows.extent[0]; ++t) {
      values.insert(values.end(), rows.row(t), rows.row(t) + rows.extent[1]);
    }
  });
  return values;
}

// Of tensors that are stored in part, the last rows are; `whole`: no tensor may be missing.
inline void check_causal_case(const std::string& name, Device& device, double tolerance,
                              double sum_tolerance, bool whole) {
  const OpenedModel model = open_model({model_of(name), ""}, device, Precision::fp32);
  const GoldenFile expected(golden_folder() / name / "expected.safetensors");
  const Card& card = model.model.card();
  const std::vector<std::int32_t> ids = ids_of(expected);
  const auto L = static_cast<Index>(ids.size());
  const auto there = [&](const std::string& tensor) { return whole || expected.has(tensor); };
  const auto compare = [&](const std::string& tensor, const Features& features) {
    const std::vector<float> values = rows_of(model, device, features, ids, 1024);
    const View<const float, 2> got(values.data(), {L, features.columns(card)});
    const Golden want = expected.tensor(tensor);
    const Index kept = want.matrix().extent[0];
    ASSERT_LE(kept, L);
    EXPECT_LE(relative_error(rows(got, L - kept, L), want.matrix()), tolerance) << tensor;
  };
  if (there("hidden_states.0")) {
    for (Index layer = 0; layer <= card.layers; ++layer) {
      Features features;
      features.layers = {layer};
      compare("hidden_states." + std::to_string(layer), features);
    }
    compare("hidden_states." + std::to_string(card.layers + 1), Features{});
  }
  compare("last_hidden_state", Features{});
  compare("logits", Features{.logits = true});
  if (!there("next_token_logprob")) return;

  const std::vector<float> logits = rows_of(model, device, Features{.logits = true}, ids, 1024);
  std::vector<std::int32_t> next(ids.begin() + 1, ids.end());
  BaseScores scores;
  Device plain{Reference{}};
  score_rows(plain, {logits.data(), {L - 1, card.vocab}}, {}, {next.data(), {L - 1}}, scores);
  const Golden logp = expected.tensor("next_token_logprob");
  const auto kept = static_cast<Index>(logp.values.size());
  EXPECT_LE(relative_error({scores.logp.data() + (L - 1 - kept), {1, kept}},
                           {logp.values.data(), {1, kept}}),
            tolerance);
  if (!there("score_sum_mean")) return;
  double sum = 0;
  for (const float p : scores.logp) sum += static_cast<double>(p);
  const double want = static_cast<double>(expected.tensor("score_sum_mean").values[0]);
  EXPECT_NEAR(sum, want, sum_tolerance * std::abs(want));
}

}  // namespace genossm::testing
