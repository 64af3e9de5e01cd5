// CudaWhole: a sequence mixer that needs whole sequences, on a GPU; see WholeMixer. T is float or
// bf16, of the matrix products alone.
#pragma once

#include <memory>

#include "libgenossm/model/cuda_mixer.h"

namespace genossm {

template <class T>
class CudaWhole {
 public:
  virtual ~CudaWhole() = default;
  virtual Index weight_bytes() const = 0;
  // Scratch that a row of a batch takes, in bytes, and that which does not grow with the batch.
  virtual Index row_bytes() const = 0;
  virtual Index fixed_bytes() const = 0;
  virtual void reserve(Cuda& cuda, CudaScratch& scratch, Index rows) const = 0;

  // x += mixer(n), n [rows, D] the normed rows; every sequence is whole.
  virtual void run(Cuda& cuda, CudaScratch& scratch, View<const T, 2> n, const Sequences& sequences,
                   View<float, 2> x) const = 0;
};

template <class T>
std::unique_ptr<CudaWhole<T>> make_cuda_whole(Device& device, const HyenaSpec& spec);

}  // namespace genossm
