// ssd -- the Mamba-2 recurrence (state space duality): one scalar decay per head.
//
//   d[t] = clamp(softplus(dt[t] + dt_bias), dt_min, dt_max)                       [H]
//   h[t] = exp(d[t] * A) * h[t-1] + d[t] * B[t] (outer) x[t]                      [H, N, P]
//   y[t] = (C[t] . h[t] + skip * x[t]) * silu(z[t])                               [H, P]
//
// Source:   Dao & Gu 2024; upstream functions ssd_selective_scan, ssd_chunk_scan_combined_ref.
// Layout:   channel = head * P + p; the state is [H, N, P] (upstream: H, P, N), lanes over P.
// Groups:   head i uses group i / (H / G) of B and C.
// Numerics: h is float32 on Cpu, double inside one run on Reference; softplus threshold 20, clamp
//           after it.
// State:    the state is scale * h, one scale a head: a device may keep the product of the decays
//           apart. A sequence starts with h = 0 and scale = 1. Without a scale h is the state
//           itself. Cpu wants sums of |B C d x| below 2^63.
// Law:      [0, L) in one run equals [0, m) then [m, L) on the same h and scale: bit for bit on Cpu
//           for any m; to one rounding of h on Reference, and on Cpu without a scale.
// The reverse direction is the same op on flip_rows() of x, dt, B, C, z and y.
#pragma once

#include <limits>

#include "kernels/core/sequences.h"

namespace genossm {

// T: float; on Cuda also bf16.
template <class T>
struct BasicSsd {
  // in
  View<const T, 2> x;            // [L, H * P]
  View<const T, 2> dt;           // [L, H]  before bias, softplus and clamp
  View<const float, 1> dt_bias;  // [H]     empty: none
  bool softplus = true;
  float dt_min = 0;
  float dt_max = std::numeric_limits<float>::infinity();
  View<const float, 1> A;  // [H]  already -exp(A_log)
  View<const T, 3> B;      // [L, G, N]
  View<const T, 3> C;      // [L, G, N]
  View<const float, 1>
      skip;            // [H * P]  upstream calls it D (one value a head is repeated); empty: none
  View<const T, 2> z;  // [L, H * P]  empty: no gate
  // in and out
  View<float, 3> h;      // [H, N, P]
  View<float, 1> scale;  // [H]  empty: 1, and the result is brought to 1
  // out
  View<T, 2> y;             // [L, H * P]  may be the same memory as x
  bool accumulate = false;  // y += instead of y =
};
using Ssd = BasicSsd<float>;

// Cuda only: many sequences in the rows of one matrix, all in one direction.
template <class T>
struct SsdSet {
  BasicSsd<T> op;  // views of all rows; h is left out
  bool reverse = false;
  Sequences sequences;
  // The h of a sequence lies at states + its state, [H, N, P], its scale, [H], behind it.
  float* states = nullptr;
};

template <class T>
void check(const BasicSsd<T>&);  // throws Error{Fault::shape}
template <class T>
void check(const SsdSet<T>&);
void run(Reference&, const Ssd&);  // the definition: serial, double
void run(Cpu&, const Ssd&);        // parallel over heads, vector over P, state in registers
// Segments of kCudaSegment tokens in parallel, three phases as in selective_scan; bf16 on tensor
// cores.
void run(Cuda&, const Ssd&);
void run(Cuda&, const BasicSsd<bf16>&);
void run(Cuda&, const SsdSet<float>&);
void run(Cuda&, const SsdSet<bf16>&);

}  // namespace genossm
