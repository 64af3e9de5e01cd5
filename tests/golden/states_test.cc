// What a causal model carries after a whole sequence, layer by layer, against the stored decode
// states; and one further token fed from there, against the stored step.
#include <gtest/gtest.h>

#include "libgenossm/runtime/lane.h"
#include "libgenossm/runtime/open_model.h"
#include "tests/support/golden.h"

namespace genossm::testing {
namespace {

constexpr double kTolerance = 2e-5;

std::vector<float> turned(View<const float, 2> m) {
  std::vector<float> out;
  for (Index j = 0; j < m.extent[1]; ++j) {
    for (Index i = 0; i < m.extent[0]; ++i) out.push_back(m.row(i)[j]);
  }
  return out;
}

void expect_close(std::vector<float> got, std::vector<float> want, const std::string& name) {
  ASSERT_EQ(got.size(), want.size()) << name;
  const auto n = static_cast<Index>(got.size());
  EXPECT_LE(relative_error({got.data(), {1, n}}, {want.data(), {1, n}}), kTolerance) << name;
}

// Stored: conv [batch, channels, W], the last W inputs, of which we keep W - 1; ssm
// [batch, E, N] (Mamba-1) or [batch, H, P, N] (Mamba-2). Ours: [W - 1, channels], then [N, E], or
// [H, N, P] and a scale [H].
void check_layer(const GoldenFile& expected, Index layer, Index batch, const float* state) {
  const std::string at = "state." + std::to_string(layer);
  const Golden conv = expected.tensor(at + ".conv"), ssm = expected.tensor(at + ".ssm");
  const Index C = conv.shape[1], W = conv.shape[2];
  const View<const float, 2> inputs(conv.values.data() + batch * C * W, {C, W});
  expect_close({state, state + (W - 1) * C}, turned(cols(inputs, 1, W)), at + ".conv");
  state += (W - 1) * C;
  const bool heads = ssm.shape.size() == 4;
  const Index N = ssm.shape.back(), H = heads ? ssm.shape[1] : 1, P = ssm.shape[heads ? 2 : 1];
  for (Index h = 0; h < H; ++h) {
    const View<const float, 2> one(ssm.values.data() + (batch * H + h) * P * N, {P, N});
    std::vector<float> ours(state + h * N * P, state + (h + 1) * N * P);
    for (float& v : ours) v *= heads ? state[H * N * P + h] : 1.0f;
    expect_close(std::move(ours), turned(one), at + ".ssm");
  }
}

class StatesGolden : public ::testing::TestWithParam<std::string> {};

void check_case(const std::string& name, Device& device) {
  const OpenedModel model = open_model({model_of(name), ""}, device, Precision::fp32);
  const GoldenFile expected(golden_folder() / name / "expected.safetensors");
  const Index batches = expected.shape("input_ids")[0], L = expected.shape("input_ids")[1];
  const std::vector<std::int64_t> ids = expected.integers("input_ids");
  const std::vector<std::int64_t> next = expected.integers("step.input_ids");
  Lane lane(model.model, Features{.logits = true}, 64, 64);
  for (Index b = 0; b < batches; ++b) {
    Carry carry(model.model);
    const std::vector<std::int32_t> tokens(ids.begin() + b * L, ids.begin() + (b + 1) * L);
    lane.advance(device, tokens, carry, [](Index, Index, View<const float, 2>) {});
    for (Index layer = 0; layer < model.model.card().layers; ++layer) {
      check_layer(expected, layer, b, carry.state.data() + model.model.state_offset(layer));
    }
    const std::vector<std::int32_t> one{
        static_cast<std::int32_t>(next[static_cast<std::size_t>(b)])};
    lane.advance(device, one, carry, [&](Index, Index, View<const float, 2> logits) {
      EXPECT_LE(relative_error(logits, expected.tensor("step.logits").matrix(b)), kTolerance);
    });
  }
}

TEST_P(StatesGolden, Cpu) {
  Device device{Cpu(1)};
  check_case(GetParam(), device);
}
TEST_P(StatesGolden, Reference) {
  Device device{Reference{}};
  check_case(GetParam(), device);
}

std::string test_name(const ::testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  return name;
}
INSTANTIATE_TEST_SUITE_P(All, StatesGolden,
                         ::testing::Values("mamba1/lm_small_bin", "mamba1/lm_opts",
                                           "mamba2/lm_small_bin"),
                         test_name);

}  // namespace
}  // namespace genossm::testing
