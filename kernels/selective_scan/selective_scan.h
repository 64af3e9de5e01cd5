// selective_scan -- the Mamba-1 recurrence (S6), causal, one sequence.
//
//   d[t] = softplus(dt[t] + dt_bias)       (without softplus: dt[t] + dt_bias)   [D]
//   h[t] = exp(d[t] * A) * h[t-1] + (d[t] * u[t]) (outer) B[t]                  [N, D]
//   y[t] = (h[t] . C[t] + skip * u[t]) * silu(z[t])                             [D]
//
// Source:   Gu & Dao 2023, algorithm 2; upstream function selective_scan_ref.
// Layout:   channels last everywhere (A and h are [N, D], transposed against the checkpoint), so
//           that vector lanes run over channels and no transpose is needed.
// Groups:   channel c uses group c / (D / G) of B and C. B and C that do not depend on the token
//           are views whose first stride is 0.
// Numerics: h is float32 on Cpu, double inside one run on Reference; softplus(x) = x above 20, as
// upstream. Law:      [0, L) in one run equals [0, m) then [m, L) on the same h: bit for bit on Cpu
// for any m;
//           to one rounding of h on Reference.
// The reverse direction is the same op on flip_rows() of u, dt, B, C, z and y.
#pragma once

#include "kernels/core/device.h"

namespace genossm {

struct SelectiveScan {
  // in
  View<const float, 2> u;        // [L, D]
  View<const float, 2> dt;       // [L, D]  before bias and softplus
  View<const float, 1> dt_bias;  // [D]     empty: none
  bool softplus = true;
  View<const float, 2> A;     // [N, D]  already -exp(A_log)
  View<const float, 3> B;     // [L, G, N]
  View<const float, 3> C;     // [L, G, N]
  View<const float, 1> skip;  // [D]     upstream calls it D; empty: none
  View<const float, 2> z;     // [L, D]  empty: no gate
  // in and out
  View<float, 2> h;  // [N, D]  the carry; zeros at the start of a sequence
  // out
  View<float, 2> y;         // [L, D]  may be the same memory as u or dt
  bool accumulate = false;  // y += instead of y = (the sum of both directions)
  bool gate_sum = false;    // with accumulate: the gate multiplies the sum, not what is added
};

void check(const SelectiveScan&);            // throws Error{Fault::shape}
void run(Reference&, const SelectiveScan&);  // the definition: serial, double
void run(Cpu&, const SelectiveScan&);        // parallel over channel blocks, vector over channels

}  // namespace genossm
