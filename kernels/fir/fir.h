// fir -- causal convolution with explicit taps that neighbouring channels share, skip and gate.
//
//   c[t] = sum_{j=0..W-1} taps[g, W-1-j] * x[t - j]                   order: current_last
//   c[t] = sum_{j=0..W-1} taps[g, j] * x[t - j]                       order: current_first
//   y[t] = (c[t] + skip * x[t]) * gate[t],  g = channel / (D / G)     [D]
//
// x at t < 0 is read from the tail (zeros at the start of a sequence): tail[W-2] is x[-1].
// Source:   stripedhyena2.md section 2: Hyena-SE (7 taps, current_last), Hyena-MR (128 taps,
//           current_first, skip).
// Numerics: float32, a sum from the oldest to the newest input, then skip and gate.
// Law:      [0, L) in one run equals [0, m) then [m, L) on the same tail, bit for bit, for any m.
//
// Not a form of causal_conv: that one has taps of its own for every channel, at most 8 of them held
// in registers, bias and SiLU, and is what the short filters of width 3 in front of the gates want
// (silu = false). Here the taps are many and shared, and blocks of tokens are what stays in
// registers.
#pragma once

#include "kernels/core/device.h"

namespace genossm {

enum class TapOrder { current_last, current_first };

// T: float; on Cuda also bf16.
template <class T>
struct BasicFir {
  using Order = TapOrder;
  // in
  View<const T, 2> x;         // [L, D]
  View<const float, 2> taps;  // [G, W]  G divides D; W >= 1
  Order order = Order::current_last;
  View<const float, 1> skip;  // [D]     empty: none
  View<const T, 2> gate;      // [L, D]  empty: none
  // in and out
  View<float, 2> tail;  // [W-1, D]  the last W-1 inputs, oldest first
  // out
  View<T, 2> y;  // [L, D]  must not overlap x; may be the memory of gate
};
using Fir = BasicFir<float>;

template <class T>
void check(const BasicFir<T>&);    // throws Error{Fault::shape}
void run(Reference&, const Fir&);  // the definition, double
void run(Cpu&, const Fir&);        // vector over channels, blocks of tokens, parallel over channels
void run(Cuda&, const Fir&);       // strips of tokens, inputs and taps in shared memory
void run(Cuda&, const BasicFir<bf16>&);

}  // namespace genossm
