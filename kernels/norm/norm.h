// norm -- RMSNorm, LayerNorm and the gated RMSNorm of Mamba-2, with an optional residual add.
//
//   r[t] = residual[t] + x[t]  (written back to residual; r = x without one)            [D]
//   v    = gate == before ? r * silu(z) : r
//   rms:   n = v * rsqrt(mean(v^2) + eps) * weight + bias      mean over each `group` channels
//   rms_plus: n = v / (sqrt(mean(v^2)) + eps) * weight + bias   eps outside the root
//   layer: n = (v - mean(v)) * rsqrt(var(v) + eps) * weight + bias
//   y    = gate == after ? n * silu(z) : n
//
// Source:   upstream rms_norm_ref, layer_norm_ref (layer_norm.py); rms_norm_ref of
//           layernorm_gated.py; rms_plus: RMSNorm of StripedHyena (stripedhyena.md section 1).
// Numerics: statistics in double on Reference; on Cpu float32 with a fixed order of summation that
//           depends on D alone, so that a row's result never depends on the rows around it.
// y may be the same memory as x, unless it is added to.
#pragma once

#include "kernels/core/device.h"

namespace genossm {

enum class NormKind { rms, rms_plus, layer };
enum class NormGate { none, before, after };

// X, Y: float; on Cuda also float or bf16 in and bf16 out.
template <class X, class Y>
struct BasicNorm {
  using Kind = NormKind;
  using Gate = NormGate;
  // in
  View<const X, 2> x;           // [L, D]
  View<float, 2> residual;      // [L, D]  in and out; empty: none
  View<const float, 1> weight;  // [D]
  View<const float, 1> bias;    // [D]     empty: none
  View<const Y, 2> z;           // [L, D]  only with a gate
  Kind kind = Kind::rms;
  Gate gate = Gate::none;
  float eps = 1e-5f;
  Index group = 0;  // channels that share one mean; 0: all D; must divide D; not layer
  // out
  View<Y, 2> y;             // [L, D]
  bool accumulate = false;  // y += instead of y = (the sum of both directions)
};
using Norm = BasicNorm<float, float>;

template <class X, class Y>
void check(const BasicNorm<X, Y>&);  // throws Error{Fault::shape}
void run(Reference&, const Norm&);   // the definition, double
void run(Cpu&, const Norm&);         // parallel over tokens, vector over channels
void run(Cuda&, const Norm&);        // one warp a row
void run(Cuda&, const BasicNorm<float, bf16>&);
void run(Cuda&, const BasicNorm<bf16, bf16>&);

}  // namespace genossm
