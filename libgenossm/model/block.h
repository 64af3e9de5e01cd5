// Block: x += mixer(norm(x)) and, where there is one, x += mlp(norm2(x)), over a batch of rows.
//
// One-way blocks carry a state from call to call. Blocks of long convolutions see whole sequences
// (see WholeMixer). Two-way blocks see whole sequences: a pass from
// left to right, then one from right to left, with the exact savings of engine.md section 4: one
// in_proj for both directions when they are tied, one out_proj of the sum, the reverse direction in
// place.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "kernels/norm/norm.h"
#include "libgenossm/model/blocks/linear.h"
#include "libgenossm/model/mixer.h"
#include "libgenossm/model/spec.h"
#include "libgenossm/model/whole_mixer.h"

namespace genossm {

class Block {
 public:
  Block(const Placement& place, const BlockSpec& spec);

  bool two_way() const { return reverse_ != nullptr; }
  bool whole() const { return whole_ != nullptr; }  // not one piece of a sequence after another
  Index state_size() const { return whole_ ? 0 : forward_->state_size(); }  // floats, one direction
  Index history_bytes() const { return whole_ ? 0 : forward_->history_bytes(); }  // of a token
  // Floats that a two-way or whole block keeps for every row of the batch beside x, when the batch
  // is longer than a slab.
  Index kept_columns() const;
  // Floats of scratch whatever the batch.
  Index fixed_floats() const { return whole_ ? whole_->fixed_floats() : 0; }
  // Floats of scratch for every row of a slab.
  Index slab_columns() const;
  Index weight_bytes() const;
  bool rows_independent() const {
    if (whole_) return whole_->rows_independent();
    return forward_->rows_independent() && (!reverse_ || reverse_->rows_independent());
  }

  // See Mixer::stepping().
  Index stepping() const { return whole_ ? 0 : forward_->stepping(); }
  // Channels of long convolutions.
  Index convolved() const { return whole_ ? whole_->convolved() : 0; }
  // The matrix products that forward() runs on every row: for each of its walks over the rows, in
  // its order.
  std::vector<std::vector<Product>> products() const;

  // x [L, D] in and out. pieces: the sequences that make up the rows, in order; one-way blocks use
  // their states, the others want every piece whole and ignore them. slab: rows that go through all
  // ops before the next rows; it never changes a result.
  void forward(Device& device, Scratch& scratch, View<float, 2> x, std::span<const Piece> pieces,
               Index slab) const;

 private:
  View<float, 2> normed(Device& device, Scratch& scratch, View<const float, 2> x) const;
  void one_way(Device&, Scratch&, View<float, 2> x, std::span<const Piece>, Index slab) const;
  void shared(Device&, Scratch&, View<float, 2> x, std::span<const Piece>, Index slab) const;
  void apart(Device&, Scratch&, View<float, 2> x, std::span<const Piece>, Index slab) const;
  void whole_sequences(Device&, Scratch&, View<float, 2> x, std::span<const Piece>,
                       Index slab) const;
  void mlp(Device&, Scratch&, View<float, 2> x) const;

  struct NormWeights {
    NormKind kind = NormKind::rms;
    float eps = 1e-5f;
    Buffer<float> weight, bias;
    explicit NormWeights(const NormSpec& spec);
    void run(Device& device, View<const float, 2> x, View<float, 2> y) const;
  };
  friend class Model;

  NormWeights norm_;
  std::unique_ptr<Mixer> forward_, reverse_;
  std::unique_ptr<WholeMixer> whole_;  // then there are no others
  bool tied_, multiply_;
  std::unique_ptr<NormWeights> mlp_norm_;
  MlpSpec::Kind mlp_kind_ = MlpSpec::Kind::gated_silu;
  Linear fc1_, fc2_;
  Linear gate_;  // MlpSpec::apart() only
};

}  // namespace genossm
