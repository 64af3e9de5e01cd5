// ModelSpec: what a published checkpoint says, as plain data: sizes, switches and named weights in
// float32. A family (families/) fills it and computes nothing; the engine (model.h) runs it.
//
// Dimension letters: D d_model, E d_inner, N d_state, W d_conv, R dt_rank, H heads, P headdim,
// G groups, V vocabulary rows, F hidden width of an MLP.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "libgenossm/checkpoint/binder.h"

namespace genossm {

struct NormSpec {
  bool rms = true;        // otherwise LayerNorm
  bool eps_plus = false;  // rms only: eps is added to the root, not under it
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

// The Hyena operator with implicit filters (hyenadna.md sections 2 and 3): order O, filters of
// width H from positions of E features through M inner layers.
struct HyenaSpec {
  Index d_model = 0, order = 2, taps = 3;  // taps: of the short filter
  Index emb = 5, width = 64, inner = 2;    // E, H, M
  Index longest = 0;                       // rows of the tables: tokens that a filter reaches
  float shift = 0.05f;                     // added to the decay
  Tensor in_proj, in_bias;                 // [(O+1)D, D], [(O+1)D]: rows x_0 | .. | x_{O-1} | v
  Tensor short_weight, short_bias;         // [(O+1)D, 1, W], [(O+1)D]
  Tensor skip;                             // [(O-1)D], upstream filter_fn.bias
  Tensor z, time;                          // [1, longest, E], [1, longest, 1]
  Tensor first, first_bias;                // [H, E], [H]
  std::vector<Tensor> layer, layer_bias;   // M of [H, H], [H]
  Tensor freq;                             // [1, H]
  Tensor last;                             // [(O-1)D, H]
  Tensor deltas;                           // [1, 1, (O-1)D]
  Tensor out_proj, out_bias;               // [D, D], [D]
};

// The Hyena operators of StripedHyena 1 and 2 (stripedhyena.md section 2, stripedhyena2.md section
// 2): in_proj -> short FIR -> x2, x1, v; x2 * conv(x1 * v) -> out_proj.
struct StripedSpec {
  // What conv is: explicit taps, or a sum of exponentials, complex or real.
  enum class Conv { fir_current_last, fir_current_first, modal_complex, modal_real };
  // How the 3D channels are shared out: thirds x2 | x1 | v; the same for every head; by turns.
  enum class Layout { thirds, by_head, by_turns, by_turns_then_head };
  Index d_model = 0, heads = 1;
  Index short_taps = 3;
  Layout layout = Layout::thirds;
  bool flip = false;  // x1 before x2
  Conv conv = Conv::modal_complex;
  Index groups = 0, taps = 0;       // G, W of the explicit taps; neighbours share a group
  Index states = 0;                 // N of the modal forms
  Tensor in_proj, in_bias;          // [3D, D], [3D]
  Tensor short_weight, short_bias;  // [3D, 1, W], [3D]
  Tensor filter;                    // [G, 1, W]
  Tensor poles, residues;           // complex: [D, N, 1, 2]; real: logs [D, N, 1], [D, N]
  Tensor skip;                      // [D], upstream D; may be absent
  Tensor out_proj, out_bias;        // [D, D], [D]
  std::optional<Fp8Scales> fp8;     // in_proj in 8 bits (stripedhyena2.md section 6)

  bool modal() const { return conv == Conv::modal_complex || conv == Conv::modal_real; }
};

// Causal attention with rotary positions (stripedhyena.md section 3). Rows of qkv: all of q, then
// k, then v; `by_head`: q, k, v of one head after the other (stripedhyena2.md section 3).
struct AttentionSpec {
  Index d_model = 0, heads = 1, kv_heads = 1;
  bool by_head = false;
  double position_divisor = 1;
  double base = 10000;        // of the frequencies, where there is no
  Tensor inv_freq;            // [D / H / 2]
  Tensor qkv, qkv_bias;       // [(H + 2 G) D / H, D]
  Tensor out_proj, out_bias;  // [D, D], [D]
};

using MixerSpec = std::variant<Mamba1Spec, Mamba2Spec, HyenaSpec, StripedSpec, AttentionSpec>;

struct MlpSpec {
  enum class Kind {
    gated_silu,  // value | gate = fc1 x; fc2 (value * silu(gate))
    gelu_tanh,   // fc2 gelu_tanh(fc1 x)
    // fc2 (fc1 x * f(gate x)), with the gate a matrix of its own
    apart_silu,
    apart_gelu,  // the exact one
    apart_identity
  };
  bool apart() const { return kind != Kind::gated_silu && kind != Kind::gelu_tanh; }
  Kind kind = Kind::gated_silu;
  Index hidden = 0;           // F
  Tensor fc1, fc2;            // [2F, D] where gated_silu, else [F, D]; [D, F]
  Tensor gate;                // [F, D], apart() only
  Tensor fc1_bias, fc2_bias;  // may be absent
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

// What the head of a sequence-classification checkpoint is given: the mean or the largest of the
// rows, as its training chose and no file says; their mean; the last row.
enum class ClassifierPool { chosen, mean, last };

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
  Tensor classifier_bias;                // [labels]; not present: none
  ClassifierPool classifier_pool = ClassifierPool::chosen;
  Index unscaled = 0;                 // blocks whose 8-bit scales the file lacks
  std::vector<std::string> warnings;  // what whoever uses the model should know

  // Tokens that the shortest filter reaches; 0: no block has filters as long as a sequence.
  Index longest() const {
    Index n = 0;
    for (const BlockSpec& block : blocks) {
      if (const auto* hyena = std::get_if<HyenaSpec>(&block.forward)) {
        n = n == 0 ? hyena->longest : std::min(n, hyena->longest);
      }
    }
    return n;
  }
  bool attends() const {
    return std::any_of(blocks.begin(), blocks.end(), [](const BlockSpec& block) {
      return std::holds_alternative<AttentionSpec>(block.forward);
    });
  }
  // Models whose large matrices are left in their files until a block is made.
  bool striped() const {
    return attends() || std::any_of(blocks.begin(), blocks.end(), [](const BlockSpec& block) {
             return std::holds_alternative<StripedSpec>(block.forward);
           });
  }
  bool bidirectional() const {
    for (const BlockSpec& block : blocks) {
      if (block.reverse) return true;
    }
    return false;
  }
};

}  // namespace genossm
