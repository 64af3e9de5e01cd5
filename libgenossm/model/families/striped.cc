#include "libgenossm/model/families/striped.h"

#include <cmath>

namespace genossm {
namespace {

bool same(const Tensor& a, const Tensor& b) {
  if (!a.present() || !b.present()) return true;  // said elsewhere
  const StoredMatrix x = a.matrix(), y = b.matrix();
  if (x.rows != y.rows || x.columns != y.columns) return false;
  std::vector<float> one(static_cast<std::size_t>(x.columns)), two(one.size());
  for (Index i = 0; i < x.rows; ++i) {
    x.read_row(i, one.data());
    y.read_row(i, two.data());
    if (one != two) return false;
  }
  return true;
}

NormSpec norm_of(const Json& config) {
  NormSpec norm;
  norm.eps_plus = true;
  norm.eps = epsilon(config, "eps", 1e-6);
  return norm;
}

}  // namespace

std::vector<bool> blocks_listed(const Json& config, std::string_view key, Index layers) {
  std::vector<bool> listed(static_cast<std::size_t>(layers), false);
  if (!config.has(key)) return listed;
  const Json list = config.array(key);
  for (Index i = 0; i < list.size(); ++i) {
    const Index block = list.at(i).as_integer();
    if (block < 0 || block >= layers) {
      fail(Fault::checkpoint, list.where() + ": block " + std::to_string(block) +
                                  ", want numbers below num_layers, " + std::to_string(layers));
    }
    listed[static_cast<std::size_t>(block)] = true;
  }
  return listed;
}

void bind_frame(Binder& tensors, const Json& config, ModelSpec& m) {
  m.d_model = positive(config, "hidden_size");
  m.vocab = round_up(positive(config, "vocab_size", 512),
                     positive(config, "make_vocab_size_divisible_by", 8));
  tensors.bind_matrix(m.embedding, "embedding_layer.weight", {m.vocab, m.d_model});
  if (!config.flag("final_norm", true)) {
    fail(Fault::checkpoint, config.where() + ": final_norm is false, supported is true");
  }
  m.final_norm = norm_of(config);
  tensors.bind(m.final_norm.weight, "norm.scale", {m.d_model});
}

void bind_around(Binder& tensors, const Json& config, BlockSpec& block, Index i, Index D,
                 MlpSpec::Kind gate) {
  const std::string at = "blocks." + std::to_string(i);
  block.norm = norm_of(config);
  tensors.bind(block.norm.weight, at + ".pre_norm.scale", {D});
  block.mlp_norm = norm_of(config);
  tensors.bind(block.mlp_norm->weight, at + ".post_norm.scale", {D});
  MlpSpec& mlp = block.mlp.emplace();
  mlp.kind = gate;
  // Upstream: int(2 * hidden_size * 4 / 3), rounded up.
  const Index multiple =
      positive(config, "inner_size_multiple_of", 64) * positive(config, "model_parallel_size", 1);
  mlp.hidden = config.has("inner_mlp_size") ? positive(config, "inner_mlp_size")
                                            : round_up(2 * D * 4 / 3, multiple);
  tensors.bind_matrix(mlp.gate, at + ".mlp.l1.weight", {mlp.hidden, D});
  tensors.bind_matrix(mlp.fc1, at + ".mlp.l2.weight", {mlp.hidden, D});
  tensors.bind_matrix(mlp.fc2, at + ".mlp.l3.weight", {D, mlp.hidden});
}

void bind_head(Binder& tensors, const Json& config, ModelSpec& m) {
  const std::string name = "unembed.weight";
  if (!config.flag("tie_embeddings", true)) {
    tensors.bind_matrix(m.head, name, {m.vocab, m.d_model});
    return;
  }
  if (!tensors.has(name)) return;
  Tensor stored;
  tensors.bind_matrix(stored, name, {m.vocab, m.d_model});
  if (!same(stored, m.embedding)) {
    m.warnings.push_back(
        "unembed.weight is not the embedding, to which the config ties it: it is not used");
  }
}

AttentionSpec attention_sizes(const Json& config, Index D, bool by_head) {
  AttentionSpec m;
  m.d_model = D;
  m.heads = positive(config, "num_attention_heads");
  const Index groups = positive(config, "proj_groups", 1);
  m.kv_heads = m.heads / groups;
  m.by_head = by_head;
  if (D % m.heads != 0 || D / m.heads % 2 != 0 || m.heads % groups != 0 ||
      (by_head && groups != 1) || config.flag("smeared_gqa", false)) {
    fail(Fault::checkpoint, config.where() + ": attention of " + std::to_string(D) + " channels, " +
                                std::to_string(m.heads) + " heads and proj_groups " +
                                std::to_string(groups) + " is of no form that is known here");
  }
  m.base = config.number("rotary_emb_base", 10000);
  if (config.flag("use_interpolated_rotary_pos_emb", false)) {
    m.position_divisor = config.number("rotary_emb_scaling_factor", 1);
  }
  if (!(m.base > 1) || !std::isfinite(m.base) || !(m.position_divisor > 0) ||
      !std::isfinite(m.position_divisor)) {
    fail(Fault::checkpoint, config.where() + ": the rotary base or scaling factor is out of range");
  }
  return m;
}

void bind_attention(Binder& tensors, const Json& config, AttentionSpec& m, const std::string& at) {
  const Index D = m.d_model, P = D / m.heads * (m.heads + 2 * m.kv_heads);
  tensors.bind_matrix(m.qkv, at + ".Wqkv.weight", {P, D});
  if (config.flag("qkv_proj_bias", true)) tensors.bind(m.qkv_bias, at + ".Wqkv.bias", {P});
  tensors.bind_matrix(m.out_proj, at + ".out_proj.weight", {D, D});
  if (config.flag("mha_out_proj_bias", true)) {
    tensors.bind(m.out_bias, at + ".out_proj.bias", {D});
  }
}

MlpSpec::Kind gate_named(const Json& config, const std::string& name) {
  if (name == "gelu") return MlpSpec::Kind::apart_gelu;
  if (name == "silu") return MlpSpec::Kind::apart_silu;
  if (name == "identity") return MlpSpec::Kind::apart_identity;
  fail(Fault::checkpoint,
       config.where() + ": mlp_activation '" + name + "' is none of gelu, silu, identity");
}

// The projections stand beside the rest: a block has one direction.
void bind(Binder& tensors, StripedSpec& m, const std::string& at, bool) {
  using Conv = StripedSpec::Conv;
  const Index D = m.d_model;
  tensors.bind_matrix(m.in_proj, at + ".projections.weight", {3 * D, D});
  tensors.bind_matrix(m.out_proj, at + ".out_filter_dense.weight", {D, D});
  const std::string filter = at + ".filter";
  tensors.bind(m.short_weight, filter + ".short_filter_weight", {3 * D, 1, m.short_taps});
  switch (m.conv) {
    case Conv::modal_complex:
      tensors.bind(m.poles, filter + ".poles", {D, m.states, 1, 2});
      tensors.bind(m.residues, filter + ".residues", {D, m.states, 1, 2});
      break;
    case Conv::modal_real:
      tensors.bind(m.poles, filter + ".log_poles", {D, m.states, 1});
      tensors.bind(m.residues, filter + ".residues", {D, m.states});
      break;
    default:
      tensors.bind(m.filter, filter + ".h", {m.groups, 1, m.taps});
  }
  if (m.conv != Conv::fir_current_last) tensors.bind(m.skip, filter + ".D", {D});
}

void bind(Binder& tensors, AttentionSpec& m, const std::string& at, bool) {
  bind_attention(tensors, Json(), m, at);
}

}  // namespace genossm
