// causal_conv -- depthwise short convolution with a carried tail, optional SiLU.
//
//   c[t] = bias + sum_{k=0..W-1} w[k] * x[t - (W-1) + k]              [D]
//   y[t] = silu ? c[t] / (1 + exp(-c[t])) : c[t]
//
// x at t < 0 is read from the tail (zeros at the start of a sequence): tail[W-2] is x[-1].
// Source:   Dao-AILab/causal-conv1d, causal_conv1d_ref.
// Law:      [0, L) in one run equals [0, m) then [m, L) on the same tail, bit for bit, for any m.
// The reverse direction of a bidirectional model is the same op on flip_rows() of x and y.
#pragma once

#include "kernels/core/device.h"

namespace genossm {

struct CausalConv {
  // in
  View<const float, 2> x;     // [L, D]
  View<const float, 2> w;     // [W, D]  tap W-1 multiplies the current token; W in 2..8
  View<const float, 1> bias;  // [D]     empty: none
  bool silu = true;
  // in and out
  View<float, 2> tail;  // [W-1, D]  the last W-1 inputs, oldest first
  // out
  View<float, 2> y;  // [L, D]  must not overlap x
};

void check(const CausalConv&);            // throws Error{Fault::shape}
void run(Reference&, const CausalConv&);  // the definition, double
void run(Cpu&, const CausalConv&);        // vector over channels, parallel over channel blocks

}  // namespace genossm
