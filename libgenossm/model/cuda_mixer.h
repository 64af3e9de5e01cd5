// CudaMixer: one or both directions of a sequence mixer on a GPU; see mixer.h for the parts. T is
// float or bf16.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "kernels/core/sequences.h"
#include "kernels/matmul/matmul.h"
#include "libgenossm/model/cuda_scratch.h"
#include "libgenossm/model/spec.h"

namespace genossm {

template <class T>
inline constexpr Precision kPrecisionOf = sizeof(T) == 2 ? Precision::bf16 : Precision::fp32;

// A stretch of one sequence in the rows of a batch, for ops that take one sequence at a time: as in
// SequenceRows, and the place of its first token in the sequence. `history`: the layer's rows of
// that sequence (see History), with room for those of this stretch.
struct CudaSpan {
  Index begin = 0, end = 0;
  Index state = -1;
  bool fresh = true;
  Index position = 0;
  std::byte* history = nullptr;
};

// The sequences of a batch: the table in device memory, and the same here.
struct CudaSequences : Sequences {
  std::span<const CudaSpan> spans;
};

// A tensor's values in device memory; empty where it is not present.
CudaBuffer<float> to_cuda(Cuda& cuda, const Tensor& tensor);
CudaBuffer<float> to_cuda(Cuda& cuda, const Buffer<float>& values);
inline View<const float, 1> view_of(const CudaBuffer<float>& b) { return b.view(); }

// Linear on a GPU.
class CudaLinear {
 public:
  CudaLinear() = default;
  // `order`, `fp8`: see Linear.
  CudaLinear(Device& device, Precision precision, const Tensor& weight, const Tensor& bias,
             std::span<const Index> order = {}, const std::optional<Fp8Scales>& fp8 = {});

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
  // Memory of one op (Cuda::scratch) that a product of so many rows takes.
  Index scratch_bytes(Index rows) const {
    constexpr Index kHalf = sizeof(bf16);
    return (rounds_ ? rows * ((weight_.inputs() + 15) / 16 * 16) * kHalf : 0) + outputs() * kHalf;
  }

 private:
  MatmulWeight weight_;
  CudaBuffer<float> bias_, twice_;
  bool rounds_ = false;  // its inputs, to 8 bits
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
  virtual Index history_bytes() const { return 0; }  // of a token; see History
  virtual Index weight_bytes() const = 0;
  // Bytes a row of mix_both() takes in scratch, or of two mix() calls; segments' states included.
  virtual Index row_bytes() const = 0;
  virtual void reserve(Cuda& cuda, CudaScratch& scratch, Index rows, Index sequences) const = 0;

  virtual void project_in(Cuda& cuda, View<const T, 2> x, View<T, 2> p) const = 0;

  // p [rows, P] -> g [rows, E] in one direction. `states`: null, or memory to which the sequences'
  // states point (forward only). g may be columns of p only if the mixer says so: see result().
  virtual void mix(Cuda& cuda, CudaScratch& scratch, View<const T, 2> p,
                   const CudaSequences& sequences, float* states, bool reverse, bool accumulate,
                   View<T, 2> g) const = 0;

  // Both directions of a tied pair, this one forward and `back` reversed, summed: p -> g. The
  // result may take the place of what p is no longer needed for.
  virtual View<T, 2> mix_both(Cuda& cuda, CudaScratch& scratch, const CudaMixer& back, View<T, 2> p,
                              const CudaSequences& sequences) const = 0;

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
template <class T>
std::unique_ptr<CudaMixer<T>> make_cuda_mixer(Device& device, const StripedSpec& spec);
template <class T>
std::unique_ptr<CudaMixer<T>> make_cuda_mixer(Device& device, const AttentionSpec& spec);

}  // namespace genossm
