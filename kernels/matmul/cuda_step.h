// The step of Mamba-1, softplus(W x + b), as one kernel on tensor cores: the product is so narrow (K of
// 16 to 64) that only the writing of y counts. Private to this folder.
#pragma once

#include "kernels/core/device.h"

namespace genossm {

// w [N, ld] with K columns in use, K and N multiples of 16 and 32; x and y rows 16-byte aligned.
bool step_fits(View<const bf16, 2> x, View<bf16, 2> y, Index K);
void run_step(Cuda& cuda, View<const bf16, 2> x, const bf16* w, Index ld, View<const float, 1> bias,
              View<bf16, 2> y);

}  // namespace genossm
