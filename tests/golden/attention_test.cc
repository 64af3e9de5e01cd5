// Two-layer Llama and Mistral models put together from the ops, against the stored outputs of the
// authors' code: what attention and rotary positions do inside a network, with grouped heads,
// sliding windows and a cache that is fed in pieces.
#include "kernels/attention/attention.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/activation/activation.h"
#include "kernels/matmul/matmul.h"
#include "kernels/norm/norm.h"
#include "kernels/rope/rope.h"
#include "libgenossm/checkpoint/checkpoint.h"
#include "tests/kernels/cuda_test.h"
#include "tests/support/golden.h"

namespace genossm::testing {
namespace {

struct Sheet {
  Sheet(Index row_count, Index column_count)
      : rows(row_count),
        columns(column_count),
        values(static_cast<std::size_t>(row_count * column_count)) {}
  View<float, 2> view() { return {values.data(), {rows, columns}}; }
  Index rows, columns;
  std::vector<float> values;
};

class Transformer {
 public:
  Transformer(const std::filesystem::path& folder, Device& device)
      : checkpoint_(Checkpoint::open(folder)), device_(device) {
    const Json& config = checkpoint_.config();
    heads_ = config.integer("num_attention_heads");
    kv_heads_ = config.integer("num_key_value_heads");
    E_ = config.integer("head_dim");
    window_ = config.integer("sliding_window", 0);
    eps_ = static_cast<float>(config.number("rms_norm_eps"));
    for (Index j = 0; j < E_ / 2; ++j) {
      const double power = -2.0 * static_cast<double>(j) / static_cast<double>(E_);
      inv_freq_.push_back(static_cast<float>(std::pow(config.number("rope_theta"), power)));
    }
    for (Index i = 0; i < config.integer("num_hidden_layers"); ++i) layers_.push_back({});
  }

  Sheet embed(const std::vector<std::int64_t>& ids) const {
    const Index D = shape("model.embed_tokens.weight").at(1);
    const std::vector<float> table = read("model.embed_tokens.weight");
    Sheet x(static_cast<Index>(ids.size()), D);
    for (Index t = 0; t < x.rows; ++t) {
      std::copy_n(table.data() + ids[static_cast<std::size_t>(t)] * D, D, x.view().row(t));
    }
    return x;
  }

  // x += attention and MLP of layer i, for the tokens that follow those it has seen.
  void layer(std::size_t i, View<float, 2> x) {
    const std::string name = "model.layers." + std::to_string(i) + ".";
    const Index n = x.extent[0];
    std::vector<float>&k_cache = layers_[i].k, &v_cache = layers_[i].v;
    const Index past = static_cast<Index>(k_cache.size()) / (kv_heads_ * E_);
    Sheet normed = norm(x, name + "input_layernorm");
    Sheet q = product(normed.view(), name + "self_attn.q_proj");
    Sheet k = product(normed.view(), name + "self_attn.k_proj");
    Sheet v = product(normed.view(), name + "self_attn.v_proj");
    const View<const float, 1> freq{inv_freq_.data(), {E_ / 2}};
    launch_anywhere(device_, Rope{.x = q.view(), .heads = heads_, .inv_freq = freq, .start = past});
    launch_anywhere(device_,
                    Rope{.x = k.view(), .heads = kv_heads_, .inv_freq = freq, .start = past});
    k_cache.insert(k_cache.end(), k.values.begin(), k.values.end());
    v_cache.insert(v_cache.end(), v.values.begin(), v.values.end());
    launch_anywhere(device_,
                    Attention{.q = q.view(),
                              .k = {k_cache.data(), {past + n, kv_heads_ * E_}},
                              .v = {v_cache.data(), {past + n, kv_heads_ * E_}},
                              .heads = heads_,
                              .kv_heads = kv_heads_,
                              .scale = 1 / std::sqrt(static_cast<float>(E_)),
                              .mask = window_ ? AttentionMask::window : AttentionMask::causal,
                              .window = window_,
                              .y = q.view()});
    add(x, product(q.view(), name + "self_attn.o_proj"));
    normed = norm(x, name + "post_attention_layernorm");
    Sheet gate = product(normed.view(), name + "mlp.gate_proj");
    Sheet up = product(normed.view(), name + "mlp.up_proj");
    launch_anywhere(device_, Activation{.x = up.view(), .gate = gate.view(), .y = up.view()});
    add(x, product(up.view(), name + "mlp.down_proj"));
  }
  std::size_t layers() const { return layers_.size(); }

