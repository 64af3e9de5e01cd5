// The laws that every family obeys, byte for byte: results do not depend on threads, chunk, batch
// mates or their order; a causal sequence may be split anywhere; strand-sharing models are
// equivariant. Models have random weights in the published layouts.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "libgenossm/model/model.h"
#include "libgenossm/runtime/branches.h"
#include "libgenossm/runtime/executor.h"
#include "libgenossm/runtime/random_model.h"
#include "libgenossm/runtime/session.h"
#include "tests/kernels/cuda_test.h"

namespace genossm::testing {
namespace {

struct Case {
  std::string name;
  std::string config;
  bool causal;
  bool strands = false;
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

std::string caduceus(const std::string& more) {
  return R"({"model_type": "caduceus", "d_model": 24, "n_layer": 3, "vocab_size": 12,
             "ssm_cfg": {"d_state": 8},
             "complement_map": {"7": 10, "8": 9, "9": 8, "10": 7})" +
         more + "}";
}

const std::vector<Case>& cases() {
  static const std::vector<Case> list{
      {"mamba", R"({"d_model": 24, "n_layer": 3, "vocab_size": 12, "ssm_cfg": {"d_state": 16}})",
       true},
      {"mamba_mlp_bias",
       R"({"d_model": 20, "n_layer": 2, "vocab_size": 12, "rms_norm": false, "d_intermediate": 40,
           "ssm_cfg": {"d_state": 5, "bias": true, "d_conv": 3, "conv_bias": false}})",
       true},
      {"mamba_hf",
       R"({"model_type": "mamba", "hidden_size": 24, "num_hidden_layers": 2, "vocab_size": 16})",
       true},
      {"mamba2",
       R"({"d_model": 32, "n_layer": 3, "vocab_size": 12,
           "ssm_cfg": {"layer": "Mamba2", "d_state": 16, "headdim": 8}})",
       true},
      {"mamba2_groups_dssm",
       R"({"d_model": 24, "n_layer": 2, "vocab_size": 12,
           "ssm_cfg": {"layer": "Mamba2", "d_state": 12, "headdim": 8, "d_ssm": 32, "ngroups": 2,
                       "norm_before_gate": true, "D_has_hdim": true}})",
       true},
      {"mamba2_hf",
       R"({"model_type": "mamba2", "hidden_size": 32, "num_hidden_layers": 2, "vocab_size": 16,
           "num_heads": 8, "head_dim": 8, "state_size": 16, "n_groups": 2})",
       true},
      {"hyenadna",
       R"({"model_type": "hyenadna", "d_model": 24, "d_inner": 40, "n_layer": 2, "vocab_size": 12,
           "emb_dim": 5, "filter_order": 16, "max_seq_len": 3002})",
       false},
      {"hyenadna_order3",
       R"({"d_model": 20, "d_inner": 40, "n_layer": 2, "vocab_size": 12,
           "layer": {"_name_": "hyena", "emb_dim": 7, "filter_order": 12, "l_max": 3000, "order": 3,
                     "num_inner_mlps": 1}})",
       false},
      {"stripedhyena",
       R"({"model_type": "stripedhyena", "vocab_size": 16, "hidden_size": 24, "num_layers": 3,
           "num_attention_heads": 3, "attn_layer_idxs": [1], "state_size": 4,
           "inner_mlp_size": 40, "mlp_activation": "gelu"})",
       true},
      {"stripedhyena2",
       R"({"vocab_size": 16, "hidden_size": 24, "num_layers": 5, "num_attention_heads": 3,
           "attn_layer_idxs": [3], "hcs_layer_idxs": [0], "hcm_layer_idxs": [1, 4],
           "hcl_layer_idxs": [2], "hcs_filter_groups": 6, "hcm_filter_groups": 3, "state_size": 4,
           "inner_mlp_size": 40, "interleave": true, "column_split": true,
           "column_split_hyena": false, "evo2_style_activations": true, "qkv_proj_bias": false,
           "use_interpolated_rotary_pos_emb": true, "rotary_emb_scaling_factor": 4,
           "use_fp8_input_projections": true})",
       true},
      {"attention_alone",
       R"({"vocab_size": 16, "hidden_size": 24, "num_layers": 2, "num_attention_heads": 3,
           "hcl_layer_idxs": [], "attn_layer_idxs": [0, 1], "inner_mlp_size": 40,
           "column_split": true})",
       true},
      {"ph", caduceus(R"(, "rcps": false)"), false},
      {"ph_untied_multiply",
       caduceus(R"(, "bidirectional_weight_tie": false, "bidirectional_strategy": "ew_multiply")"),
       false},
      {"ph_untied_add", caduceus(R"(, "bidirectional_weight_tie": false)"), false},
      {"ph_one_way", caduceus(R"(, "bidirectional": false)"), true},
      {"ps_fused_odd", caduceus(R"(, "rcps": true)"), false, true},
      {"ps_unfused", caduceus(R"(, "rcps": true, "fused_add_norm": false)"), false, true},
      {"ps_layernorm", caduceus(R"(, "rcps": true, "rms_norm": false)"), false, true},
      {"ps_mamba2",
       R"({"model_type": "caduceus", "d_model": 24, "n_layer": 2, "vocab_size": 8, "rcps": true,
           "complement_map": {"3": 6, "4": 5, "5": 4, "6": 3},
           "layer_cfg": {"mamba_cfg": {"version": "v2", "ssm_cfg": {"d_state": 8, "headdim": 16}}},
           "norm_cfg": {"fused_add_norm": true}})",
       false, true},
  };
  return list;
}

