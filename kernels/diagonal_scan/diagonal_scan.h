// diagonal_scan -- a causal convolution with a sum of exponentials, as its recurrence.
//
//   h[t, n] = p[n] h[t-1, n] + u[t]                                   [D] for every n in [0, N)
//   y[t]    = (Re sum_n r[n] h[t, n] + skip * u[t]) * gate[t]         [D]
//
// that is: taps Re sum_n r[n] p[n]^t, t = 0, 1, ..., of which tap 0 multiplies the current token.
// Poles p and residues r are complex (Q = 2: real parts, then imaginary parts) or real (Q = 1).
// Conjugates are not implied.
// Source:   stripedhyena.md section 2 (poles as stored), stripedhyena2.md section 2 (p = exp of the
//           stored log_poles: fill poles and poles_low by split_pole).
// Numerics: float32 on every device. Near 1 the rounding of a pole would decide how long it
//           remembers, so a pole may come in two parts, p = poles + poles_low. No power of p is
//           ever formed on Cpu. Error of the recurrence: about 1e-7 sqrt(1 / (1 - |p|)) of the
//           largest h.
// Law:      [0, L) in one run equals [0, m) then [m, L) on the same h, bit for bit, for any m.
#pragma once

#include <utility>

#include "kernels/core/device.h"

namespace genossm {

// T: float; on Cuda also bf16.
template <class T>
struct BasicDiagonalScan {
  // in
  View<const T, 2> u;              // [L, D]
  View<const float, 3> poles;      // [N, Q, D]  Q is 1 or 2
  View<const float, 3> poles_low;  // [N, Q, D]  what `poles` leave of the poles; empty: nothing
  View<const float, 3> residues;   // [N, Q, D]
  View<const float, 1> skip;       // [D]     empty: none
  View<const T, 2> gate;           // [L, D]  empty: none
  // in and out
  View<float, 3> h;  // [N, Q, D]  the carry; zeros at the start of a sequence
  // out
  View<T, 2> y;  // [L, D]  may be the memory of u or of gate
};
using DiagonalScan = BasicDiagonalScan<float>;

// x as the nearest float and the nearest float of the rest.
inline std::pair<float, float> split_pole(double x) {
  const auto high = static_cast<float>(x);
  return {high, static_cast<float>(x - static_cast<double>(high))};
}

template <class T>
void check(const BasicDiagonalScan<T>&);    // throws Error{Fault::shape}
void run(Reference&, const DiagonalScan&);  // the definition: serial, double
void run(Cpu&, const DiagonalScan&);        // parallel over channel blocks, vector over channels
// Three phases: the state that each segment of kCudaSegment tokens leaves behind, the carry over
// the segments with powers of the poles formed in double, the outputs. The law holds bit for bit at
// multiples of kCudaSegment.
void run(Cuda&, const DiagonalScan&);
void run(Cuda&, const BasicDiagonalScan<bf16>&);

}  // namespace genossm
