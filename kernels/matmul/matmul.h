// matmul -- y = x W^T + b, optionally added to what y holds.
//
//   y[t, n] (+)= sum_k x[t, k] * W[n, k] + bias[n]
//
// The weight is packed once, for one device and precision, into a MatmulWeight that any number of
// threads may use at once.
// Numerics: fp32: float32 products and sums. bf16: x and W rounded to bfloat16 (nearest even),
//           products and sums in float32, y and bias float32. Reference: double over the same
//           (rounded) operands. e4m3: x and W times their scales rounded to e4m3, saturating,
//           products and sums in float32, the sum divided by both scales (stripedhyena2.md
//           section 6); bias and y as ever.
// Law:      (on Cuda the same: one routine is chosen a weight, whatever the number of rows.)
//           on Cpu a row's result does not depend on its position, its neighbours or the number of
//           rows: everything runs as tiles of kTile rows, the last one padded. pack() verifies this
//           for the routine that the library chose on this machine; see rows_independent().
// Speed:    rows that are not dense (stride K for x, N for y) pass through a dense tile: about 1 us
//           for every 16 K floats.
#pragma once

#include <memory>
#include <span>

#include "kernels/core/device.h"
#include "kernels/core/dtype.h"
#include "kernels/core/stored_matrix.h"

namespace genossm {

class MatmulWeight {
 public:
  MatmulWeight() = default;
  // w: [N, K], rows are outputs; copied (and rounded to bf16 with Precision::bf16).
  static MatmulWeight pack(Device& device, View<const float, 2> w,
                           Precision precision = Precision::fp32);
  // The same of a matrix as a file has it; row n of the weight is its row order[n] (empty: n). A
  // bf16 matrix stays bf16 in memory with either precision: the numbers are those of its float32
  // copy, at half the memory. On Cuda it is held as the precision says.
  static MatmulWeight pack(Device& device, const StoredMatrix& w, Precision precision,
                           std::span<const Index> order = {});
  // As e4m3 codes, a byte each. On Cuda as bf16, which holds all their values; inputs of both
  // precisions are rounded to e4m3 and held so, too.
  static MatmulWeight pack_e4m3(Device& device, const StoredMatrix& w, Fp8Scales scales,
                                std::span<const Index> order = {});

  // Only sizes: what pack() or pack_e4m3() (`fp8`) would hold on the Cpu, for planning. Not to be
  // run.
  static MatmulWeight sketch(const StoredMatrix& w, Precision precision, bool fp8);

  bool empty() const { return !impl_; }
  Index outputs() const { return outputs_; }  // N
  Index inputs() const { return inputs_; }    // K
  Precision precision() const { return precision_; }
  Index bytes() const;  // memory held
  // Whether equal input rows gave equal output rows at every position of a tile (Cpu).
  bool rows_independent() const;

  struct Impl;
  const Impl& impl() const { return *impl_; }

 private:
  std::shared_ptr<const Impl> impl_;
  Index outputs_ = 0;
  Index inputs_ = 0;
  Index sketched_ = 0;  // bytes
  Precision precision_ = Precision::fp32;
};

// X, Y: float; on Cuda also bf16 in and bf16 or float out.
template <class X, class Y>
struct BasicMatmul {
  // in
  View<const X, 2> x;                    // [L, K]  any row stride >= K
  const MatmulWeight* weight = nullptr;  // [N, K]
  View<const float, 1> bias;             // [N]     empty: none
  bool accumulate = false;               // y += instead of y =
  // out
  View<Y, 2> y;           // [L, N]  any row stride >= N; must not overlap x
  bool softplus = false;  // y = softplus(...): the step of Mamba-1; Cuda only
};
using Matmul = BasicMatmul<float, float>;

template <class X, class Y>
void check(const BasicMatmul<X, Y>&);  // throws Error{Fault::shape}
void run(Reference&, const Matmul&);   // the definition, double
void run(Cpu&, const Matmul&);         // oneDNN on one thread a tile, parallel over tiles
void run(Cuda&, const Matmul&);        // cuBLASLt
void run(Cuda&, const BasicMatmul<bf16, bf16>&);
void run(Cuda&, const BasicMatmul<bf16, float>&);

// Whether this processor has bfloat16 matrix instructions; without them Precision::bf16 rounds the
// operands and computes in float32, a little slower than fp32, and callers should say so.
bool cpu_has_bf16();

}  // namespace genossm