  Sheet norm(View<const float, 2> x, const std::string& name) {
    Sheet y(x.extent[0], x.extent[1]);
    const std::vector<float> weight = read(name + ".weight");
    launch_anywhere(
        device_,
        Norm{.x = x, .weight = {weight.data(), {x.extent[1]}}, .eps = eps_, .y = y.view()});
    return y;
  }
  Sheet product(View<const float, 2> x, const std::string& name) {
    const std::vector<Index> N = shape(name + ".weight");
    const std::vector<float> weight = read(name + ".weight");
    const auto packed = MatmulWeight::pack(device_, {weight.data(), {N[0], N[1]}});
    std::vector<float> bias;
    if (checkpoint_.find(name + ".bias")) bias = read(name + ".bias");
    Sheet y(x.extent[0], N[0]);
    launch_anywhere(device_,
                    Matmul{.x = x,
                           .weight = &packed,
                           .bias = bias.empty() ? View<const float, 1>()
                                                : View<const float, 1>(bias.data(), {N[0]}),
                           .y = y.view()});
    return y;
  }

 private:
  struct Layer {
    std::vector<float> k, v;
  };
  static void add(View<float, 2> x, Sheet y) {
    for (Index t = 0; t < y.rows; ++t) {
      for (Index d = 0; d < y.columns; ++d) x.row(t)[d] += y.view().row(t)[d];
    }
  }
  const std::vector<Index>& shape(const std::string& name) const {
    return checkpoint_.tensors().at(checkpoint_.find(name).value()).shape;
  }
  std::vector<float> read(const std::string& name) const {
    const std::size_t i = checkpoint_.find(name).value();
    std::vector<float> values(static_cast<std::size_t>(checkpoint_.tensors()[i].elements()));
    checkpoint_.source().read_f32(i, values);
    return values;
  }

  Checkpoint checkpoint_;
  Device& device_;
  Index heads_ = 0, kv_heads_ = 0, E_ = 0, window_ = 0;
  float eps_ = 0;
  std::vector<float> inv_freq_;
  std::vector<Layer> layers_;
};

// The last rows are what is stored of long cases.
void expect_stored(const GoldenFile& expected, const std::string& name, Sheet got,
                   double tolerance) {
  const Golden want = expected.tensor(name);
  const Index kept = want.matrix().extent[0];
  EXPECT_LE(relative_error(rows(got.view(), got.rows - kept, got.rows), want.matrix()), tolerance)
      << name;
}

class AttentionGolden : public ::testing::TestWithParam<std::string> {};

void check_case(const std::string& name, Device& device, std::vector<Index> cuts) {
  // The README's tolerances; the long case is held to the same.
  constexpr double kTolerance = 2e-5;
  const auto folder = golden_folder() / name;
  const GoldenFile expected(folder / "expected.safetensors");
  Transformer model(model_of(name), device);
  Sheet x = model.embed(expected.integers("input_ids"));
  expect_stored(expected, "hidden_states.0", x, 0);
  cuts.push_back(x.rows);
  for (std::size_t i = 0; i < model.layers(); ++i) {
    Index begin = 0;
    for (const Index cut : cuts) {
      if (cut > x.rows) continue;
      model.layer(i, rows(x.view(), begin, cut));
      begin = cut;
    }
    // The last of the stored hidden states is normed.
    if (i + 1 < model.layers()) {
      expect_stored(expected, "hidden_states." + std::to_string(i + 1), x, kTolerance);
    }
  }
  Sheet last = model.norm(x.view(), "model.norm");
  expect_stored(expected, "last_hidden_state", last, kTolerance);
  expect_stored(expected, "logits", model.product(last.view(), "lm_head"), kTolerance);
}

TEST_P(AttentionGolden, Cpu) {
  Device device{Cpu(1)};
  check_case(GetParam(), device, {});
}
TEST_P(AttentionGolden, InPiecesOnThreeThreads) {
  Device device{Cpu(3)};
  check_case(GetParam(), device, {1, 2, 40, 41, 60, 1000, 4099});
}
TEST_P(AttentionGolden, Cuda) {
  auto cuda = open_cuda();
  if (!cuda) GTEST_SKIP() << kNoGpu;
  check_case(GetParam(), *cuda, {1, 2, 40, 4099});
}
TEST_P(AttentionGolden, Reference) {
  Device device{Reference{}};
  check_case(GetParam(), device, {33});
}

std::string test_name(const ::testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  return name;
}
INSTANTIATE_TEST_SUITE_P(All, AttentionGolden, ::testing::ValuesIn(cases_of("attention")),
                         test_name);

TEST(AttentionGoldenList, IsComplete) { EXPECT_EQ(cases_of("attention").size(), 4u); }

}  // namespace
}  // namespace genossm::testing
