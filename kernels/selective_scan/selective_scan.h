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

#include "kernels/core/sequences.h"

namespace genossm {

// T: float; on Cuda also bf16.
template <class T>
struct BasicSelectiveScan {
  // in
  View<const T, 2> u;            // [L, D]
  View<const T, 2> dt;           // [L, D]  before bias and softplus
  View<const float, 1> dt_bias;  // [D]     empty: none
  bool softplus = true;
  View<const float, 2> A;     // [N, D]  already -exp(A_log)
  View<const T, 3> B;         // [L, G, N]
  View<const T, 3> C;         // [L, G, N]
  View<const float, 1> skip;  // [D]     upstream calls it D; empty: none
  View<const T, 2> z;         // [L, D]  empty: no gate
  // in and out
  View<float, 2> h;  // [N, D]  the carry; zeros at the start of a sequence
  // out
  View<T, 2> y;             // [L, D]  may be the same memory as u or dt
  bool accumulate = false;  // y += instead of y = (the sum of both directions)
  bool gate_sum = false;    // with accumulate: the gate multiplies the sum, not what is added
};
using SelectiveScan = BasicSelectiveScan<float>;

// Cuda only: many sequences in the rows of one matrix, all in one direction.
template <class T>
struct SelectiveScanSet {
  BasicSelectiveScan<T> op;  // views of all rows; h is left out
  bool reverse = false;
  Sequences sequences;
  // The h of a sequence lies at states + its state, [N, D]; forward direction only.
  float* states = nullptr;
  // What y holds before comes from work asked of this Cuda so far, for which the outputs wait.
  const Cuda* after = nullptr;
};

template <class T>
void check(const BasicSelectiveScan<T>&);  // throws Error{Fault::shape}
template <class T>
void check(const SelectiveScanSet<T>&);
void run(Reference&, const SelectiveScan&);  // the definition: serial, double
void run(Cpu&, const SelectiveScan&);        // parallel over channel blocks, vector over channels
// Three phases: the state that each segment of kCudaSegment tokens leaves behind, the carry over
// the segments, the outputs. The law holds bit for bit at multiples of kCudaSegment.
void run(Cuda&, const SelectiveScan&);
void run(Cuda&, const BasicSelectiveScan<bf16>&);
void run(Cuda&, const SelectiveScanSet<float>&);
void run(Cuda&, const SelectiveScanSet<bf16>&);

}  // namespace genossm
