// activation -- element-wise functions and gated products.
//
//   y[t] = f(x[t])                 gate empty                          [D]
//   y[t] = x[t] * f(gate[t])       otherwise (GLU form: value, gate)   [D]
//
// silu(v) = v / (1 + exp(-v)); gelu_erf(v) = v/2 (1 + erf(v/sqrt 2));
// gelu_tanh(v) = v/2 (1 + tanh(sqrt(2/pi)(v + 0.044715 v^3))); relu_squared(v) = max(v,0)^2;
// softplus(v) = v > 20 ? v : log1p(exp(v)), the upstream threshold.
// y may be the same memory as x or gate.
#pragma once

#include "kernels/core/device.h"

namespace genossm {

enum class ActivationKind { identity, silu, gelu_erf, gelu_tanh, relu_squared, sigmoid, softplus };

// T: float; on Cuda also bf16.
template <class T>
struct BasicActivation {
  using Kind = ActivationKind;
  Kind kind = Kind::silu;
  // in
  View<const T, 2> x;     // [L, D]
  View<const T, 2> gate;  // [L, D]  empty: none
  // out
  View<T, 2> y;             // [L, D]
  bool accumulate = false;  // y += instead of y =
};
using Activation = BasicActivation<float>;

template <class T>
void check(const BasicActivation<T>&);    // throws Error{Fault::shape}
void run(Reference&, const Activation&);  // the definition, double
void run(Cpu&, const Activation&);        // parallel over tokens, vector over channels
void run(Cuda&, const Activation&);       // element-wise
void run(Cuda&, const BasicActivation<bf16>&);

}  // namespace genossm
