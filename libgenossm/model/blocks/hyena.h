// The Hyena operator on a device: in_proj -> short convolution -> long convolutions with implicit
// filters, gated in turn -> out_proj (hyenadna.md section 2).
#pragma once

#include "libgenossm/model/blocks/linear.h"
#include "libgenossm/model/whole_mixer.h"

namespace genossm {

std::unique_ptr<WholeMixer> make_whole_mixer(const Placement& place, const HyenaSpec& spec);

}  // namespace genossm
