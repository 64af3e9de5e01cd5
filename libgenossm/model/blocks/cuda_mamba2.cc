#include <cmath>

#include "kernels/activation/activation.h"
#include "kernels/causal_conv/causal_conv.h"
#include "kernels/norm/norm.h"
#include "kernels/ssd/ssd.h"
#include "libgenossm/model/blocks/linear.h"
#include "libgenossm/model/cuda_mixer.h"

namespace genossm {
namespace {

template <class T>
class CudaMamba2 final : public CudaMixer<T> {
 public:
  CudaMamba2(Device& device, const Mamba2Spec& spec, const Mamba2Spec& projections)
      : E_(spec.d_inner),
        S_(spec.d_ssm),
        N_(spec.d_state),
        W_(spec.d_conv),
        H_(spec.heads),
        P_(spec.headdim),
        G_(spec.groups),
        channels_(spec.conv_channels()),
        projected_(spec.projected()),
        norm_(spec.norm),
        norm_before_gate_(spec.norm_before_gate),
        norm_group_(spec.grouped_norm ? spec.d_ssm / spec.groups : 0),
        norm_eps_(spec.norm_eps),
        dt_min_(spec.dt_min),
        dt_max_(spec.dt_max),
        in_(device, kPrecisionOf<T>, projections.in_proj, projections.in_bias),
        out_(device, kPrecisionOf<T>, projections.out_proj, projections.out_bias) {
    Cuda& cuda = *as_cuda(device);
    taps_ = to_cuda(cuda, transposed({spec.conv_weight.values.data(), {channels_, W_}}));
    conv_bias_ = to_cuda(cuda, spec.conv_bias_term);
    dt_bias_ = to_cuda(cuda, spec.dt_bias);
    Buffer<float> A = copy_of(spec.A_log), skip(S_);
    for (float& a : A) a = -std::exp(a);
    for (Index c = 0; c < S_; ++c) skip[c] = spec.skip.values[spec.skip_per_channel ? c : c / P_];
    A_ = to_cuda(cuda, A);
    skip_ = to_cuda(cuda, skip);
    norm_weight_ = to_cuda(cuda, spec.norm_weight);
  }

  Index projected() const override { return projected_; }
  Index mixed() const override { return E_; }
  Index state_size() const override { return (W_ - 1) * channels_ + H_ * (N_ * P_ + 1); }
  Index weight_bytes() const override { return in_.bytes() + out_.bytes() + taps_.bytes(); }
  Index row_bytes() const override {
    const Index ends = H_ * (N_ * P_ + 1) * Index{sizeof(float)} / kCudaSegment + 1;
    return (channels_ + S_ + E_) * Index{sizeof(T)} + ends;
  }

  void reserve(Cuda& cuda, CudaScratch& scratch, Index rows, Index sequences) const override {
    buffers(cuda, scratch, rows);
    scratch.matrix<T>(cuda, kCudaMixed, rows, E_);
    const Index segments = rows / kCudaSegment + sequences + 1;
    cuda.scratch(segments * H_ * (N_ * P_ + 1) * Index{sizeof(float)} + 1024);
  }

  void project_in(Cuda& cuda, View<const T, 2> x, View<T, 2> p) const override {
    in_.run(cuda, x, p);
  }

