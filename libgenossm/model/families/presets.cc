#include "libgenossm/model/families/presets.h"

#include <array>
#include <string>

namespace genossm {
namespace {

// What all releases of Evo 1 and of Evo 2 share.
constexpr std::string_view kEvo1 = R"("model_type": "stripedhyena", "vocab_size": 512,
  "hidden_size": 4096, "num_layers": 32, "num_attention_heads": 32, "attn_layer_idxs": [8, 16, 24],
  "state_size": 8, "short_filter_length": 3, "short_filter_bias": true, "qkv_proj_bias": true,
  "mha_out_proj_bias": true, "column_split": false, "column_split_hyena": true,
  "inner_mlp_size": 10928, "mlp_activation": "gelu", "eps": 1e-6, "tie_embeddings": true)";
constexpr std::string_view kEvo2 = R"("model_type": "stripedhyena2", "vocab_size": 512,
  "state_size": 16, "short_filter_length": 3, "short_filter_bias": false, "qkv_proj_bias": false,
  "mha_out_proj_bias": true, "hyena_out_proj_bias": true, "hcs_filter_length": 7,
  "hcm_filter_length": 128, "interleave": true, "column_split": true, "column_split_hyena": false,
  "hyena_flip_x1x2": false, "evo2_style_activations": true, "mlp_activation": "gelu", "eps": 1e-6,
  "tie_embeddings": true)";

// Blocks of the sizes of Evo 2: the first `layers` of one pattern.
constexpr std::string_view k1b = R"("num_layers": 25, "attn_layer_idxs": [3, 10, 17, 24],
  "hcl_layer_idxs": [2, 6, 9, 13, 16, 20, 23], "hcm_layer_idxs": [1, 5, 8, 12, 15, 19, 22],
  "hcs_layer_idxs": [0, 4, 7, 11, 14, 18, 21], "hidden_size": 1920, "num_attention_heads": 15,
  "hcs_filter_groups": 128, "hcm_filter_groups": 128)";
constexpr std::string_view k7b = R"("num_layers": 32, "attn_layer_idxs": [3, 10, 17, 24, 31],
  "hcl_layer_idxs": [2, 6, 9, 13, 16, 20, 23, 27, 30],
  "hcm_layer_idxs": [1, 5, 8, 12, 15, 19, 22, 26, 29],
  "hcs_layer_idxs": [0, 4, 7, 11, 14, 18, 21, 25, 28], "hidden_size": 4096,
  "num_attention_heads": 32, "hcs_filter_groups": 256, "hcm_filter_groups": 256)";
constexpr std::string_view k20b = R"("num_layers": 24, "attn_layer_idxs": [3, 10, 17],
  "hcl_layer_idxs": [2, 6, 9, 13, 16, 20, 23], "hcm_layer_idxs": [1, 5, 8, 12, 15, 19, 22],
  "hcs_layer_idxs": [0, 4, 7, 11, 14, 18, 21], "hidden_size": 8192, "num_attention_heads": 64,
  "hcs_filter_groups": 512, "hcm_filter_groups": 512)";
constexpr std::string_view k40b = R"("num_layers": 50,
  "attn_layer_idxs": [3, 10, 17, 24, 31, 35, 42, 49],
  "hcl_layer_idxs": [2, 6, 9, 13, 16, 20, 23, 27, 30, 34, 38, 41, 45, 48],
  "hcm_layer_idxs": [1, 5, 8, 12, 15, 19, 22, 26, 29, 33, 37, 40, 44, 47],
  "hcs_layer_idxs": [0, 4, 7, 11, 14, 18, 21, 25, 28, 32, 36, 39, 43, 46], "hidden_size": 8192,
  "num_attention_heads": 64, "hcs_filter_groups": 512, "hcm_filter_groups": 512)";
constexpr std::string_view kFp8 = R"("use_fp8_input_projections": true)";
constexpr std::string_view kNoFp8 = R"("use_fp8_input_projections": false)";

struct Preset {
  std::string_view name;
  std::array<std::string_view, 4> parts;
};

constexpr std::array kPresets{
    Preset{"evo-1-8k-base", {kEvo1, R"("max_seqlen": 8192)"}},
    Preset{"evo-1-131k-base",
           {kEvo1, R"("max_seqlen": 131072, "use_interpolated_rotary_pos_emb": true,
                      "rotary_emb_scaling_factor": 16)"}},
    Preset{"evo-1.5-8k-base", {kEvo1, R"("max_seqlen": 8192)"}},
    Preset{"evo-1-8k-crispr", {kEvo1, R"("max_seqlen": 8192)"}},
    Preset{"evo-1-8k-transposon", {kEvo1, R"("max_seqlen": 8192)"}},
    Preset{"evo2_1b_base", {kEvo2, k1b, kFp8, R"("inner_mlp_size": 5120, "rotary_emb_base": 10000,
                                 "max_seqlen": 8192)"}},
    Preset{"evo2_7b_base",
           {kEvo2, k7b, kNoFp8, R"("inner_mlp_size": 11008, "rotary_emb_base": 10000,
                                   "max_seqlen": 32768)"}},
    Preset{"evo2_7b_microviridae",
           {kEvo2, k7b, kNoFp8, R"("inner_mlp_size": 11008, "rotary_emb_base": 10000,
                                   "max_seqlen": 32768)"}},
    Preset{"evo2_7b_262k",
           {kEvo2, k7b, kNoFp8, R"("inner_mlp_size": 11008, "rotary_emb_base": 10000,
                                   "use_interpolated_rotary_pos_emb": true,
                                   "rotary_emb_scaling_factor": 32, "max_seqlen": 262144)"}},
    Preset{"evo2_7b", {kEvo2, k7b, kNoFp8, R"("inner_mlp_size": 11264, "rotary_emb_base": 10000,
                                   "use_interpolated_rotary_pos_emb": true,
                                   "rotary_emb_scaling_factor": 128, "max_seqlen": 1048576)"}},
    Preset{"evo2_20b", {kEvo2, k20b, kFp8, R"("inner_mlp_size": 22528, "rotary_emb_base": 1000000,
                                  "use_interpolated_rotary_pos_emb": true,
                                  "rotary_emb_scaling_factor": 128, "max_seqlen": 1048576)"}},
    Preset{"evo2_40b_base",
           {kEvo2, k40b, kFp8, R"("inner_mlp_size": 21888, "rotary_emb_base": 1000000,
                                  "max_seqlen": 8192)"}},
    Preset{"evo2_40b", {kEvo2, k40b, kFp8, R"("inner_mlp_size": 22528, "rotary_emb_base": 1000000,
                                  "use_interpolated_rotary_pos_emb": true,
                                  "rotary_emb_scaling_factor": 128, "max_seqlen": 1048576)"}},
};

}  // namespace

std::optional<Json> preset_config(std::string_view name) {
  const auto is = [&](std::string_view known) {
    return name == known || (name.starts_with(known) && name.substr(known.size()) == ".pt");
  };
  for (const Preset& preset : kPresets) {
    if (!is(preset.name)) continue;
    std::string text = "{";
    for (const std::string_view part : preset.parts) {
      if (part.empty()) continue;
      if (text.size() > 1) text += ", ";
      text += part;
    }
    return Json::parse(text + "}", "preset " + std::string(preset.name));
  }
  return std::nullopt;
}

}  // namespace genossm
