// HyenaDNA: embedding, n_layer blocks of norm -> Hyena -> norm2 -> MLP, a final norm, a head. Two
// published layouts: the original weights.ckpt ("model.backbone.") and the transformers port
// ("hyena.backbone."). Sources: hyenadna.md sections 1 to 6.
#include <algorithm>

#include "libgenossm/model/families/families.h"
#include "libgenossm/model/families/mixers.h"

namespace genossm {
namespace {

bool original(const Json& config) {
  return config.has("layer") && config.value("layer").is_object() &&
         config.object("layer").text("_name_", "") == "hyena";
}

bool claims(const Json& config) {
  return original(config) || config.text("model_type", "") == "hyenadna";
}

// The frequency of the sines where the config says that it is no parameter: no file has it then.
void fix_freq(const Json& config, const char* key, HyenaSpec& m) {
  if (config.flag("train_freq", true)) return;
  m.freq.shape = {1, m.width};
  m.freq.values = Buffer<float>(m.width);
  std::fill_n(m.freq.values.data(), m.width, static_cast<float>(config.number(key)));
}

HyenaSpec sizes(const Json& config, Index d_model) {
  HyenaSpec m;
  m.d_model = d_model;
  if (original(config)) {
    const Json layer = config.object("layer");
    m.order = positive(layer, "order", 2);
    m.emb = positive(layer, "emb_dim", 3);
    m.width = positive(layer, "filter_order", 64);
    m.inner = positive(layer, "num_inner_mlps", 2);
    m.longest = positive(layer, "l_max");
    fix_freq(layer, "w", m);
    if (!layer.flag("modulate", true)) {
      fail(Fault::checkpoint, layer.where() + ": modulate is false, supported is true");
    }
  } else {
    m.order = positive(config, "hyena_order", 2);
    m.emb = positive(config, "emb_dim", 5);
    m.width = positive(config, "filter_order", 64);
    m.inner = positive(config, "num_inner_mlps", 2);
    m.longest = positive(config, "max_seq_len");
    m.taps = positive(config, "short_filter_order", 3);
    fix_freq(config, "activation_freq", m);
    // The port gives its filters d_model outputs whatever the order.
    if (m.order != 2) {
      fail(Fault::checkpoint, config.where() + ": hyena_order is " + std::to_string(m.order) +
                                  ", this layout has 2 alone");
    }
    if (!config.flag("use_bias", true)) {
      fail(Fault::checkpoint, config.where() + ": use_bias is false, supported is true");
    }
  }
  if (m.order < 2 || m.order > 64 || m.taps < 2 || m.taps > 8 || m.inner > 64) {
    fail(Fault::checkpoint,
         config.where() + ": order " + std::to_string(m.order) + ", short filter " +
             std::to_string(m.taps) + ", inner layers " + std::to_string(m.inner) +
             "; supported are orders 2 to 64, filters of 2 to 8 taps, 1 to 64 layers");
  }
  return m;
}

// One vector under the names of all the sine modules that share it: any of them will do, and those
// that are there must agree.
void bind_freq(Binder& tensors, HyenaSpec& m, const std::string& at) {
  std::string first;
  for (Index i = 0; i <= m.inner; ++i) {
    const std::string name = at + "." + std::to_string(2 * i + 1) + ".freq";
    if (!tensors.has(name)) continue;
    if (first.empty()) {
      tensors.bind(m.freq, first = name, {1, m.width});
      continue;
    }
    Tensor alias;
    tensors.bind(alias, name, {1, m.width});
    if (alias.present() && m.freq.present() &&
        !std::equal(alias.values.begin(), alias.values.end(), m.freq.values.begin())) {
      fail(Fault::checkpoint, name + " differs from " + first + ", which is the same parameter");
    }
  }
  if (first.empty() && !m.freq.present()) tensors.bind(m.freq, at + ".1.freq", {1, m.width});
}

void bind_mlp(Binder& tensors, BlockSpec& block, const std::string& at, Index D, Index F) {
  MlpSpec& mlp = block.mlp.emplace();
  mlp.kind = MlpSpec::Kind::gelu_tanh;
  mlp.hidden = F;
  tensors.bind(mlp.fc1, at + ".fc1.weight", {F, D});
  tensors.bind(mlp.fc1_bias, at + ".fc1.bias", {F});
  tensors.bind(mlp.fc2, at + ".fc2.weight", {D, F});
  tensors.bind(mlp.fc2_bias, at + ".fc2.bias", {D});
}

// The heads of fine-tuned models (hyenadna.md section 4): the transformers port reads the last
// token, the original code the mean of all. What feeds the training repository's decoder stands in
// no file.
void bind_classifier(Binder& tensors, ModelSpec& m, const std::string& model) {
  const Index D = m.d_model;
  const std::string head = model + "head.output_transform";
  if (const auto shape = tensors.shape_of("score.weight"); shape && shape->size() == 2) {
    tensors.bind(m.classifier, "score.weight", {(*shape)[0], D});
    m.classifier_pool = ClassifierPool::last;
  } else if (const auto own = tensors.shape_of(head + ".weight"); own && own->size() == 2) {
    tensors.bind(m.classifier, head + ".weight", {(*own)[0], D});
    tensors.bind(m.classifier_bias, head + ".bias", {(*own)[0]});
    m.classifier_pool = ClassifierPool::mean;
  }
  for (const char* part :
       {"decoder.0.output_transform.weight", "decoder.0.output_transform.bias"}) {
    const auto shape = tensors.shape_of(part);
    if (!shape) continue;
    tensors.ignore(part, *shape);
    m.warnings.push_back(std::string(part) +
                         " is not used: the file does not say what its decoder is given");
  }
}

ModelSpec describe(const Json& config, Binder& tensors) {
  ModelSpec m;
  m.family = "hyenadna";
  m.d_model = positive(config, "d_model");
  const Index D = m.d_model, F = positive(config, "d_inner");
  const Index layers = layer_count(config, "n_layer");
  m.vocab =
      round_up(positive(config, "vocab_size"), positive(config, "pad_vocab_size_multiple", 8));
  std::string model = original(config) ? "" : "hyena.", head = "lm_head.weight";
  const std::string words = "backbone.embeddings.word_embeddings.weight";
  for (const char* prefix : {"hyena.", "model.", ""}) {
    if (tensors.has(prefix + words)) model = prefix;
  }
  if (model == "model.") head = "model." + head;
  const std::string root = model + "backbone.";
  tensors.bind(m.embedding, model + words, {m.vocab, D});
  for (Index i = 0; i < layers; ++i) {
    const std::string at = root + "layers." + std::to_string(i);
    // Training with gradient checkpoints put a wrapper between; the names tell, not the config.
    const auto wrapped = [&](const std::string& name, const std::string& tensor) {
      return tensors.has(name + ".layer." + tensor) ? name + ".layer" : name;
    };
    BlockSpec block;
    block.norm.rms = false;
    bind(tensors, block.norm, at + ".norm1", D);
    block.forward = HyenaSpec();
    HyenaSpec& hyena = std::get<HyenaSpec>(block.forward);
    hyena = sizes(config, D);
    bind(tensors, hyena, wrapped(at + ".mixer", "in_proj.weight"));
    block.mlp_norm.emplace();
    block.mlp_norm->rms = false;
    bind(tensors, *block.mlp_norm, at + ".norm2", D);
    bind_mlp(tensors, block, wrapped(at + ".mlp", "fc1.weight"), D, F);
    m.blocks.push_back(std::move(block));
  }
  m.final_norm.rms = false;
  m.final_norm.eps = epsilon(config, "layer_norm_epsilon", 1e-5);
  bind(tensors, m.final_norm, root + "ln_f", D);
  // Without one the embedding serves, to which the original code ties it.
  tensors.bind(m.head, head, {m.vocab, D}, Presence::optional);
  bind_classifier(tensors, m, model);
  return m;
}

}  // namespace

void bind(Binder& tensors, HyenaSpec& m, const std::string& at, bool projections) {
  const Index D = m.d_model, P = (m.order + 1) * D, C = (m.order - 1) * D, H = m.width;
  if (projections) {
    tensors.bind(m.in_proj, at + ".in_proj.weight", {P, D});
    tensors.bind(m.in_bias, at + ".in_proj.bias", {P});
    tensors.bind(m.out_proj, at + ".out_proj.weight", {D, D});
    tensors.bind(m.out_bias, at + ".out_proj.bias", {D});
  } else {
    tensors.ignore(at + ".in_proj.weight", {P, D});
    tensors.ignore(at + ".in_proj.bias", {P});
    tensors.ignore(at + ".out_proj.weight", {D, D});
    tensors.ignore(at + ".out_proj.bias", {D});
  }
  tensors.bind(m.short_weight, at + ".short_filter.weight", {P, 1, m.taps});
  tensors.bind(m.short_bias, at + ".short_filter.bias", {P});
  const std::string filter = at + ".filter_fn", mlp = filter + ".implicit_filter";
  tensors.bind(m.skip, filter + ".bias", {C});
  tensors.bind(m.z, filter + ".pos_emb.z", {1, m.longest, m.emb});
  tensors.bind(m.time, filter + ".pos_emb.t", {1, m.longest, 1});
  tensors.bind(m.first, mlp + ".0.weight", {H, m.emb});
  tensors.bind(m.first_bias, mlp + ".0.bias", {H});
  m.layer.resize(static_cast<std::size_t>(m.inner));
  m.layer_bias.resize(static_cast<std::size_t>(m.inner));
  for (Index i = 0; i < m.inner; ++i) {
    const std::string name = mlp + "." + std::to_string(2 * i + 2);
    tensors.bind(m.layer[static_cast<std::size_t>(i)], name + ".weight", {H, H});
    tensors.bind(m.layer_bias[static_cast<std::size_t>(i)], name + ".bias", {H});
  }
  bind_freq(tensors, m, mlp);
  tensors.bind(m.last, mlp + "." + std::to_string(2 * m.inner + 2) + ".weight", {C, H});
  tensors.bind(m.deltas, filter + ".modulation.deltas", {1, 1, C});
}

extern const Family hyenadna_family{"hyenadna", claims, describe, "model."};

}  // namespace genossm
