// CudaModel: a ModelSpec on a GPU. The same mathematics as Block's, in the order that suits a GPU:
// a whole batch of rows goes through one op after the other, both directions of a two-way block and
// all sequences in the same launches.
//
// With Precision::bf16 activations and weights of matrix products are bf16; the residual stream,
// all states, norms and sums are float32. With Precision::fp32 everything is float32.
#pragma once

#include <memory>

#include "libgenossm/model/cuda_mixer.h"
#include "libgenossm/model/cuda_scratch.h"
#include "libgenossm/model/history.h"
#include "libgenossm/model/spec.h"

namespace genossm {

class CudaModel {
 public:
  static std::shared_ptr<const CudaModel> make(const ModelSpec& spec, Device& device,
                                               Precision precision);
  virtual ~CudaModel() = default;

  virtual Index weight_bytes() const = 0;
  // What a causal sequence carries, laid out as on the CPU, and where a layer's part of it begins.
  virtual Index state_floats() const = 0;
  virtual Index state_offset(Index layer) const = 0;
  // What it carries for every token, without tokens, in memory of the GPU.
  virtual History new_history() const = 0;
  // Device memory that one row of a batch takes, the residual stream and scratch, in bytes.
  virtual Index row_bytes() const = 0;
  // And what a batch takes whatever its rows.
  virtual Index fixed_bytes() const = 0;

  // Allocates what batches of so many rows and sequences need, or throws Fault::memory; afterwards
  // they run without allocating.
  virtual void reserve(Cuda& cuda, CudaScratch& scratch, Index rows, Index sequences) const = 0;

  virtual void embed(Cuda& cuda, View<const std::int32_t, 1> tokens, View<float, 2> x) const = 0;
  // x [rows, D] in and out. `states`: memory of the sequences that have a state. The spans' history
  // is the layer's.
  virtual void block(Cuda& cuda, CudaScratch& scratch, Index layer, View<float, 2> x,
                     const CudaSequences& sequences, float* states) const = 0;
  // y may be x.
  virtual void final_norm(Cuda& cuda, View<const float, 2> x, View<float, 2> y) const = 0;
  // The final norm and the head: x [rows, D] -> logits [rows, V].
  virtual void head(Cuda& cuda, CudaScratch& scratch, View<const float, 2> x,
                    View<float, 2> logits) const = 0;
};

}  // namespace genossm
