// Caduceus Ph and PS, PlantCaduceus and PlantCAD2: bidirectional Mamba (1 or 2) with optional
// sharing of the parameters between the strands. Tensors under "caduceus.backbone.".
// Sources: caduceus.md sections 4 and 5, plantcaduceus.md.
#include "libgenossm/model/families/families.h"
#include "libgenossm/model/families/mixers.h"

namespace genossm {
namespace {

bool claims(const Json& config) { return config.text("model_type", "") == "caduceus"; }

// complement_map of config.json: keys are numbers written as text, in any order.
std::vector<std::int64_t> complement_of_config(const Json& config, Index vocab) {
  std::vector<std::int64_t> map;
  for (Index v = 0; v < vocab; ++v) map.push_back(v);  // padding rows are their own complement
  if (!config.has("complement_map")) return map;
  const Json given = config.object("complement_map");
  for (const std::string& key : given.keys()) {
    Index from = -1;
    try {
      std::size_t used = 0;
      from = std::stoll(key, &used);
      if (used != key.size()) from = -1;
    } catch (const std::exception&) {
      from = -1;
    }
    const Index to = given.integer(key);
    if (from < 0 || from >= vocab || to < 0 || to >= vocab) {
      fail(Fault::checkpoint, given.where() + ": " + key + " -> " + std::to_string(to) +
                                  " is outside the vocabulary of " + std::to_string(vocab));
    }
    map[static_cast<std::size_t>(from)] = to;
  }
  return map;
}

void check_complement(const std::vector<std::int64_t>& map, const std::string& where, Index vocab) {
  if (static_cast<Index>(map.size()) != vocab) {
    fail(Fault::checkpoint, where + ": complement_map has " + std::to_string(map.size()) +
                                " entries, want " + std::to_string(vocab));
  }
  for (std::size_t v = 0; v < map.size(); ++v) {
    const auto to = static_cast<std::size_t>(map[v]);
    if (map[v] < 0 || to >= map.size() || map[to] != static_cast<std::int64_t>(v)) {
      fail(Fault::checkpoint,
           where + ": complement_map is not its own inverse at " + std::to_string(v));
    }
  }
}

ModelSpec describe(const Json& config, Binder& tensors) {
  ModelSpec m;
  m.strands = config.flag("rcps", false);
  m.family = m.strands ? "caduceus-ps" : "caduceus-ph";
  m.objective = Objective::masked;
  m.d_model = positive(config, "d_model");
  const Index D = m.d_model;
  const Index layers = layer_count(config, "n_layer");
  m.vocab =
      round_up(positive(config, "vocab_size"), positive(config, "pad_vocab_size_multiple", 8));
  const bool bidirectional = config.flag("bidirectional", true);
  const std::string strategy = config.text("bidirectional_strategy", "add");
  if (strategy != "add" && strategy != "ew_multiply") {
    fail(Fault::checkpoint, config.where() + ": bidirectional_strategy is " + strategy +
                                ", supported are add, ew_multiply");
  }
  const bool tied = config.flag("bidirectional_weight_tie", true);

  // The nested form of PlantCAD2's code, or the flat one of Caduceus.
  const Json norm_cfg = config.has("norm_cfg") ? config.object("norm_cfg") : config;
  const bool rms = norm_cfg.flag("rms_norm", true);
  const bool fused = norm_cfg.flag("fused_add_norm", true);
  const float eps = epsilon(norm_cfg, "norm_epsilon", 1e-5);
  const Json layer_cfg = config.object_or_empty("layer_cfg");
  const Json mamba_cfg = layer_cfg.object_or_empty("mamba_cfg");
  if (const std::string mode = layer_cfg.text("mode", "mamba-only"); mode != "mamba-only") {
    fail(Fault::checkpoint, layer_cfg.where() + ": mode is " + mode + ", supported is mamba-only");
  }
  if (mamba_cfg.has("mlp_cfg") && mamba_cfg.value("mlp_cfg").size() > 0) {
    fail(Fault::checkpoint, mamba_cfg.where() + ": mlp_cfg is not supported");
  }
  const Json ssm =
      mamba_cfg.has("ssm_cfg") ? mamba_cfg.object("ssm_cfg") : config.object_or_empty("ssm_cfg");

  const std::string root = "caduceus.backbone.";
  const std::string sub = m.strands ? ".submodule" : "";
  const std::string words = root + "embeddings.word_embeddings";
  // The tensors tell Mamba-1 from Mamba-2; the config form is not settled (plantcaduceus.md).
  const std::string first = root + "layers.0.mixer" + sub + ".mamba_fwd";
  const bool second_generation =
      tensors.has(first + ".dt_bias") ||
      (!tensors.has(first + ".x_proj.weight") && config.has("layer_cfg") &&
       mamba_cfg.text("version", "v2") == "v2");

  tensors.bind(m.embedding, words + (m.strands ? ".embedding.weight" : ".weight"), {m.vocab, D});
  if (m.strands) {
    m.complement = complement_of_config(config, m.vocab);
    // The checkpoint's own copies win over the config.
    for (const std::string& name :
         {words + ".complement_map", std::string("lm_head.complement_map")}) {
      if (auto map = tensors.integers(name)) m.complement = *map;
    }
    check_complement(m.complement, config.where(), m.vocab);
    m.strands_swap = fused;
  }
  const std::string norm_sub = m.strands && !fused ? ".submodule" : "";
  for (Index i = 0; i < layers; ++i) {
    const std::string at = root + "layers." + std::to_string(i);
    BlockSpec block;
    block.norm.rms = rms;
    block.norm.eps = eps;
    block.tied = bidirectional && tied;
    block.multiply = bidirectional && strategy == "ew_multiply";
    bind(tensors, block.norm, at + ".norm" + norm_sub, D);
    const auto mixer = [&]() -> MixerSpec {
      if (second_generation) return mamba2_sizes(ssm, D);
      return mamba1_sizes(ssm, D);
    };
    block.forward = mixer();
    bind(tensors, block.forward, at + ".mixer" + sub + ".mamba_fwd");
    if (bidirectional) {
      block.reverse = mixer();
      // Tied copies are absent in safetensors and present in .bin; newer frameworks may leave
      // them random, so the forward copy is the one to use (caduceus.md section 5).
      bind(tensors, *block.reverse, at + ".mixer" + sub + ".mamba_rev", !tied);
    }
    m.blocks.push_back(std::move(block));
  }
  m.final_norm.rms = rms;
  m.final_norm.eps = eps;
  bind(tensors, m.final_norm, root + "norm_f" + norm_sub, D);
  tensors.ignore(m.strands ? "lm_head.lm_head.weight" : "lm_head.weight", {m.vocab, D});
  if (const auto shape = tensors.shape_of("score.weight"); shape && shape->size() == 2) {
    tensors.bind(m.classifier, "score.weight", {(*shape)[0], D}, Presence::optional);
  }
  return m;
}

}  // namespace

extern const Family caduceus_family{"caduceus", claims, describe, "model."};

}  // namespace genossm
