// Model: a ModelSpec ready on a device. Constant after make(): any number of threads may use it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "libgenossm/model/block.h"
#include "libgenossm/model/cuda_model.h"
#include "libgenossm/model/history.h"
#include "libgenossm/model/spec.h"

namespace genossm {

// What a caller may know without looking inside.
struct Card {
  std::string family;
  Objective objective = Objective::causal;
  Index d_model = 0, vocab = 0, layers = 0;
  bool two_way = false;  // sees the tokens to the right too
  bool whole = false;    // reads left to right, but whole sequences at once: there is no state
  Index longest = 0;     // tokens of the longest sequence; 0: no limit
  // All of a sequence goes through one layer before the next.
  bool layer_major() const { return two_way || whole; }
  bool strands = false;  // reverse-complement parameter sharing
  // PS with an odd number of layers and the fused norm order: upstream's first half is the reverse
  // stream (caduceus.md section 3).
  bool strands_exchanged = false;
  Precision precision = Precision::fp32;
  Index parameters = 0;
  Index weight_bytes = 0;   // on the device
  Index state_floats = 0;   // what a causal sequence carries
  Index history_bytes = 0;  // and what it carries for every token; see History
  Index kept_columns = 0;   // largest of the blocks
  Index fixed_floats = 0;   // the same
  Index slab_columns = 0;
  bool rows_independent = true;  // see MatmulWeight
  bool cuda = false;             // the weights are on a GPU
  Index cuda_row_bytes = 0;      // device memory a row of a batch
  Index cuda_fixed_bytes = 0;    // and whatever the rows
};

// Throws Fault::usage where a sequence of so many tokens is longer than the model's filters.
void check_length(const Card& card, Index tokens);

class Model {
 public:
  // Takes the spec over; throws Fault::shape or Fault::checkpoint when it does not fit together,
  // and Fault::memory where its weights would not fit.
  static Model make(ModelSpec spec, const Placement& place);

  // The same without packed weights, of a spec that need not have values (see random_model.h): its
  // card alone is of use.
  static Model sketch(ModelSpec spec, Precision precision);

  const Card& card() const { return card_; }
  const std::vector<std::int64_t>& complement() const { return complement_; }
  // [labels, D] of a sequence-classification checkpoint, in host memory; not present without one.
  const Tensor& classifier() const { return classifier_; }
  const Tensor& classifier_bias() const { return classifier_bias_; }
  ClassifierPool classifier_pool() const { return classifier_pool_; }

  // The model on a GPU, where it was made for one; the ops below are then not to be used.
  const CudaModel* on_cuda() const { return cuda_.get(); }

  // tokens [L] -> x [L, D].
  void embed(Device& device, View<const std::int32_t, 1> tokens, View<float, 2> x) const;
  const Block& block(Index i) const { return blocks_[static_cast<std::size_t>(i)]; }
  // x [L, D] -> y [L, D]; y may be x.
  void final_norm(Device& device, View<const float, 2> x, View<float, 2> y) const;
  // hidden [L, D] -> logits [L, V] of one strand.
  void head(Device& device, View<const float, 2> hidden, View<float, 2> logits) const;
  // Where a layer's state begins in the state of a causal sequence, in floats.
  Index state_offset(Index layer) const { return offsets_[static_cast<std::size_t>(layer)]; }
  // Without tokens.
  History new_history() const;

 private:
  Card card_;
  std::vector<std::int64_t> complement_;
  Tensor classifier_, classifier_bias_;
  ClassifierPool classifier_pool_ = ClassifierPool::chosen;
  Buffer<float> table_;  // [V, D]
  std::vector<Block> blocks_;
  std::vector<Index> offsets_;
  std::unique_ptr<Block::NormWeights> final_norm_;
  Linear head_;
  std::shared_ptr<const CudaModel> cuda_;
};

}  // namespace genossm
