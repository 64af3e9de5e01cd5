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

// Cuda only: the rows of many records, both strands of a window somewhere among them, joined column
// by column and reduced record by record; nothing but the sums leaves the device.
struct PoolColumn {
  // Value of a joined row: p, or (p + q) / 2 where there is a q. Columns of a forward row, or of a
  // back row (of the other strand).
  std::int32_t p = 0, q = -1;
  bool p_back = false, q_back = false;
};
struct PoolPiece {              // consecutive tokens of a record
  Index forward = 0, back = 0;  // rows of the first: token i is forward + i and back - i
  Index count = 0;
};
struct PoolRun {  // consecutive pieces of one record
  std::int32_t first = 0, pieces = 0;
  Index record = 0;  // row of sum and max
};
struct PoolJoined {
  // in
  View<const float, 2> x;
  View<const PoolColumn, 1> columns;  // [C]
  View<const PoolPiece, 1> pieces;
  View<const PoolRun, 1> runs;  // no two of one record
  // in and out
  View<double, 2> sum;  // [records, C]  of all rows, in token order: the bits of Pool
  View<double, 2> max;  // [records, C]  empty: not wanted
};

void check(const Pool&);            // throws Error{Fault::shape}
void run(Reference&, const Pool&);  // the definition
void run(Cpu&, const Pool&);        // vector over channels
void run(Cuda&, const Pool&);       // one thread a channel, in token order: the same bits
void run(Cuda&, const PoolJoined&);

}  // namespace genossm