std::vector<std::int32_t> random_tokens(Index length, Index vocab, std::uint32_t seed) {
  std::vector<std::int32_t> out;
  std::uint32_t x = seed * 2654435761u + 12345;
  for (Index i = 0; i < length; ++i) {
    x = x * 1664525u + 1013904223u;
    out.push_back(static_cast<std::int32_t>((x >> 8) % static_cast<std::uint32_t>(vocab)));
  }
  return out;
}

using Sequences = std::vector<std::vector<std::int32_t>>;

struct How {
  int threads = 1;
  Index chunk = 0;
  bool logits = false;
  StrandMode strand = StrandMode::forward;
};

// The rows of every sequence, one flat vector each.
std::vector<std::vector<float>> run(const Model& model, const Sequences& sequences, const How& how,
                                    Device device) {
  ExecutorOptions options;
  options.features.logits = how.logits;
  options.strand = how.strand;
  options.threads = how.threads;
  options.chunk = how.chunk;
  Executor executor(model, device, options);
  std::vector<Unit> units;
  for (const auto& ids : sequences) {
    Unit unit;
    unit.length = unit.count = static_cast<Index>(ids.size());
    unit.tokens = [&ids](Index begin, std::span<std::int32_t> out) {
      std::copy_n(ids.begin() + begin, out.size(), out.begin());
    };
    units.push_back(std::move(unit));
  }
  std::vector<std::vector<float>> out(sequences.size());
  executor.run(units, [&](Index u, Index first, View<const float, 2> rows) {
    auto& to = out[static_cast<std::size_t>(u)];
    EXPECT_EQ(static_cast<Index>(to.size()), first * rows.extent[1]);
    for (Index t = 0; t < rows.extent[0]; ++t) {
      to.insert(to.end(), rows.row(t), rows.row(t) + rows.extent[1]);
    }
  });
  return out;
}

std::vector<std::vector<float>> run(const Model& model, const Sequences& sequences,
                                    const How& how) {
  return run(model, sequences, how, Device{Cpu(how.threads)});
}

Unit unit_of(const std::vector<std::int32_t>& ids) {
  Unit unit;
  unit.length = unit.count = static_cast<Index>(ids.size());
  unit.tokens = [&ids](Index begin, std::span<std::int32_t> out) {
    std::copy_n(ids.begin() + begin, out.size(), out.begin());
  };
  unit.reverse_tokens = unit.tokens;
  unit.reverse_last = unit.length - 1;
  return unit;
}

