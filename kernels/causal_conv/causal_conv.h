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

#include "kernels/core/sequences.h"

namespace genossm {

// T: float; on Cuda also bf16.
template <class T>
struct BasicCausalConv {
  // in
  View<const T, 2> x;         // [L, D]
  View<const float, 2> w;     // [W, D]  tap W-1 multiplies the current token; W in 2..8
  View<const float, 1> bias;  // [D]     empty: none
  bool silu = true;
  // in and out
  View<float, 2> tail;  // [W-1, D]  the last W-1 inputs, oldest first
  // out
  View<T, 2> y;  // [L, D]  must not overlap x
};
using CausalConv = BasicCausalConv<float>;

// Cuda only: many sequences in the rows of one matrix, in one direction or in both at once.
template <class T>
struct CausalConvSet {
  struct Direction {
    View<const float, 2> w;     // [W, D]
    View<const float, 1> bias;  // [D]     empty: none
    View<T, 2> y;               // [R, D]  empty: this direction is not wanted
  };
  View<const T, 2> x;  // [R, D]
  bool silu = true;
  Direction forward, reverse;
  Sequences sequences;
  // The tail of a sequence lies at tails + its state, [W-1, D]; forward direction only.
  float* tails = nullptr;
};

// Cuda only: the short convolution of Hyena with its first gate. c = conv(x), without SiLU, every
// sequence from zeros; its columns are gates that are kept, one more gate, and v:
//
//   gates = c[:, 0 .. K)            v = c[:, K + D .. K + 2D) * c[:, K .. K + D)
struct GatedConvSet {
  View<const float, 2> x;     // [R, K + 2D]
  View<const float, 2> w;     // [W, K + 2D]  W in 2..8
  View<const float, 1> bias;  // [K + 2D]     empty: none
  Sequences sequences;
  View<float, 2> gates;  // [R, K]  must not overlap x
  View<float, 2> v;      // [R, D]  must not overlap x
};

template <class T>
void check(const BasicCausalConv<T>&);  // throws Error{Fault::shape}
template <class T>
void check(const CausalConvSet<T>&);
void check(const GatedConvSet&);
void run(Reference&, const CausalConv&);  // the definition, double
void run(Cpu&, const CausalConv&);        // vector over channels, parallel over channel blocks
void run(Cuda&, const CausalConv&);       // strips of tokens, a few channels a thread
void run(Cuda&, const BasicCausalConv<bf16>&);
void run(Cuda&, const CausalConvSet<float>&);
void run(Cuda&, const CausalConvSet<bf16>&);
void run(Cuda&, const GatedConvSet&);

}  // namespace genossm
