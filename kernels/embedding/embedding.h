// embedding -- rows of a table chosen by token.
//
//   y[t] = table[token[t]]                                            [D]
//
// Errors:   Fault::shape if a token lies outside [0, V).
#pragma once

#include "kernels/core/device.h"

namespace genossm {

struct Embedding {
  // in
  View<const std::int32_t, 1> tokens;  // [L]
  View<const float, 2> table;          // [V, D]
  // out
  View<float, 2> y;  // [L, D]
};

void check(const Embedding&);            // throws Error{Fault::shape}
void run(Reference&, const Embedding&);  // the definition
void run(Cpu&, const Embedding&);
// On Cuda the tokens are in device memory and not looked at by the check; a token outside [0, V) gives
// a row of NaN.
void check_on(const Cuda&, const Embedding&);
void run(Cuda&, const Embedding&);

}  // namespace genossm