bool same_bytes(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

class Laws : public ::testing::TestWithParam<Case> {
 protected:
  Laws() {
    Device device{Cpu(1)};
    model_ = Model::make(random_spec(Json::parse(GetParam().config, "config"), 7),
                         Placement{&device, Precision::fp32});
  }
  Sequences sequences(std::initializer_list<Index> lengths) const {
    Sequences out;
    std::uint32_t seed = 1;
    for (const Index length : lengths) {
      out.push_back(random_tokens(length, model_.card().vocab, seed++));
    }
    return out;
  }
  Model model_;
};

// Of models with a state, and of those that share parameters between the strands.
class CausalLaws : public Laws {};
class StrandLaws : public Laws {};

std::vector<Case> cases_with(bool Case::*property) {
  std::vector<Case> out;
  for (const Case& c : cases()) {
    if (c.*property) out.push_back(c);
  }
  return out;
}

TEST_P(Laws, ResultsVaryWithInput) {
  // Guards the other laws: a model that ignores its input would obey them all.
  const Sequences two = sequences({100, 100});
  const auto rows = run(model_, two, {});
  EXPECT_FALSE(same_bytes(rows[0], rows[1]));
  for (const float v : rows[0]) ASSERT_TRUE(std::isfinite(v));
}

TEST_P(Laws, ThreadsAndChunkDoNotMatter) {
  const Sequences all = sequences({1, 63, 64, 65, 500, 1, 2, 3000, 129});
  for (const bool logits : {false, true}) {
    const auto want = run(model_, all, {1, 0, logits});
    for (const int threads : {1, 2, 3}) {
      for (const Index chunk : {64, 1000, 65536}) {
        const auto got = run(model_, all, {threads, chunk, logits});
        for (std::size_t s = 0; s < all.size(); ++s) {
          EXPECT_TRUE(same_bytes(got[s], want[s]))
              << "threads " << threads << ", chunk " << chunk << ", sequence " << s;
        }
      }
    }
  }
}

TEST_P(Laws, BatchMatesAndOrderDoNotMatter) {
  const Sequences all = sequences({37, 1, 700, 64, 150, 151});
  const auto want = run(model_, all, {2, 0});
  Sequences turned(all.rbegin(), all.rend());
  const auto other = run(model_, turned, {2, 0});
  for (std::size_t s = 0; s < all.size(); ++s) {
    EXPECT_TRUE(same_bytes(run(model_, {all[s]}, {1, 0})[0], want[s])) << "alone: " << s;
    EXPECT_TRUE(same_bytes(other[all.size() - 1 - s], want[s])) << "reordered: " << s;
  }
}

TEST_P(CausalLaws, BranchesGiveWhatTheirWholeSequencesGive) {
  const Sequences all = sequences({500, 300, 70});
  const Index V = model_.card().vocab;
  struct Fork {
    std::size_t sweep;
    Index from, at, length;  // state of `from`, other tokens from `at` on
  };
  const std::vector<Fork> forks{{0, 64, 65, 500}, {0, 64, 127, 400},  {0, 192, 200, 201},
                                {1, 0, 3, 290},   {1, 256, 257, 320}, {2, 0, 64, 66}};
  Sequences whole;
  for (std::size_t f = 0; f < forks.size(); ++f) {
    const Fork& fork = forks[f];
    std::vector<std::int32_t> ids(all[fork.sweep].begin(), all[fork.sweep].begin() + fork.at);
    const auto more = random_tokens(fork.length - fork.at, V, 100 + static_cast<std::uint32_t>(f));
    ids.insert(ids.end(), more.begin(), more.end());
    whole.push_back(std::move(ids));
  }
  const auto want = run(model_, whole, {1, 0, true});
  const auto read_from = [](const std::vector<std::int32_t>& ids) {
    return [&ids](Index begin, std::span<std::int32_t> out) {
      std::copy_n(ids.begin() + begin, out.size(), out.begin());
    };
  };
  for (const int threads : {1, 3}) {
    for (const Index chunk : {64, 2048}) {
      for (const double settle : {0.0, 1e-30}) {
        Device device{Cpu(threads)};
        if (settle > 0 && model_.card().history_bytes > 0) {
          EXPECT_THROW(Branches(model_, device, {threads, chunk, 0, settle}), Error);
          continue;
        }
        Branches branches(model_, device, {threads, chunk, 0, settle});
        const std::vector<Sweep> sweeps{{read_from(all[0]), 500, {64, 192, 256, 448}},
                                        {read_from(all[1]), 300, {256}},
                                        {read_from(all[2]), 70, {}}};
        std::vector<Branch> list;
        for (std::size_t f = 0; f < forks.size(); ++f) {
          list.push_back({read_from(whole[f]), forks[f].from, forks[f].length, forks[f].sweep});
          if (f == 0) list.back().compare = {256, 448};
        }
        std::vector<std::vector<float>> got(forks.size());
        const auto settled = branches.run(
            sweeps, list, [](Device&, std::size_t, Index, View<const float, 2>) {},
            [&](Device&, std::size_t f, Index first, View<const float, 2> rows) {
              EXPECT_EQ(static_cast<Index>(got[f].size()), (first - forks[f].from) * V);
              for (Index t = 0; t < rows.extent[0]; ++t) {
                got[f].insert(got[f].end(), rows.row(t), rows.row(t) + V);
              }
            });
        for (std::size_t f = 0; f < forks.size(); ++f) {
          const std::vector<float> tail(want[f].begin() + forks[f].from * V, want[f].end());
          EXPECT_TRUE(same_bytes(got[f], tail)) << "branch " << f << ", threads " << threads
                                                << ", chunk " << chunk << ", settle " << settle;
          EXPECT_EQ(settled[f], -1);
        }
      }
    }
  }
}

TEST(WholeLaws, BranchesOfLongConvolutionsAreTheirWholeSequences) {
  Device device{Cpu(2)};
  for (const Case& c : cases()) {
    if (!c.name.starts_with("hyenadna")) continue;
    const Model model =
        Model::make(random_spec(Json::parse(c.config, "config"), 7), {&device, Precision::fp32});
    Sequences all;
    for (const Index length : {500, 300, 70}) {
      all.push_back(random_tokens(length, model.card().vocab, static_cast<std::uint32_t>(length)));
    }
    const auto want = run(model, all, {1, 0, true});
    const auto read_from = [](const std::vector<std::int32_t>& ids) {
      return [&ids](Index begin, std::span<std::int32_t> out) {
        std::copy_n(ids.begin() + begin, out.size(), out.begin());
      };
    };
    for (const int threads : {1, 2}) {
      Branches branches(model, device, {threads, 64, 0, 0});
      const std::vector<Sweep> sweeps{{read_from(all[0]), 500, {}}};
      const std::vector<Branch> list{{read_from(all[1]), 0, 300}, {read_from(all[2]), 0, 70}};
      std::vector<std::vector<float>> got(3);
      const auto collect = [&](std::size_t to, View<const float, 2> logits) {
        for (Index t = 0; t < logits.extent[0]; ++t) {
          got[to].insert(got[to].end(), logits.row(t), logits.row(t) + logits.extent[1]);
        }
      };
      branches.run(
          sweeps, list,
          [&](Device&, std::size_t, Index, View<const float, 2> rows) { collect(0, rows); },
          [&](Device&, std::size_t b, Index, View<const float, 2> rows) { collect(b + 1, rows); });
      for (std::size_t s = 0; s < 3; ++s) EXPECT_TRUE(same_bytes(got[s], want[s])) << c.name << s;
    }
    EXPECT_THROW(Branches(model, device, {1, 0, 0, 1e-3}), Error);
  }
}

void expect_refusal_beyond_filters(Device& device) {
  for (const Case& c : cases()) {
    if (!c.name.starts_with("hyenadna")) continue;
    const Model model =
        Model::make(random_spec(Json::parse(c.config, "config"), 7), {&device, Precision::fp32});
    const Index most = model.card().longest;
    const auto run_here = [&](Index length) {
      const auto ids = random_tokens(length, 12, 1);
      Index rows_seen = 0;
      Executor(model, device, ExecutorOptions{})
          .run(std::vector<Unit>{unit_of(ids)},
               [&](Index, Index, View<const float, 2> rows) { rows_seen += rows.extent[0]; });
      return rows_seen;
    };
    EXPECT_EQ(run_here(most), most);
    try {
      run_here(most + 1);
      FAIL() << "was not refused";
    } catch (const Error& error) {
      EXPECT_EQ(error.fault(), Fault::usage);
      EXPECT_NE(std::string(error.what()).find(std::to_string(most)), std::string::npos);
    }
  }
}

TEST(WholeLaws, SequencesBeyondTheFiltersAreRefused) {
  Device device{Cpu(1)};
  expect_refusal_beyond_filters(device);
}
TEST(WholeLawsCuda, SequencesBeyondTheFiltersAreRefused) {
  auto cuda = open_cuda();
  if (!cuda) GTEST_SKIP() << kNoGpu;
  expect_refusal_beyond_filters(*cuda);
}

TEST_P(CausalLaws, ABranchWithoutAChangeSettlesAtOnce) {
  if (model_.card().history_bytes > 0) GTEST_SKIP() << "attention never settles; refused above";
  const auto ids = random_tokens(600, model_.card().vocab, 3);
  const auto read = [&ids](Index begin, std::span<std::int32_t> out) {
    std::copy_n(ids.begin() + begin, out.size(), out.begin());
  };
  Device device{Cpu(1)};
  Branches branches(model_, device, {1, 0, 0, 1e-6});
  const std::vector<Sweep> sweeps{{read, 600, {64, 256, 512}}};
  const std::vector<Branch> list{{read, 64, 600, 0, {256, 512}}};
  const auto nothing = [](Device&, std::size_t, Index, View<const float, 2>) {};
  EXPECT_EQ(branches.run(sweeps, list, nothing, nothing), std::vector<Index>{256});
  EXPECT_EQ(branches.tokens(), 600 + 256 - 64);
}

TEST_P(CausalLaws, SequencesMaySplitAnywhere) {
  const auto ids = random_tokens(400, model_.card().vocab, 5);
  const auto want = run(model_, {ids}, {})[0];
  const Index D = model_.card().d_model;
  Device device{Cpu(1)};
  for (const Index cut : {1, 3, 63, 64, 65, 128, 200, 399}) {
    std::vector<float> got;
    const auto collect = [&](Index first, View<const float, 2> rows) {
      EXPECT_EQ(first * D, static_cast<Index>(got.size()));
      for (Index t = 0; t < rows.extent[0]; ++t) {
        got.insert(got.end(), rows.row(t), rows.row(t) + D);
      }
    };
    const Tokens all(ids);
    std::string saved;
    {
      Session session(model_, device, Features{}, 256, 64);
      // Fed one by one near the cut, in one piece before.
      const auto n = static_cast<std::size_t>(cut);
      session.feed(all.first(n > 2 ? n - 2 : 0), collect);
      for (std::size_t i = n > 2 ? n - 2 : 0; i < n; ++i) session.feed(all.subspan(i, 1), collect);
      EXPECT_EQ(session.state().position(), cut);
      saved = session.state().bytes();
    }
    Session resumed(model_, device, Features{}, 64, 64);
    resumed.restore(State::parse(saved, model_));
    resumed.feed(all.subspan(static_cast<std::size_t>(cut)), collect);
    EXPECT_TRUE(same_bytes(got, want)) << "cut at " << cut;
  }
}

TEST_P(CausalLaws, DamagedStatesAreRefused) {
  State state;
  state.recent = {1, 2, 3};
  const std::string bytes = state.bytes();
  EXPECT_NO_THROW(State::parse(bytes, model_));
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    EXPECT_THROW(State::parse(bytes.substr(0, n), model_), Error);
  }
  EXPECT_THROW(State::parse(bytes + "x", model_), Error);
}

