// Causal attention with rotary positions on a device: qkv -> rope on q and k -> attention over all
// tokens so far -> out_proj (stripedhyena.md section 3). No state of fixed size; the history's row
// of a token is its keys, then its values, of all heads: float32, or bf16 with Precision::bf16.
#pragma once

#include <vector>

#include "libgenossm/model/blocks/linear.h"
#include "libgenossm/model/mixer.h"

namespace genossm {

// Which row of qkv each column of q | k | v is; empty where they lie so.
std::vector<Index> row_order(const AttentionSpec& spec);
// [E / 2]: those of the file, else by the base.
Buffer<float> frequencies(const AttentionSpec& spec);

std::unique_ptr<Mixer> make_mixer(const Placement& place, const AttentionSpec& spec);

}  // namespace genossm
