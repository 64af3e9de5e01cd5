#include "libgenossm/model/families/mixers.h"

#include <cmath>
#include <limits>

namespace genossm {
namespace {

// No published size comes near; beyond it a config is a lie that would only exhaust memory.
constexpr Index kLargest = Index{1} << 24;

Index bounded(const Json& json, std::string_view key, Index n) {
  if (n < 1 || n > kLargest) {
    fail(Fault::checkpoint, json.where() + ": " + std::string(key) + " is " + std::to_string(n) +
                                ", want 1 to " + std::to_string(kLargest));
  }
  return n;
}

}  // namespace

Index inner_width(const Json& ssm, Index d_model, double otherwise) {
  const double expand = ssm.number("expand", otherwise);
  const double inner = expand * static_cast<double>(d_model);
  if (!(inner >= 1) || inner > static_cast<double>(kLargest)) {
    fail(Fault::checkpoint, ssm.where() + ": expand is out of range");
  }
  return static_cast<Index>(inner);
}

float epsilon(const Json& json, std::string_view key, double otherwise) {
  const double eps = json.number(key, otherwise);
  if (!(eps >= 0 && eps <= 1)) {
    fail(Fault::checkpoint, json.where() + ": " + std::string(key) + " is " + std::to_string(eps) +
                                ", want a number from 0 to 1");
  }
  return static_cast<float>(eps);
}

void step_limits(const Json& json, std::string_view key, Mamba2Spec& m) {
  m.dt_min = 0;
  m.dt_max = std::numeric_limits<float>::infinity();
  if (!json.has(key)) return;
  const Json limit = json.array(key);
  if (limit.size() != 2) fail(Fault::checkpoint, limit.where() + ": want two numbers");
  const double least = limit.at(0).as_number(), most = limit.at(1).as_number();
  constexpr double kMost = std::numeric_limits<float>::max();
  if (!(least >= 0 && least <= kMost && least <= most)) {
    fail(Fault::checkpoint, limit.where() + ": from " + std::to_string(least) + " to " +
                                std::to_string(most) + ", want limits from 0 on, in order");
  }
  m.dt_min = static_cast<float>(least);
  if (most <= kMost) m.dt_max = static_cast<float>(most);
}

Index positive(const Json& json, std::string_view key, Index otherwise) {
  return bounded(json, key, json.integer(key, otherwise));
}
Index positive(const Json& json, std::string_view key) {
  return bounded(json, key, json.integer(key));
}
Index layer_count(const Json& json, std::string_view key) {
  const Index n = json.integer(key);
  if (n < 1 || n > 10'000) {
    fail(Fault::checkpoint,
         json.where() + ": " + std::string(key) + " is " + std::to_string(n) + ", want 1 to 10000");
  }
  return n;
}
Index round_up(Index n, Index multiple) { return (n + multiple - 1) / multiple * multiple; }

Mamba1Spec mamba1_sizes(const Json& ssm, Index d_model) {
  Mamba1Spec m;
  m.d_model = d_model;
  m.d_inner = inner_width(ssm, d_model, 2);
  m.d_state = positive(ssm, "d_state", 16);
  m.d_conv = positive(ssm, "d_conv", 4);
  const bool automatic = !ssm.has("dt_rank") || ssm.value("dt_rank").is_text();
  m.dt_rank = automatic ? (d_model + 15) / 16 : positive(ssm, "dt_rank");
  m.conv_bias = ssm.flag("conv_bias", true);
  m.bias = ssm.flag("bias", false);
  check_sizes(m, ssm.where());
  return m;
}

Mamba2Spec mamba2_sizes(const Json& ssm, Index d_model) {
  Mamba2Spec m;
  m.d_model = d_model;
  m.d_inner = inner_width(ssm, d_model, 2);
  m.d_ssm = positive(ssm, "d_ssm", m.d_inner);
  m.d_state = positive(ssm, "d_state", 128);
  m.d_conv = positive(ssm, "d_conv", 4);
  m.headdim = positive(ssm, "headdim", 64);
  m.heads = m.d_ssm / m.headdim;
  m.groups = positive(ssm, "ngroups", 1);
  m.norm = ssm.flag("rmsnorm", true);
  m.norm_before_gate = ssm.flag("norm_before_gate", false);
  step_limits(ssm, "dt_limit", m);
  m.conv_bias = ssm.flag("conv_bias", true);
  m.bias = ssm.flag("bias", false);
  m.skip_per_channel = ssm.flag("D_has_hdim", false);
  check_sizes(m, ssm.where());
  return m;
}

void check_sizes(const Mamba1Spec& m, const std::string& where) {
  if (m.d_conv < 2 || m.d_conv > 8) {
    fail(Fault::checkpoint,
         where + ": d_conv is " + std::to_string(m.d_conv) + ", supported are 2 to 8");
  }
  require(m.dt_rank >= 1, Fault::checkpoint, where + ": dt_rank must be positive");
}

void check_sizes(const Mamba2Spec& m, const std::string& where) {
  if (m.d_conv < 2 || m.d_conv > 8) {
    fail(Fault::checkpoint,
         where + ": d_conv is " + std::to_string(m.d_conv) + ", supported are 2 to 8");
  }
  if (m.d_ssm > m.d_inner || m.heads * m.headdim != m.d_ssm) {
    fail(Fault::checkpoint, where + ": " + std::to_string(m.heads) + " heads of " +
                                std::to_string(m.headdim) + " do not make " +
                                std::to_string(m.d_ssm) + " channels of " +
                                std::to_string(m.d_inner));
  }
  if (m.heads % m.groups != 0) {
    fail(Fault::checkpoint, where + ": " + std::to_string(m.heads) + " heads in " +
                                std::to_string(m.groups) + " groups");
  }
}

void bind(Binder& tensors, Mamba1Spec& m, const std::string& at, bool projections) {
  const Index E = m.d_inner, N = m.d_state, D = m.d_model, R = m.dt_rank;
  if (projections) {
    tensors.bind(m.in_proj, at + ".in_proj.weight", {2 * E, D});
    if (m.bias) tensors.bind(m.in_bias, at + ".in_proj.bias", {2 * E});
    tensors.bind(m.out_proj, at + ".out_proj.weight", {D, E});
    if (m.bias) tensors.bind(m.out_bias, at + ".out_proj.bias", {D});
  } else {
    tensors.ignore(at + ".in_proj.weight", {2 * E, D});
    tensors.ignore(at + ".out_proj.weight", {D, E});
    if (m.bias) tensors.ignore(at + ".in_proj.bias", {2 * E});
    if (m.bias) tensors.ignore(at + ".out_proj.bias", {D});
  }
  tensors.bind(m.conv_weight, at + ".conv1d.weight", {E, 1, m.d_conv});
  if (m.conv_bias) tensors.bind(m.conv_bias_term, at + ".conv1d.bias", {E});
  tensors.bind(m.x_proj, at + ".x_proj.weight", {R + 2 * N, E});
  tensors.bind(m.dt_proj, at + ".dt_proj.weight", {E, R});
  tensors.bind(m.dt_bias, at + ".dt_proj.bias", {E});
  tensors.bind(m.A_log, at + ".A_log", {E, N});
  tensors.bind(m.skip, at + ".D", {E});
}

void bind(Binder& tensors, Mamba2Spec& m, const std::string& at, bool projections) {
  const Index E = m.d_inner, D = m.d_model, S = m.d_ssm, C = m.conv_channels(), P = m.projected();
  if (projections) {
    tensors.bind(m.in_proj, at + ".in_proj.weight", {P, D});
    if (m.bias) tensors.bind(m.in_bias, at + ".in_proj.bias", {P});
    tensors.bind(m.out_proj, at + ".out_proj.weight", {D, E});
    if (m.bias) tensors.bind(m.out_bias, at + ".out_proj.bias", {D});
  } else {
    tensors.ignore(at + ".in_proj.weight", {P, D});
    tensors.ignore(at + ".out_proj.weight", {D, E});
    if (m.bias) tensors.ignore(at + ".in_proj.bias", {P});
    if (m.bias) tensors.ignore(at + ".out_proj.bias", {D});
  }
  tensors.bind(m.conv_weight, at + ".conv1d.weight", {C, 1, m.d_conv});
  if (m.conv_bias) tensors.bind(m.conv_bias_term, at + ".conv1d.bias", {C});
  tensors.bind(m.dt_bias, at + ".dt_bias", {m.heads});
  tensors.bind(m.A_log, at + ".A_log", {m.heads});
  tensors.bind(m.skip, at + ".D", {m.skip_per_channel ? S : m.heads});
  if (m.norm) tensors.bind(m.norm_weight, at + ".norm.weight", {S});
}

void bind(Binder& tensors, MixerSpec& m, const std::string& at, bool projections) {
  std::visit([&](auto& mixer) { bind(tensors, mixer, at, projections); }, m);
}

void bind(Binder& tensors, NormSpec& norm, const std::string& at, Index d_model) {
  tensors.bind(norm.weight, at + ".weight", {d_model});
  if (!norm.rms) tensors.bind(norm.bias, at + ".bias", {d_model});
}

}  // namespace genossm