TEST_P(StrandLaws, ModelsAreEquivariant) {
  const auto ids = random_tokens(300, model_.card().vocab, 11);
  const auto rc = reverse_complement(ids, model_.complement());
  const Index L = 300, D = model_.card().d_model, V = model_.card().vocab;
  // Hidden states: the input's two halves are the other's, flipped along length and channels.
  const auto a = run(model_, {ids}, {1, 0, false, StrandMode::both})[0];
  const auto b = run(model_, {rc}, {1, 0, false, StrandMode::both})[0];
  for (Index t = 0; t < L; ++t) {
    for (Index c = 0; c < 2 * D; ++c) {
      ASSERT_EQ(a[static_cast<std::size_t>(t * 2 * D + c)],
                b[static_cast<std::size_t>((L - 1 - t) * 2 * D + 2 * D - 1 - c)]);
    }
  }
  // The mean of the strands is the same at the same base.
  const auto m = run(model_, {ids}, {1, 0, false, StrandMode::average})[0];
  const auto n = run(model_, {rc}, {1, 0, false, StrandMode::average})[0];
  for (Index t = 0; t < L; ++t) {
    for (Index c = 0; c < D; ++c) {
      ASSERT_EQ(m[static_cast<std::size_t>(t * D + c)],
                n[static_cast<std::size_t>((L - 1 - t) * D + c)]);
    }
  }
  // Logits: a base here is its complement there.
  const auto x = run(model_, {ids}, {1, 0, true})[0];
  const auto y = run(model_, {rc}, {1, 0, true})[0];
  for (Index t = 0; t < L; ++t) {
    for (Index v = 0; v < V; ++v) {
      const Index w = model_.complement()[static_cast<std::size_t>(v)];
      ASSERT_EQ(x[static_cast<std::size_t>(t * V + v)],
                y[static_cast<std::size_t>((L - 1 - t) * V + w)]);
    }
  }
}

