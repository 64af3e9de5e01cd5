// The fused add-norm of Caduceus-PS exchanges the two strands in every block. The same network
// without the exchange: even-numbered blocks with their channels reversed and their directions
// swapped (caduceus.md section 3, "Exact equivalence").
#pragma once

#include "libgenossm/model/spec.h"

namespace genossm {

// Rewrites the weights in place and clears strands_swap. Afterwards every block treats both strands
// as two independent streams. Returns whether the strands end exchanged (odd number of blocks).
bool unswap_strands(ModelSpec& spec);

}  // namespace genossm
