// The S6 mixer of Mamba on a device: in_proj -> conv + SiLU -> x_proj, dt_proj -> selective scan,
// gate -> out_proj (mamba1.md section 2). State: the conv tail [W-1, E], then h [N, E].
#pragma once

#include "libgenossm/model/blocks/linear.h"
#include "libgenossm/model/mixer.h"

namespace genossm {

// `projections`: whose in_proj and out_proj to use; the spec itself unless directions are tied.
std::unique_ptr<Mixer> make_mixer(const Placement& place, const Mamba1Spec& spec,
                                  const Mamba1Spec& projections);

}  // namespace genossm