// The same laws on a GPU, in both precisions: sequences around the length of its segments.
class LawsCuda : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    if (!open_cuda()) GTEST_SKIP() << kNoGpu;
  }
  static Device gpu() { return std::move(*open_cuda()); }
  static Model model(Device& device, Precision precision) {
    return Model::make(random_spec(Json::parse(GetParam().config, GetParam().name), 3),
                       {&device, precision});
  }
  static constexpr Precision kBoth[] = {Precision::fp32, Precision::bf16};
};

class CausalLawsCuda : public LawsCuda {};

TEST_P(LawsCuda, ChunksAndBatchMatesDoNotMatter) {
  for (const Precision precision : kBoth) {
    Device device = gpu();
    const Model m = model(device, precision);
    Sequences all;
    for (const Index n : {1, 37, 700, 64, 1500, 150, 513, 3000, 511}) {
      all.push_back(random_tokens(n, m.card().vocab, static_cast<std::uint32_t>(n)));
    }
    for (const bool logits : {false, true}) {
      const auto want = run(m, all, {1, 0, logits}, gpu());
      for (const Index chunk : {512, 1024, 4096}) {
        const auto got = run(m, all, {1, chunk, logits}, gpu());
        for (std::size_t s = 0; s < all.size(); ++s) {
          EXPECT_TRUE(same_bytes(got[s], want[s])) << "chunk " << chunk << ", sequence " << s;
        }
      }
      for (std::size_t s = 0; s < all.size(); ++s) {
        EXPECT_TRUE(same_bytes(run(m, {all[s]}, {1, 0, logits}, gpu())[0], want[s]))
            << "alone: " << s;
      }
    }
  }
}

