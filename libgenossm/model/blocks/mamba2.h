// The SSD mixer of Mamba-2 on a device: in_proj -> conv + SiLU over x, B, C -> ssd -> gated norm ->
// out_proj (mamba2.md section 2). State: the conv tail [W-1, S + 2GN], h [H, N, P] and its scale [H].
#pragma once

#include "libgenossm/model/blocks/linear.h"
#include "libgenossm/model/mixer.h"

namespace genossm {

// `projections`: whose in_proj and out_proj to use; the spec itself unless directions are tied.
std::unique_ptr<Mixer> make_mixer(const Placement& place, const Mamba2Spec& spec,
                                  const Mamba2Spec& projections);

}  // namespace genossm
