#include "libgenossm/model/cuda_mlp.h"

#include "kernels/activation/activation.h"

namespace genossm {

CudaNorm::CudaNorm(Cuda& cuda, const NormSpec& spec)
    : kind(!spec.rms       ? NormKind::layer
           : spec.eps_plus ? NormKind::rms_plus
                           : NormKind::rms),
      eps(spec.eps),
      weight(to_cuda(cuda, spec.weight)),
      bias(to_cuda(cuda, spec.bias)) {}

template <class T>
CudaMlp<T>::CudaMlp(Device& device, const NormSpec& norm, const MlpSpec& spec)
    : kind_(spec.kind),
      norm_(*as_cuda(device), norm),
      fc1_(device, kPrecisionOf<T>, spec.fc1, spec.fc1_bias),
      fc2_(device, kPrecisionOf<T>, spec.fc2, spec.fc2_bias) {
  if (spec.apart()) gate_ = CudaLinear(device, kPrecisionOf<T>, spec.gate, Tensor{});
  F_ = fc2_.weight().inputs();
}

template <class T>
void CudaMlp<T>::reserve(Cuda& cuda, CudaScratch& scratch, Index rows, Index d_model) const {
  scratch.matrix<T>(cuda, kCudaNormedThenConv, rows, d_model);
  scratch.matrix<T>(cuda, kCudaMlp, rows, fc1_.outputs());
  if (gate_columns() > 0) scratch.matrix<T>(cuda, kCudaMlpGate, rows, gate_columns());
}

template <class T>
void CudaMlp<T>::run(Cuda& cuda, CudaScratch& scratch, View<float, 2> x) const {
  using Kind = MlpSpec::Kind;
  const Index L = x.extent[0];
  const View<T, 2> n = scratch.matrix<T>(cuda, kCudaNormedThenConv, L, x.extent[1]);
  norm_.run(cuda, View<const float, 2>(x), n);
  const View<T, 2> both = scratch.matrix<T>(cuda, kCudaMlp, L, fc1_.outputs());
  fc1_.run(cuda, View<const T, 2>(n), both);
  if (kind_ == Kind::gelu_tanh) {
    launch_on(cuda, BasicActivation<T>{.kind = ActivationKind::gelu_tanh, .x = both, .y = both});
    fc2_.run(cuda, View<const T, 2>(both), x, true);
    return;
  }
  const View<T, 2> beside = scratch.matrix<T>(cuda, kCudaMlpGate, L, F_);
  if (kind_ == Kind::gated_silu) {
    launch_on(cuda, BasicActivation<T>{.kind = ActivationKind::silu,
                                       .x = cols(both, 0, F_),
                                       .gate = cols(both, F_, 2 * F_),
                                       .y = beside});
    fc2_.run(cuda, View<const T, 2>(beside), x, true);
    return;
  }
  gate_.run(cuda, View<const T, 2>(n), beside);
  launch_on(cuda, BasicActivation<T>{.kind = kind_ == Kind::apart_silu   ? ActivationKind::silu
                                             : kind_ == Kind::apart_gelu ? ActivationKind::gelu_erf
                                                                         : ActivationKind::identity,
                                     .x = both,
                                     .gate = beside,
                                     .y = both});
  fc2_.run(cuda, View<const T, 2>(both), x, true);
}

template class CudaMlp<float>;
template class CudaMlp<bf16>;

}  // namespace genossm
