// StripedHyena 2, published as Evo 2: blocks of norm -> Hyena-SE, -MR or -LI, or attention -> norm
// -> gated MLP, a final norm, the embedding as head. Source: stripedhyena2.md sections 1 to 6.
#include <cmath>

#include "libgenossm/model/families/families.h"
#include "libgenossm/model/families/striped.h"

namespace genossm {
namespace {

constexpr Index kFirstConvolution = 128;  // taps from which on upstream convolves: section 2

bool claims(const Json& config) { return config.has("hcl_layer_idxs"); }

bool stated(const Json& config, std::string_view key) {
  if (!config.has(key))
    fail(Fault::checkpoint, config.where() + ": does not state " + std::string(key));
  return config.flag(key, false);
}

StripedSpec::Layout layout_of(const Json& config) {
  const bool turns = stated(config, "interleave"), heads = stated(config, "column_split_hyena");
  using Layout = StripedSpec::Layout;
  if (turns) return heads ? Layout::by_turns_then_head : Layout::by_turns;
  return heads ? Layout::by_head : Layout::thirds;
}

// `kind`: "hcs", "hcm" or "hcl".
StripedSpec hyena(const Json& config, Index D, const std::string& kind) {
  StripedSpec m;
  m.d_model = D;
  m.heads = positive(config, "num_attention_heads");
  m.short_taps = positive(config, "short_filter_length", 3);
  m.layout = layout_of(config);
  m.flip = config.flag("hyena_flip_x1x2", false);
  bool good = D % m.heads == 0 && m.short_taps >= 2 && m.short_taps <= 8;
  if (kind == "hcl") {
    m.conv = StripedSpec::Conv::modal_real;
    m.states = positive(config, "state_size", 16);
    good = good && m.states <= 4096;
  } else {
    m.taps = positive(config, kind + "_filter_length", kind == "hcs" ? 7 : 128);
    m.groups = positive(config, kind + "_filter_groups", D);
    m.conv = m.taps < kFirstConvolution ? StripedSpec::Conv::fir_current_last
                                        : StripedSpec::Conv::fir_current_first;
    good = good && m.taps >= 2 && m.taps <= 4096 && D % m.groups == 0;
  }
  if (!good) {
    fail(Fault::checkpoint, config.where() + ": the sizes of the " + kind +
                                " blocks do not fit together, or are none that are supported");
  }
  return m;
}

void bind_hyena(Binder& tensors, const Json& config, StripedSpec& m, const std::string& at) {
  const Index D = m.d_model;
  bind(tensors, m, at);
  if (config.flag("qkv_proj_bias", true)) {
    tensors.bind(m.in_bias, at + ".projections.bias", {3 * D});
  }
  if (config.flag("hyena_out_proj_bias", true)) {
    tensors.bind(m.out_bias, at + ".out_filter_dense.bias", {D});
  }
  if (config.flag("short_filter_bias", false)) {
    tensors.bind(m.short_bias, at + ".filter.short_filter_bias", {3 * D});
  }
}

// Whether the file says with which scales the projections become 8 bits; without, upstream takes 1.
bool bind_fp8(Binder& tensors, StripedSpec& m, const std::string& at) {
  const std::vector<float> scales = tensors.nested(at + ".projections._extra_state", "scale_fwd");
  m.fp8.emplace();
  if (scales.size() < 2) return false;
  m.fp8 = Fp8Scales{scales[0], scales[1]};
  for (const float scale : {scales[0], scales[1]}) {
    if (!std::isfinite(scale) || scale <= 0) {
      fail(Fault::checkpoint, at + ".projections._extra_state: a scale of " +
                                  std::to_string(scale) + ", want positive numbers");
    }
  }
  return true;
}

// Section 6: these sizes were trained with 8-bit projections and fail without.
bool needs_fp8(Index D) { return D == 1920 || D == 8192; }

ModelSpec describe(const Json& config, Binder& tensors) {
  ModelSpec m;
  m.family = "stripedhyena2";
  bind_frame(tensors, config, m);
  const Index D = m.d_model, layers = layer_count(config, "num_layers");
  const bool fp8 = config.flag("use_fp8_input_projections", false);
  const bool evo2 = config.flag("evo2_style_activations", false);
  const MlpSpec::Kind named = gate_named(config, config.text("mlp_activation", "gelu"));
  const std::vector<std::string> kinds{"attn", "hcs", "hcm", "hcl"};
  std::vector<std::vector<bool>> listed;
  for (const std::string& kind : kinds) {
    listed.push_back(blocks_listed(config, kind + "_layer_idxs", layers));
  }
  for (Index i = 0; i < layers; ++i) {
    const std::string at = "blocks." + std::to_string(i);
    std::string kind;
    for (std::size_t k = 0; k < kinds.size(); ++k) {
      if (!listed[k][static_cast<std::size_t>(i)]) continue;
      if (!kind.empty()) {
        fail(Fault::checkpoint, config.where() + ": block " + std::to_string(i) + " is both " +
                                    kind + " and " + kinds[k]);
      }
      kind = kinds[k];
    }
    BlockSpec block;
    bind_around(tensors, config, block, i, D,
                evo2 && i > 0 ? MlpSpec::Kind::apart_identity : named);
    if (kind == "attn") {
      AttentionSpec attention = attention_sizes(config, D, stated(config, "column_split"));
      const std::string mha = at + ".inner_mha_cls";
      bind_attention(tensors, config, attention, mha);
      // What the file holds wins over the base that the config states (section 3).
      tensors.bind(attention.inv_freq, mha + ".rotary_emb.inv_freq", {D / attention.heads / 2},
                   Presence::optional);
      block.forward = std::move(attention);
    } else if (!kind.empty()) {
      StripedSpec mixer = hyena(config, D, kind);
      bind_hyena(tensors, config, mixer, at);
      if (fp8 && !bind_fp8(tensors, mixer, at)) ++m.unscaled;
      block.forward = std::move(mixer);
    } else {
      fail(Fault::checkpoint,
           config.where() + ": block " + std::to_string(i) + " is in none of the lists of blocks");
    }
    m.blocks.push_back(std::move(block));
  }
  bind_head(tensors, config, m);
  if (m.unscaled > 0) {
    m.warnings.push_back(std::to_string(m.unscaled) +
                         " blocks have no 8-bit scales in the file (_extra_state), so scales of 1 "
                         "are taken: expect far worse predictions than published");
  } else if (!fp8 && needs_fp8(D)) {
    m.warnings.push_back(
        "this size of Evo 2 was trained with 8-bit input projections, which the config switches "
        "off (use_fp8_input_projections): expect far worse predictions than published");
  }
  return m;
}

}  // namespace

extern const Family stripedhyena2_family{"stripedhyena2 (Evo 2)", claims, describe, ""};

}  // namespace genossm
