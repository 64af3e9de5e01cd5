// WholeMixer: a sequence mixer that needs the whole sequence at once (long convolutions). Its block
// runs layer-major: every slab enters, then the sequences are mixed, then every slab leaves.
#pragma once

#include "libgenossm/model/mixer.h"

namespace genossm {

class WholeMixer {
 public:
  virtual ~WholeMixer() = default;
  virtual Index kept() const = 0;             // K, columns kept for every row between the parts
  virtual Index row_floats() const = 0;       // further scratch a row of the batch takes, a bound
  virtual Index fixed_floats() const = 0;     // and scratch that does not grow with the batch
  virtual Index scratch_columns() const = 0;  // floats a slab row
  virtual Index carried() const = 0;          // floats that enter() carries from slab to slab
  virtual Index weight_bytes() const = 0;
  virtual bool rows_independent() const = 0;

  // x [n, D] -> kept [n, K]: all that happens token by token or with a few neighbours. Slabs come
  // in order; `pieces` are the sequences' parts in this slab, their state carried() floats.
  virtual void enter(Device& device, Scratch& scratch, View<const float, 2> x,
                     std::span<const Piece> pieces, View<float, 2> kept) const = 0;
  // In place, over the whole batch; every piece is a whole sequence.
  virtual void mix(Device& device, Scratch& scratch, std::span<const Piece> pieces,
                   View<float, 2> kept) const = 0;
  // y += out_proj of what mix() left: kept [n, K] -> y [n, D].
  virtual void leave(Device& device, View<const float, 2> kept, View<float, 2> y) const = 0;

  // Channels that a long convolution is run over, those of all its convolutions together.
  virtual Index convolved() const = 0;
  virtual std::vector<Product> products_in() const = 0;   // of enter(), in its order
  virtual std::vector<Product> products_out() const = 0;  // of leave()
};

}  // namespace genossm
