// What the configs and the tensor names of StripedHyena 1 and 2 have in common.
#pragma once

#include "libgenossm/model/families/mixers.h"

namespace genossm {

// Blocks by number, from a list of numbers in the config; absent: none. Fault::checkpoint for
// numbers outside [0, layers).
std::vector<bool> blocks_listed(const Json& config, std::string_view key, Index layers);

// Embedding, norms and MLPs; the mixers are of each family. `gate`: of a block's MLP.
void bind_frame(Binder& tensors, const Json& config, ModelSpec& m);
void bind_around(Binder& tensors, const Json& config, BlockSpec& block, Index i, Index D,
                 MlpSpec::Kind gate);
// The head: the embedding where they are tied; a stored one is then compared and left.
void bind_head(Binder& tensors, const Json& config, ModelSpec& m);

// Attention as the config describes it.
AttentionSpec attention_sizes(const Json& config, Index D, bool by_head);
void bind_attention(Binder& tensors, const Json& config, AttentionSpec& m, const std::string& at);

// "gelu", "silu" or "identity".
MlpSpec::Kind gate_named(const Json& config, const std::string& name);

}  // namespace genossm
