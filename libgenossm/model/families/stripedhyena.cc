// StripedHyena 1, published as Evo 1: embedding, blocks of norm -> Hyena with modal filters or
// attention -> norm -> gated MLP, a final norm, the embedding as head. The transformers layout puts
// "backbone." before every name, the plain one does not. Source: stripedhyena.md sections 1 to 4.
#include "libgenossm/model/families/families.h"
#include "libgenossm/model/families/striped.h"

namespace genossm {
namespace {

bool claims(const Json& config) {
  return config.text("model_type", "") == "stripedhyena" ||
         (config.has("hyena_layer_idxs") && config.has("attn_layer_idxs"));
}

StripedSpec hyena(const Json& config, Index D) {
  StripedSpec m;
  m.d_model = D;
  m.heads = positive(config, "num_attention_heads");
  m.short_taps = positive(config, "short_filter_length", 3);
  m.layout = config.flag("column_split_hyena", true) ? StripedSpec::Layout::by_head
                                                     : StripedSpec::Layout::thirds;
  m.conv = StripedSpec::Conv::modal_complex;
  m.states = positive(config, "state_size", 8);
  if (D % m.heads != 0 || m.short_taps < 2 || m.short_taps > 8 || m.states > 4096) {
    fail(Fault::checkpoint, config.where() + ": short_filter_length " +
                                std::to_string(m.short_taps) + ", state_size " +
                                std::to_string(m.states) + ", " + std::to_string(m.heads) +
                                " heads of " + std::to_string(D) +
                                " channels; supported are filters of 2 to 8, up to 4096 states, "
                                "whole heads");
  }
  return m;
}

ModelSpec describe(const Json& config, Binder& tensors) {
  ModelSpec m;
  m.family = "stripedhyena";
  bind_frame(tensors, config, m);
  const Index D = m.d_model, layers = layer_count(config, "num_layers");
  const std::vector<bool> attends = blocks_listed(config, "attn_layer_idxs", layers);
  const std::vector<bool> convolves = blocks_listed(config, "hyena_layer_idxs", layers);
  for (Index i = 0; i < layers && config.has("hyena_layer_idxs"); ++i) {
    const auto k = static_cast<std::size_t>(i);
    if (attends[k] != convolves[k]) continue;
    fail(Fault::checkpoint, config.where() + ": block " + std::to_string(i) + " is in " +
                                (attends[k] ? "both" : "neither") +
                                " of attn_layer_idxs and hyena_layer_idxs");
  }
  const MlpSpec::Kind gate = gate_named(config, config.text("mlp_activation", "silu"));
  for (Index i = 0; i < layers; ++i) {
    const std::string at = "blocks." + std::to_string(i);
    BlockSpec block;
    bind_around(tensors, config, block, i, D, gate);
    if (attends[static_cast<std::size_t>(i)]) {
      AttentionSpec attention = attention_sizes(config, D, config.flag("column_split", false));
      const std::string mha = at + ".inner_mha_cls";
      bind_attention(tensors, config, attention, mha);
      // Upstream computes the frequencies anew from the base (stripedhyena.md section 3).
      tensors.ignore(mha + ".rotary_emb.inv_freq", {D / attention.heads / 2});
      block.forward = std::move(attention);
    } else {
      StripedSpec mixer = hyena(config, D);
      bind(tensors, mixer, at);
      tensors.bind(mixer.in_bias, at + ".projections.bias", {3 * D});
      tensors.bind(mixer.out_bias, at + ".out_filter_dense.bias", {D});
      if (config.flag("short_filter_bias", true)) {
        tensors.bind(mixer.short_bias, at + ".filter.short_filter_bias", {3 * D});
      }
      block.forward = std::move(mixer);
    }
    m.blocks.push_back(std::move(block));
  }
  bind_head(tensors, config, m);
  return m;
}

}  // namespace

extern const Family stripedhyena_family{"stripedhyena (Evo 1)", claims, describe, "backbone."};

}  // namespace genossm
