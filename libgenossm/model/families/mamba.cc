// Mamba and Mamba-2 in the layout of state-spaces/mamba: embedding, n_layer residual blocks of
// norm -> mixer (-> norm2 -> gated MLP), a final norm, a head that may be tied.
// Sources: mamba1.md sections 3 to 5, mamba2.md sections 4 and 5.
#include "libgenossm/model/families/families.h"
#include "libgenossm/model/families/mixers.h"

namespace genossm {
namespace {

bool claims(const Json& config) {
  return !config.has("model_type") && config.has("d_model") && config.has("n_layer");
}

ModelSpec describe(const Json& config, Binder& tensors) {
  ModelSpec m;
  m.d_model = positive(config, "d_model");
  const Index layers = layer_count(config, "n_layer");
  // The table on disk is padded; config.json holds the unpadded size.
  m.vocab =
      round_up(positive(config, "vocab_size"), positive(config, "pad_vocab_size_multiple", 8));
  if (config.has("attn_layer_idx") && config.array("attn_layer_idx").size() > 0) {
    fail(Fault::checkpoint, config.where() +
                                ": attn_layer_idx names attention layers; hybrid "
                                "models of this layout are not supported");
  }
  const Json ssm = config.object_or_empty("ssm_cfg");
  const std::string layer = ssm.text("layer", "Mamba1");
  if (layer != "Mamba1" && layer != "Mamba2") {
    fail(Fault::checkpoint, ssm.where() + ": layer is " + layer + ", supported are Mamba1, Mamba2");
  }
  m.family = layer == "Mamba2" ? "mamba2" : "mamba";
  const bool rms = config.flag("rms_norm", true);
  const Index intermediate = config.integer("d_intermediate", 0);
  if (intermediate < 0) {
    fail(Fault::checkpoint, config.where() + ": d_intermediate is " + std::to_string(intermediate) +
                                ", want 0 (no MLP) or more");
  }

  tensors.bind(m.embedding, "backbone.embedding.weight", {m.vocab, m.d_model});
  for (Index i = 0; i < layers; ++i) {
    const std::string at = "backbone.layers." + std::to_string(i);
    BlockSpec block;
    block.norm.rms = rms;
    if (layer == "Mamba2") {
      block.forward = mamba2_sizes(ssm, m.d_model);
    } else {
      block.forward = mamba1_sizes(ssm, m.d_model);
    }
    bind(tensors, block.norm, at + ".norm", m.d_model);
    bind(tensors, block.forward, at + ".mixer");
    if (intermediate > 0) {
      // GatedMLP rounds its width up: multiple_of = 128.
      const Index F = round_up(positive(config, "d_intermediate"), 128);
      block.mlp_norm.emplace();
      block.mlp_norm->rms = rms;
      bind(tensors, *block.mlp_norm, at + ".norm2", m.d_model);
      block.mlp.emplace();
      block.mlp->hidden = F;
      tensors.bind(block.mlp->fc1, at + ".mlp.fc1.weight", {2 * F, m.d_model});
      tensors.bind(block.mlp->fc2, at + ".mlp.fc2.weight", {m.d_model, F});
    }
    m.blocks.push_back(std::move(block));
  }
  m.final_norm.rms = rms;
  bind(tensors, m.final_norm, "backbone.norm_f", m.d_model);
  if (config.flag("tie_embeddings", true)) {
    tensors.ignore("lm_head.weight", {m.vocab, m.d_model});
  } else {
    tensors.bind(m.head, "lm_head.weight", {m.vocab, m.d_model});
  }
  return m;
}

}  // namespace

extern const Family mamba_family{"mamba (mamba_ssm layout)", claims, describe, "model."};

}  // namespace genossm