  void mix(Cuda& cuda, CudaScratch& scratch, View<const T, 2> p, const CudaSequences& sequences,
           float* states, bool reverse, bool accumulate, View<T, 2> g) const override {
    // Columns of p: z0 (M) | x0 (M) | z (S) | xBC | dt (H), with M = E - S.
    const Index L = p.extent[0], M = E_ - S_, at_conv = 2 * M + S_;
    const Buffers b = buffers(cuda, scratch, L);
    CausalConvSet<T> conv{
        .x = cols(p, at_conv, at_conv + channels_), .sequences = sequences, .tails = states};
    (reverse ? conv.reverse : conv.forward) = typename CausalConvSet<T>::Direction{
        .w = taps_.matrix(W_, channels_), .bias = view_of(conv_bias_), .y = b.conv};
    launch_on(cuda, conv);
    const Index stride = b.conv.stride[0];
    const View<const T, 2> z = cols(p, 2 * M, 2 * M + S_);
    const View<T, 2> result = cols(g, M, E_);
    // Without the norm the gate belongs to the scan and its result is final.
    const View<T, 2> y = norm_ ? b.y : result;
    launch_on(cuda,
              SsdSet<T>{.op = {.x = cols(View<const T, 2>(b.conv), 0, S_),
                               .dt = cols(p, at_conv + channels_, projected_),
                               .dt_bias = view_of(dt_bias_),
                               .dt_min = dt_min_,
                               .dt_max = dt_max_,
                               .A = view_of(A_),
                               .B = {b.conv.data + S_, {L, G_, N_}, {stride, N_, 1}},
                               .C = {b.conv.data + S_ + G_ * N_, {L, G_, N_}, {stride, N_, 1}},
                               .skip = view_of(skip_),
                               .z = norm_ ? View<const T, 2>() : z,
                               .y = y,
                               .accumulate = norm_ ? false : accumulate},
                        .reverse = reverse,
                        .sequences = sequences,
                        .states = states == nullptr ? nullptr : states + (W_ - 1) * channels_});
    if (norm_) {
      launch_on(cuda,
                BasicNorm<T, T>{.x = y,
                                .weight = view_of(norm_weight_),
                                .z = z,
                                .kind = NormKind::rms,
                                .gate = norm_before_gate_ ? NormGate::after : NormGate::before,
                                .eps = norm_eps_,
                                .group = norm_group_,
                                .y = result,
                                .accumulate = accumulate});
    }
    if (M > 0) {
      launch_on(cuda, BasicActivation<T>{.kind = ActivationKind::silu,
                                         .x = cols(p, M, 2 * M),
                                         .gate = cols(p, 0, M),
                                         .y = cols(g, 0, M),
                                         .accumulate = accumulate});
    }
  }

  View<T, 2> mix_both(Cuda& cuda, CudaScratch& scratch, const CudaMixer<T>& back, View<T, 2> p,
                      const CudaSequences& sequences) const override {
    const View<T, 2> g = scratch.matrix<T>(cuda, kCudaMixed, p.extent[0], E_);
    mix(cuda, scratch, p, sequences, nullptr, false, false, g);
    back.mix(cuda, scratch, p, sequences, nullptr, true, true, g);
    return g;
  }

  void project_out(Cuda& cuda, View<const T, 2> g, bool accumulate, int times,
                   View<float, 2> y) const override {
    out_.run(cuda, g, y, accumulate, times);
  }

 private:
  struct Buffers {
    View<T, 2> conv, y;
  };
  Buffers buffers(Cuda& cuda, CudaScratch& scratch, Index rows) const {
    return {scratch.matrix<T>(cuda, kCudaNormedThenConv, rows, channels_),
            scratch.matrix<T>(cuda, kCudaStep, rows, S_)};
  }

  Index E_, S_, N_, W_, H_, P_, G_, channels_, projected_;
  bool norm_, norm_before_gate_;
  Index norm_group_;
  float norm_eps_, dt_min_, dt_max_;
  CudaLinear in_, out_;
  CudaBuffer<float> taps_, conv_bias_, dt_bias_, A_, skip_, norm_weight_;
};

}  // namespace

template <class T>
std::unique_ptr<CudaMixer<T>> make_cuda_mixer(Device& device, const Mamba2Spec& spec,
                                              const Mamba2Spec& projections) {
  return std::make_unique<CudaMamba2<T>>(device, spec, projections);
}
template std::unique_ptr<CudaMixer<float>> make_cuda_mixer(Device&, const Mamba2Spec&,
                                                           const Mamba2Spec&);
template std::unique_ptr<CudaMixer<bf16>> make_cuda_mixer(Device&, const Mamba2Spec&,
                                                          const Mamba2Spec&);

}  // namespace genossm
