// hyena_filter -- the implicit filter of Hyena, in two ops: what all channels share, and the taps.
//
//   hyena_trunk:  a[t] = sin(freq * (W_0 z[t] + b_0))                                      [H]
//                 a[t] = sin(freq * (W_i a[t] + b_i))     for each inner layer i           [H]
//   hyena_taps:   h[t] = (W a[t]) * (exp(-time[t] * |delta|) + shift)                      [D]
//
// z and time are the tables that the checkpoint stores, row t for tap t whatever the length of the
// sequence. Weights are [inputs, outputs], the transpose of what is stored.
// Source:   hyenadna.md section 3.
// Numerics: Reference: double throughout. Cpu: float32 sums in the order of the inputs, the sine
//           with its argument reduced exactly, so that arguments of hundreds lose nothing more.
//           Cuda: the same.
// Law:      a row depends on nothing but its own row of the tables, a channel of the taps on
//           nothing but its own weights: any cut gives the same bits.
#pragma once

#include "kernels/core/device.h"

namespace genossm {

struct HyenaTrunk {
  // in
  View<const float, 2> z;     // [L, E]
  View<const float, 2> w0;    // [E, H]
  View<const float, 1> b0;    // [H]
  View<const float, 3> w;     // [M, H, H]  M inner layers; M may be 0
  View<const float, 2> b;     // [M, H]
  View<const float, 1> freq;  // [H]
  // out
  View<float, 2> a;  // [L, H]
};

struct HyenaTaps {
  // in
  View<const float, 2> a;       // [L, H]
  View<const float, 2> w;       // [H, D]
  View<const float, 1> time;    // [L]
  View<const float, 1> deltas;  // [D]
  float shift = 0.05f;
  // out
  View<float, 2> h;  // [L, D]
};

void check(const HyenaTrunk&);  // throws Error{Fault::shape}
void check(const HyenaTaps&);
void run(Reference&, const HyenaTrunk&);  // the definition, double
void run(Reference&, const HyenaTaps&);
void run(Cpu&, const HyenaTrunk&);  // parallel over taps, vector over channels
void run(Cpu&, const HyenaTaps&);
void run(Cuda&, const HyenaTrunk&);  // 64 rows a block
void run(Cuda&, const HyenaTaps&);

}  // namespace genossm
