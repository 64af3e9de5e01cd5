// CudaMixer: one or both directions of a sequence mixer on a GPU; see mixer.h for the parts. T is float
// or bf16.
#pragma once

#include <memory>
#include <vector>

#include "kernels/core/sequences.h"
#include "kernels/matmul/matmul.h"
#include "libgenossm/model/cuda_scratch.h"
#include "libgenossm/model/spec.h"

namespace genossm {

template <class T>
inline constexpr Precision kPrecisionOf = sizeof(T) == 2 ? Precision::bf16 : Precision::fp32;

// A tensor's values in device memory; empty where it is not present.
CudaBuffer<float> to_cuda(Cuda& cuda, const Tensor& tensor);
CudaBuffer<float> to_cuda(Cuda& cuda, const Buffer<float>& values);
inline View<const float, 1> view_of(const CudaBuffer<float>& b) { return b.view(); }

// Linear on a GPU.
class CudaLinear {
 public:
  CudaLinear() = default;
  CudaLinear(Device& device, Precision precision, const Tensor& weight, const Tensor& bias);

  template <class X, class Y>
  void run(Cuda& cuda, View<const X, 2> x, View<Y, 2> y, bool accumulate = false,
           int times = 1) const {
    const BasicMatmul<X, Y> op{.x = x,
                               .weight = &weight_,
                               .bias = view_of(times == 2 ? twice_ : bias_),
                               .accumulate = accumulate,
                               .y = y};
    check(op);
    genossm::run(cuda, op);
  }
  const MatmulWeight& weight() const { return weight_; }
  Index outputs() const { return weight_.outputs(); }
  Index bytes() const { return weight_.bytes() + bias_.bytes() + twice_.bytes(); }

 private:
  MatmulWeight weight_;
  CudaBuffer<float> bias_, twice_;
};

// Checks an op's shapes and runs it.
template <class Op>
void launch_on(Cuda& cuda, const Op& op) {
  check_on(cuda, op);
  run(cuda, op);
}

template <class T>
class CudaMixer {
 public:
  virtual ~CudaMixer() = default;
  virtual Index projected() const = 0;
  virtual Index mixed() const = 0;
  virtual Index state_size() const = 0;
  virtual Index weight_bytes() const = 0;
  // Bytes a row of mix_both() takes in scratch, or of two mix() calls; segments' states included.
  virtual Index row_bytes() const = 0;
  virtual void reserve(Cuda& cuda, CudaScratch& scratch, Index rows, Index sequences) const = 0;

  virtual void project_in(Cuda& cuda, View<const T, 2> x, View<T, 2> p) const = 0;

  // p [rows, P] -> g [rows, E] in one direction. `states`: null, or memory to which the sequences'
  // states point (forward only). g may be columns of p only if the mixer says so: see result().
  virtual void mix(Cuda& cuda, CudaScratch& scratch, View<const T, 2> p, const Sequences& sequences,
                   float* states, bool reverse, bool accumulate, View<T, 2> g) const = 0;

  // Both directions of a tied pair, this one forward and `back` reversed, summed: p -> g. The result
  // may take the place of what p is no longer needed for.
  virtual View<T, 2> mix_both(Cuda& cuda, CudaScratch& scratch, const CudaMixer& back,
                              View<T, 2> p, const Sequences& sequences) const = 0;

  virtual void project_out(Cuda& cuda, View<const T, 2> g, bool accumulate, int times,
                           View<float, 2> y) const = 0;
};

// `projections`: whose in_proj and out_proj to use.
template <class T>
std::unique_ptr<CudaMixer<T>> make_cuda_mixer(Device& device, const Mamba1Spec& spec,
                                              const Mamba1Spec& projections);
template <class T>
std::unique_ptr<CudaMixer<T>> make_cuda_mixer(Device& device, const Mamba2Spec& spec,
                                              const Mamba2Spec& projections);

}  // namespace genossm
