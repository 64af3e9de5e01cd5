// The Hyena operators of StripedHyena 1 and 2 on a device: in_proj -> short FIR -> x2, x1, v ->
// x2 * conv(x1 * v) -> out_proj, where conv is a FIR or a recurrence. State: the tail of the short
// FIR [W-1, 3D], then that of the FIR [W-1, D] or the states of the recurrence [N, Q, D].
#pragma once

#include "libgenossm/model/blocks/linear.h"
#include "libgenossm/model/mixer.h"

namespace genossm {

std::unique_ptr<Mixer> make_mixer(const Placement& place, const StripedSpec& spec);

}  // namespace genossm