TEST_P(CausalLawsCuda, SequencesMaySplitAnywhere) {
  for (const Precision precision : kBoth) {
    Device device = gpu();
    const Model m = model(device, precision);
    const auto ids = random_tokens(1600, m.card().vocab, 5);
    const auto want = run(m, {ids}, {}, gpu())[0];
    const Index D = m.card().d_model;
    for (const Index cut : {1, 64, 511, 512, 513, 1024, 1599}) {
      std::vector<float> got;
      const auto collect = [&](Index, View<const float, 2> rows) {
        for (Index t = 0; t < rows.extent[0]; ++t)
          got.insert(got.end(), rows.row(t), rows.row(t) + D);
      };
      const Tokens all(ids);
      Session first(m, device, Features{}, 1024, 64);
      first.feed(all.first(static_cast<std::size_t>(cut)), collect);
      Session second(m, device, Features{}, 512, 64);
      second.restore(State::parse(first.state().bytes(), m));
      second.feed(all.subspan(static_cast<std::size_t>(cut)), collect);
      EXPECT_TRUE(same_bytes(got, want)) << "cut at " << cut;
    }
  }
}

TEST_P(CausalLawsCuda, BranchesGiveWhatTheirWholeSequencesGive) {
  constexpr Index kLength = 1700, kFrom = 512, kAt = 530;
  for (const Precision precision : kBoth) {
    Device device = gpu();
    const Model m = model(device, precision);
    const Index V = m.card().vocab;
    const auto ids = random_tokens(kLength, V, 3);
    auto changed = ids;
    const auto other = random_tokens(kLength - kAt, V, 4);
    std::copy(other.begin(), other.end(), changed.begin() + kAt);
    const auto want = run(m, {ids, changed}, {1, 0, true}, gpu());
    const auto read_from = [](const std::vector<std::int32_t>& from) {
      return [&from](Index begin, std::span<std::int32_t> out) {
        std::copy_n(from.begin() + begin, out.size(), out.begin());
      };
    };
    const std::vector<Sweep> sweeps{{read_from(ids), kLength, {512, 1024, 1536}}};
    std::vector<Branch> list{{read_from(ids), kFrom, kLength, 0, {1024, 1536}},
                             {read_from(changed), kFrom, kLength, 0, {1024, 1536}}};
    for (const double settle : {0.0, 1e-30}) {
      if (settle > 0 && m.card().history_bytes > 0) {
        EXPECT_THROW(Branches(m, device, {1, 512, 0, settle}), Error);
        continue;
      }
      Branches branches(m, device, {1, 512, 0, settle});
      std::vector<std::vector<float>> got(list.size());
      const auto settled = branches.run(
          sweeps, list, [](Device&, std::size_t, Index, View<const float, 2>) {},
          [&](Device&, std::size_t f, Index, View<const float, 2> rows) {
            for (Index t = 0; t < rows.extent[0]; ++t) {
              got[f].insert(got[f].end(), rows.row(t), rows.row(t) + V);
            }
          });
      // What does not differ settles where it is first compared.
      EXPECT_EQ(settled, (std::vector<Index>{settle > 0 ? 1024 : -1, -1}));
      for (std::size_t f = 0; f < list.size(); ++f) {
        const Index end = settled[f] >= 0 ? settled[f] : kLength;
        const std::vector<float> part(want[f].begin() + kFrom * V, want[f].begin() + end * V);
        EXPECT_TRUE(same_bytes(got[f], part)) << "branch " << f << ", settle " << settle;
      }
    }
  }
}

