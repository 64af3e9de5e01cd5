// ModelSpec: what a published checkpoint says, as plain data: sizes, switches and named weights in
// float32. A family (families/) fills it and computes nothing; the engine (model.h) runs it.
//
// Dimension letters: D d_model, E d_inner, N d_state, W d_conv, R dt_rank, H heads, P headdim,
// G groups, V vocabulary rows.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "libgenossm/checkpoint/binder.h"

namespace genossm {

struct NormSpec {
  bool rms = true;  // otherwise LayerNorm
  float eps = 1e-5f;
  Tensor weight;  // [D]
  Tensor bias;    // [D], LayerNorm only
};

// The S6 mixer of Mamba (mamba1.md section 2).
struct Mamba1Spec {
  Index d_model = 0, d_inner = 0, d_state = 16, d_conv = 4, dt_rank = 0;
  bool conv_bias = true;
  bool bias = false;                   // of in_proj and out_proj
  Tensor in_proj, in_bias;             // [2E, D], [2E]: rows u | z
  Tensor conv_weight, conv_bias_term;  // [E, 1, W], [E]
  Tensor x_proj;                       // [R + 2N, E]: rows dt | B | C
  Tensor dt_proj, dt_bias;             // [E, R], [E]
  Tensor A_log;                        // [E, N]
  Tensor skip;                         // [E], upstream D
  Tensor out_proj, out_bias;           // [D, E], [D]
};

// The SSD mixer of Mamba-2 (mamba2.md section 2).
struct Mamba2Spec {
  Index d_model = 0;
  Index d_inner = 0;  // E
  Index d_ssm = 0;    // S <= E; the other E - S channels are a gated MLP
  Index d_state = 128, d_conv = 4, headdim = 64, heads = 0, groups = 1;
  bool norm = true;               // the gated RMSNorm before out_proj
  bool norm_before_gate = false;  // the gate after the norm's weight
  bool grouped_norm = true;       // one mean a group of S/G channels; HF: one over all S
  float norm_eps = 1e-5f;
  float dt_min = 0, dt_max = 0;  // clamp after softplus
  bool conv_bias = true, bias = false;
  bool skip_per_channel = false;       // D of shape [S] instead of [H]
  Tensor in_proj, in_bias;             // [2E + 2GN + H, D]: rows z0 | x0 | z | xBC | dt
  Tensor conv_weight, conv_bias_term;  // [S + 2GN, 1, W], [S + 2GN]
  Tensor dt_bias, A_log, skip;         // [H], [H], [H] or [S]
  Tensor norm_weight;                  // [S]
  Tensor out_proj, out_bias;           // [D, E], [D]

  Index conv_channels() const { return d_ssm + 2 * groups * d_state; }
  Index projected() const { return 2 * d_inner + 2 * groups * d_state + heads; }
};

using MixerSpec = std::variant<Mamba1Spec, Mamba2Spec>;

// Gated MLP: value | gate = fc1 x; fc2 (value * silu(gate)).
struct MlpSpec {
  Index hidden = 0;
  Tensor fc1, fc2;  // [2F, D], [D, F]
};

// x += mixer(norm(x)); x += mlp(norm2(x)) if there is one.
struct BlockSpec {
  NormSpec norm;
  MixerSpec forward;
  std::optional<MixerSpec> reverse;  // runs right to left
  bool tied = false;      // reverse uses in_proj and out_proj of forward (its own are empty)
  bool multiply = false;  // forward * reverse instead of forward + reverse
  std::optional<NormSpec> mlp_norm;
  std::optional<MlpSpec> mlp;
};

enum class Objective { causal, masked };

struct ModelSpec {
  std::string family;  // "mamba", "mamba2", "caduceus-ph", "caduceus-ps"
  Index d_model = 0;
  Index vocab = 0;  // rows of the table, padding included
  Objective objective = Objective::causal;
  Tensor embedding;  // [V, D]
  std::vector<BlockSpec> blocks;
  NormSpec final_norm;
  Tensor head;  // [V, D]; not present: the embedding
  // Reverse-complement parameter sharing: two streams, ids and their reverse complement.
  bool strands = false;
  // The upstream fused add-norm exchanges the strands in every block (caduceus.md section 3).
  bool strands_swap = false;
  std::vector<std::int64_t> complement;  // [V] with strands, else empty
  Tensor classifier;                     // [labels, D] of a sequence-classification checkpoint

  bool bidirectional() const {
    for (const BlockSpec& block : blocks) {
      if (block.reverse) return true;
    }
    return false;
  }
};

}  // namespace genossm
