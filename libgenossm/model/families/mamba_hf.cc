// Mamba and Mamba-2 in the layout of Hugging Face transformers: the same tensors under
// backbone.embeddings (plural), other config keys, always RMSNorm.
// Sources: mamba1.md section 4, mamba2.md section 4.
#include "libgenossm/model/families/families.h"
#include "libgenossm/model/families/mixers.h"

namespace genossm {
namespace {

bool claims(const Json& config) {
  const std::string type = config.text("model_type", "");
  return type == "mamba" || type == "mamba2";
}

Mamba1Spec mamba1(const Json& config, Index d_model) {
  Mamba1Spec m;
  m.d_model = d_model;
  // transformers recomputes intermediate_size from expand.
  m.d_inner = inner_width(config, d_model, 2);
  m.d_state = positive(config, "state_size", 16);
  m.d_conv = positive(config, "conv_kernel", 4);
  const bool automatic = !config.has("time_step_rank") || config.value("time_step_rank").is_text();
  m.dt_rank = automatic ? (d_model + 15) / 16 : positive(config, "time_step_rank");
  m.conv_bias = config.flag("use_conv_bias", true);
  m.bias = config.flag("use_bias", true);
  check_sizes(m, config.where());
  return m;
}

Mamba2Spec mamba2(const Json& config, Index d_model, float eps) {
  Mamba2Spec m;
  m.d_model = d_model;
  m.d_inner = inner_width(config, d_model, 2);
  m.d_ssm = m.d_inner;
  m.heads = positive(config, "num_heads", 128);
  m.headdim = positive(config, "head_dim", 64);
  m.d_state = positive(config, "state_size", 128);
  m.groups = positive(config, "n_groups", 8);
  m.d_conv = positive(config, "conv_kernel", 4);
  // transformers gates first whatever rms_norm and norm_before_gate say, and takes one mean over
  // all channels where the original takes one per group.
  m.grouped_norm = false;
  m.norm_eps = eps;
  step_limits(config, "time_step_limit", m);
  m.conv_bias = config.flag("use_conv_bias", true);
  m.bias = config.flag("use_bias", false);
  check_sizes(m, config.where());
  return m;
}

ModelSpec describe(const Json& config, Binder& tensors) {
  ModelSpec m;
  m.family = config.text("model_type");
  m.d_model = positive(config, "hidden_size");
  m.vocab = positive(config, "vocab_size");  // already padded
  const Index layers = layer_count(config, "num_hidden_layers");
  const std::string act = config.text("hidden_act", "silu");
  if (act != "silu") {
    fail(Fault::checkpoint, config.where() + ": hidden_act is " + act + ", supported is silu");
  }
  const float eps = epsilon(config, "layer_norm_epsilon", 1e-5);
  const bool second = m.family == "mamba2";

  // transformers renames the singular form of the original on loading.
  const bool singular = tensors.has("backbone.embedding.weight");
  tensors.bind(m.embedding, singular ? "backbone.embedding.weight" : "backbone.embeddings.weight",
               {m.vocab, m.d_model});
  for (Index i = 0; i < layers; ++i) {
    const std::string at = "backbone.layers." + std::to_string(i);
    BlockSpec block;
    block.norm.eps = eps;
    if (second) {
      block.forward = mamba2(config, m.d_model, eps);
    } else {
      block.forward = mamba1(config, m.d_model);
    }
    bind(tensors, block.norm, at + ".norm", m.d_model);
    bind(tensors, block.forward, at + ".mixer");
    m.blocks.push_back(std::move(block));
  }
  m.final_norm.eps = eps;
  bind(tensors, m.final_norm, "backbone.norm_f", m.d_model);
  if (config.flag("tie_word_embeddings", !second)) {
    tensors.ignore("lm_head.weight", {m.vocab, m.d_model});
  } else {
    tensors.bind(m.head, "lm_head.weight", {m.vocab, m.d_model});
  }
  return m;
}

}  // namespace

extern const Family mamba_hf_family{"mamba, mamba2 (transformers layout)", claims, describe,
                                    "model."};

}  // namespace genossm
