// CudaMlp: the channel MLP of a block with the norm before it, on a GPU; see Block::mlp. T is float
// or bf16.
#pragma once

#include "kernels/norm/norm.h"
#include "libgenossm/model/cuda_mixer.h"

namespace genossm {

// A NormSpec on a GPU.
struct CudaNorm {
  NormKind kind = NormKind::rms;
  float eps = 1e-5f;
  CudaBuffer<float> weight, bias;

  CudaNorm() = default;
  CudaNorm(Cuda& cuda, const NormSpec& spec);

  template <class Y>
  void run(Cuda& cuda, View<const float, 2> x, View<Y, 2> y) const {
    launch_on(cuda, BasicNorm<float, Y>{.x = x,
                                        .weight = view_of(weight),
                                        .bias = view_of(bias),
                                        .kind = kind,
                                        .eps = eps,
                                        .y = y});
  }
};

template <class T>
class CudaMlp {
 public:
  CudaMlp(Device& device, const NormSpec& norm, const MlpSpec& spec);

  Index weight_bytes() const { return fc1_.bytes() + gate_.bytes() + fc2_.bytes(); }
  // Elements of scratch that a row takes, beside its normed channels.
  Index row_elements() const { return fc1_.outputs() + gate_columns(); }
  void reserve(Cuda& cuda, CudaScratch& scratch, Index rows, Index d_model) const;

  // x += mlp(norm(x)), x [rows, D].
  void run(Cuda& cuda, CudaScratch& scratch, View<float, 2> x) const;

 private:
  // Of what stands beside the result of fc1: the gate, or the gated product.
  Index gate_columns() const { return kind_ == MlpSpec::Kind::gelu_tanh ? 0 : F_; }

  MlpSpec::Kind kind_;
  Index F_ = 0;  // hidden width
  CudaNorm norm_;
  CudaLinear fc1_, gate_, fc2_;
};

}  // namespace genossm
