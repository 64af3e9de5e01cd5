// rope -- rotary positions, halves not interleaved (NeoX), in place.
//
//   a = (start + t) / scale * inv_freq[j]                             j in [0, R/2)
//   x[t, h, j], x[t, h, R/2 + j] = x0 cos a - x1 sin a, x1 cos a + x0 sin a
//
// x0 and x1 are the two before; every head h is turned alike; its columns R.. stay as they are.
// Source:   stripedhyena2.md section 3; Su et al. 2021. Positions are divided by `scale` where a
//           model interpolates them.
// Numerics: the angle is formed and reduced in double, so that a position of 10^6 and more costs no
//           digits; sine and cosine of the rest are within 2e-7.
// Law:      a row depends on nothing but itself and its position start + t: any cut of a sequence
//           gives the same bits.
#pragma once

#include "kernels/core/device.h"

namespace genossm {

// T: float; on Cuda also bf16.
template <class T>
struct BasicRope {
  // in and out
  View<T, 2> x;  // [L, H * E]  heads side by side
  // in
  Index heads = 1;                // H
  View<const float, 1> inv_freq;  // [R/2]  R <= E
  Index start = 0;                // position of the first row, 0 to 2^40
  double scale = 1;               // > 0
};
using Rope = BasicRope<float>;

template <class T>
void check(const BasicRope<T>&);    // throws Error{Fault::shape}
void run(Reference&, const Rope&);  // the definition, double
void run(Cpu&, const Rope&);        // parallel over rows, vector over pairs
void run(Cuda&, const Rope&);       // a block a row
void run(Cuda&, const BasicRope<bf16>&);

}  // namespace genossm