// So many bytes above what is in use; -1: no limit.
void limit_memory(Device& device, Index above) {
  if constexpr (build::has_cuda) {
    Cuda& cuda = *as_cuda(device);
    cuda.limit_memory(above < 0 ? -1 : cuda.used_memory() + above);
  }
}

void run_one(const Model& m, Device& device, const Unit& unit) {
  ExecutorOptions options;
  options.chunk = 512;
  Executor(m, device, options).run(std::span(&unit, 1), [](Index, Index, View<const float, 2>) {});
}

// What a batch of whole sequences takes is no more than was planned for it.
TEST(WholeLawsCuda, BatchesFitIntoWhatWasPlanned) {
  auto cuda = open_cuda();
  if (!cuda) GTEST_SKIP() << kNoGpu;
  // The library's own memory comes first.
  const auto few = random_tokens(64, 8, 1);
  run_one(Model::make(random_spec(Json::parse(cases().front().config, "config"), 7),
                      {&*cuda, Precision::fp32}),
          *cuda, unit_of(few));
  const Json config = Json::parse(
      R"({"model_type": "hyenadna", "d_model": 256, "d_inner": 1024, "n_layer": 1, "vocab_size": 12,
          "emb_dim": 5, "filter_order": 64, "max_seq_len": 60002})",
      "config");
  for (const Precision precision : {Precision::bf16, Precision::fp32}) {
    const Model m = Model::make(random_spec(config, 7), {&*cuda, precision});
    std::vector<std::vector<std::int32_t>> ids;
    std::vector<Unit> units;
    for (const Index n : {60'000, 20'000, 1'000, 1'000, 30'000})
      ids.push_back(random_tokens(n, 12, 3));
    for (const auto& one : ids) units.push_back(unit_of(one));
    ExecutorOptions options;
    options.chunk = 65'536;
    Executor executor(m, *cuda, options);
    PlanRequest request;
    request.window = 60'000;
    request.chunk = options.chunk;
    request.columns = executor.columns();
    limit_memory(*cuda, make_plan(m.card(), request).device_bytes);
    Index seen = 0;
    executor.run(units, [&](Index, Index, View<const float, 2> rows) { seen += rows.extent[0]; });
    limit_memory(*cuda, -1);
    EXPECT_EQ(seen, 112'000);
    EXPECT_EQ(executor.plan().halved_to, 0);
  }
}

// When an allocation fails, batches are halved, the plan says so, and results stay the same bytes.
TEST_P(LawsCuda, ShortDeviceMemoryChangesNothingButTheBatch) {
  Device device = gpu();
  const Model m = model(device, Precision::bf16);
  Sequences all;
  for (const Index n : {700, 900, 511, 2000, 64, 1500, 1200}) {
    all.push_back(random_tokens(n, m.card().vocab, static_cast<std::uint32_t>(n)));
  }
  std::vector<Unit> units;
  for (const auto& ids : all) units.push_back(unit_of(ids));
  const auto rows_of = [&](bool is_short) {
    std::vector<std::vector<float>> out(units.size());
    ExecutorOptions options;
    options.chunk = 8192;
    Executor executor(m, device, options);
    // Half of what so many rows want.
    if (is_short) limit_memory(device, 4096 * m.card().cuda_row_bytes);
    executor.run(units, [&](Index u, Index, View<const float, 2> rows) {
      for (Index t = 0; t < rows.extent[0]; ++t) {
        auto& to = out[static_cast<std::size_t>(u)];
        to.insert(to.end(), rows.row(t), rows.row(t) + rows.extent[1]);
      }
    });
    EXPECT_EQ(executor.plan().halved_to > 0, is_short);
    EXPECT_LT(executor.plan().halved_to, 8192);
    limit_memory(device, -1);
    return out;
  };
  // The library's own memory comes first, so that the limit is for the batches. The op memory that
  // a full run leaves behind would not be asked for again.
  run_one(m, device, units[4]);
  const auto with_little = rows_of(true);
  const auto want = rows_of(false);
  for (std::size_t u = 0; u < units.size(); ++u) {
    EXPECT_TRUE(same_bytes(with_little[u], want[u])) << "sequence " << u;
  }
}

// Sums made on the GPU are those of the rows it hands out.
TEST_P(LawsCuda, ReducedRowsAreTheRowsReduced) {
  Device device = gpu();
  const Model m = model(device, Precision::bf16);
  Sequences all;
  for (const Index n : {1, 37, 700, 64, 1500, 513}) {
    all.push_back(random_tokens(n, m.card().vocab, static_cast<std::uint32_t>(n)));
  }
  const std::vector<Index> record_of{0, 0, 1, 2, 2, 2};
  constexpr Index kRecords = 4;  // the last one is empty
  for (const StrandMode strand :
       {StrandMode::forward, StrandMode::reverse, StrandMode::average, StrandMode::both}) {
    ExecutorOptions options;
    options.strand = strand;
    options.chunk = 4096;
    options.features.layers = {1, Features::kLast};
    Executor executor(m, device, options);
    std::vector<Unit> units;
    for (const auto& ids : all) {
      Unit& unit = units.emplace_back(unit_of(ids));
      if (unit.length < 10) continue;
      unit.first = 3, unit.count = unit.length - 5, unit.reverse_last = unit.length - 4;
    }
    ASSERT_TRUE(executor.reduces(units, kRecords));
    const Index C = executor.columns();
    const auto n = static_cast<std::size_t>(kRecords * C);
    std::vector<double> sum(n), max(n, -1e300), want_sum(n), want_max(n, -1e300);
    executor.run(units, [&](Index u, Index, View<const float, 2> rows) {
      const Index r = record_of[static_cast<std::size_t>(u)];
      for (Index t = 0; t < rows.extent[0]; ++t) {
        for (Index c = 0; c < C; ++c) {
          const auto at = static_cast<std::size_t>(r * C + c);
          const double v = rows.row(t)[c];
          want_sum[at] += v;
          want_max[at] = std::max(want_max[at], v);
        }
      }
    });
    Index done = 0;
    std::vector<Stretch> stretches;
    for (std::size_t u = 0; u < units.size(); ++u) {
      stretches.push_back({u, units[u].count, record_of[u]});
    }
    executor.reduce(units, stretches, {sum.data(), {kRecords, C}}, {max.data(), {kRecords, C}},
                    [&](Index rows) { done += rows; });
    EXPECT_EQ(sum, want_sum) << static_cast<int>(strand);
    EXPECT_EQ(max, want_max) << static_cast<int>(strand);
    EXPECT_EQ(done, 1 + 37 + 700 + 64 + 1500 + 513 - 25);

    // Bins of 128 rows that begin anew with every record; one goes on from one sequence to the
    // next. The first is begun with what is there.
    stretches.clear();
    std::vector<Index> bin_of, begun(static_cast<std::size_t>(kRecords), 0);
    Index bins = 0;
    for (std::size_t u = 0; u < units.size(); ++u) {
      Index& row = begun[static_cast<std::size_t>(record_of[u])];
      for (Index left = units[u].count; left > 0;) {
        if (row % 128 == 0) ++bins;
        const Index k = std::min(left, 128 - row % 128);
        stretches.push_back({u, k, bins - 1});
        bin_of.insert(bin_of.end(), static_cast<std::size_t>(k), bins - 1);
        row += k, left -= k;
      }
    }
    const auto size = static_cast<std::size_t>(bins * C);
    sum.assign(size, 0.5), want_sum.assign(size, 0.5);
    std::size_t at_row = 0;
    executor.run(units, [&](Index, Index, View<const float, 2> rows) {
      for (Index t = 0; t < rows.extent[0]; ++t, ++at_row) {
        for (Index c = 0; c < C; ++c) {
          want_sum[static_cast<std::size_t>(bin_of[at_row] * C + c)] += rows.row(t)[c];
        }
      }
    });
    executor.reduce(units, stretches, {sum.data(), {bins, C}}, {}, [](Index) {});
    EXPECT_EQ(sum, want_sum) << static_cast<int>(strand);
  }
}

std::string test_name(const ::testing::TestParamInfo<Case>& info) { return info.param.name; }
INSTANTIATE_TEST_SUITE_P(Families, LawsCuda, ::testing::ValuesIn(cases()), test_name);
INSTANTIATE_TEST_SUITE_P(Families, CausalLawsCuda, ::testing::ValuesIn(cases_with(&Case::causal)),
                         test_name);
INSTANTIATE_TEST_SUITE_P(Families, Laws, ::testing::ValuesIn(cases()), test_name);
INSTANTIATE_TEST_SUITE_P(Families, CausalLaws, ::testing::ValuesIn(cases_with(&Case::causal)),
                         test_name);
INSTANTIATE_TEST_SUITE_P(Families, StrandLaws, ::testing::ValuesIn(cases_with(&Case::strands)),
                         test_name);

}  // namespace
}  // namespace genossm::testing
