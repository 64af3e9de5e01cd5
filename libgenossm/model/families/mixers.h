// Sizes and tensor names of the Mamba mixers, shared by the families that contain them.
#pragma once

#include <string>

#include "kernels/core/error.h"
#include "libgenossm/base/json.h"
#include "libgenossm/checkpoint/binder.h"
#include "libgenossm/model/spec.h"

namespace genossm {

// ssm_cfg of mamba_ssm: keyword arguments of the Mamba and Mamba2 modules with their defaults
// (mamba1.md section 4, mamba2.md section 4). Throws Fault::checkpoint on impossible sizes.
Mamba1Spec mamba1_sizes(const Json& ssm_cfg, Index d_model);
Mamba2Spec mamba2_sizes(const Json& ssm_cfg, Index d_model);
// Sizes that both forms compute and check at the end.
void check_sizes(const Mamba1Spec& m, const std::string& where);
void check_sizes(const Mamba2Spec& m, const std::string& where);

// Names under `at` (e.g. "backbone.layers.0.mixer"). `projections`: in_proj and out_proj too; a
// tied reverse direction has none of its own, or copies that are not used.
void bind(Binder& tensors, Mamba1Spec& m, const std::string& at, bool projections = true);
void bind(Binder& tensors, Mamba2Spec& m, const std::string& at, bool projections = true);
void bind(Binder& tensors, HyenaSpec& m, const std::string& at, bool projections = true);
void bind(Binder& tensors, StripedSpec& m, const std::string& at, bool projections = true);
void bind(Binder& tensors, AttentionSpec& m, const std::string& at, bool projections = true);
void bind(Binder& tensors, MixerSpec& m, const std::string& at, bool projections = true);
void bind(Binder& tensors, NormSpec& norm, const std::string& at, Index d_model);

Index positive(const Json& json, std::string_view key, Index otherwise);
Index positive(const Json& json, std::string_view key);
// n_layer and the like: at most 10,000, so that a config that lies costs nothing.
Index layer_count(const Json& json, std::string_view key);
Index round_up(Index n, Index multiple);
// int(expand * d_model), as upstream has it, where `expand` may be a float.
Index inner_width(const Json& json, Index d_model, double otherwise);
// dt_min and dt_max, two numbers from 0 on; 0 and infinity where the key is absent.
void step_limits(const Json& json, std::string_view key, Mamba2Spec& m);
// What a norm adds to the mean square: a number from 0 to 1.
float epsilon(const Json& json, std::string_view key, double otherwise);

}  // namespace genossm
