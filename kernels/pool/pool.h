// pool -- one vector out of many rows, in a stream.
//
//   mean: sum += x[t] (divide by the count at the end)   max: m = max(m, x[t])      [D]
//
// Numerics: the mean's sum is kept in double and added in token order, so that the result does not
//           depend on how the rows were cut; finish() rounds once. NaN wins a maximum.
#pragma once

#include "kernels/core/device.h"

namespace genossm {

// What a stream of rows has been reduced to; a value that may be copied.
struct Pool {
  enum class Kind { mean, max };
  Kind kind = Kind::mean;
  // in
  View<const float, 2> x;  // [L, D]
  // in and out
  View<double, 1> sum;  // [D]  mean: zeros at the start; max: -infinity at the start
};

void check(const Pool&);            // throws Error{Fault::shape}
void run(Reference&, const Pool&);  // the definition
void run(Cpu&, const Pool&);        // vector over channels
void run(Cuda&, const Pool&);       // one thread a channel, in token order: the same bits

}  // namespace genossm
