// Mixer: one direction of a sequence mixer, ready on a device. Its work falls into a token-local
// part before the sequence part and one after it, so that a block may share, sum or reorder them
// (engine.md section 4).
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "kernels/core/device.h"
#include "libgenossm/model/probe.h"
#include "libgenossm/model/scratch.h"

namespace genossm {

// A stretch of one sequence inside a slab of rows. Rows [begin, end) of the slab; `state` points to
// state_size() floats of that sequence and direction and is read and written; `fresh`: the stretch
// starts its sequence, so the state is zeroed first. `history`: the layer's rows of that sequence
// (see History) with room for those of this stretch, whose first token is the sequence's token
// `position`. `probe`: is shown the steps of that sequence; none, mostly.
struct Piece {
  Index begin = 0;
  Index end = 0;
  float* state = nullptr;
  bool fresh = true;
  std::byte* history = nullptr;
  Index position = 0;
  Probe* probe = nullptr;
};

class Linear;

// One matrix product of a forward pass, for those who replay or count them.
struct Product {
  const Linear* linear = nullptr;
  bool accumulate = false;  // y += instead of y =
};

class Mixer {
 public:
  virtual ~Mixer() = default;
  virtual Index projected() const = 0;               // P, columns of project_in's result
  virtual Index mixed() const = 0;                   // E, columns of mix's result
  virtual Index state_size() const = 0;              // floats
  virtual Index history_bytes() const { return 0; }  // of a token; see History
  // Channels that have a step size of their own, which a Probe can be shown; 0: none have.
  virtual Index stepping() const { return 0; }
  virtual Index scratch_columns() const = 0;  // floats a slab row, for the planner
  virtual Index weight_bytes() const = 0;
  virtual bool rows_independent() const = 0;  // see MatmulWeight

  // p = in_proj x: [L, D] -> [L, P]. Token-local.
  virtual void project_in(Device& device, View<const float, 2> x, View<float, 2> p) const = 0;

  // The sequence part: p [L, P] -> g [L, E], piece by piece in the order given. `reverse`: each
  // piece runs from its last row to its first. `accumulate`: g += instead of g =. `gated`: with the
  // gate; false only where gate_is_separable().
  virtual void mix(Device& device, Scratch& scratch, View<const float, 2> p,
                   std::span<const Piece> pieces, bool reverse, bool gated, bool accumulate,
                   View<float, 2> g) const = 0;

  // Whether the gate is a factor that depends on p alone, so that directions with the same p may be
  // summed before it: then mix() with both `gated` and `accumulate` gates the sum.
  virtual bool gate_is_separable() const = 0;

  // y (+)= out_proj g: [L, E] -> [L, D]. `times`: how often the bias counts (2 where one product
  // serves the sum of two directions).
  virtual void project_out(Device& device, View<const float, 2> g, bool accumulate, int times,
                           View<float, 2> y) const = 0;

  // The products of project_in(), mix() and project_out(), in this order.
  virtual Product product_in() const = 0;
  virtual std::vector<Product> products_inside() const = 0;
  virtual Product product_out() const = 0;
};

}  // namespace genossm
