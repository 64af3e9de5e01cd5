#include <cmath>

#include "kernels/causal_conv/causal_conv.h"
#include "kernels/selective_scan/selective_scan.h"
#include "libgenossm/model/blocks/linear.h"
#include "libgenossm/model/cuda_mixer.h"

namespace genossm {
namespace {

Buffer<float> negative_exp(Buffer<float> values) {
  for (float& a : values) a = -std::exp(a);
  return values;
}

template <class T>
class CudaMamba1 final : public CudaMixer<T> {
 public:
  CudaMamba1(Device& device, const Mamba1Spec& spec, const Mamba1Spec& projections)
      : E_(spec.d_inner),
        N_(spec.d_state),
        W_(spec.d_conv),
        R_(spec.dt_rank),
        in_(device, kPrecisionOf<T>, projections.in_proj, projections.in_bias),
        x_proj_(device, kPrecisionOf<T>, spec.x_proj, Tensor{}),
        dt_proj_(device, kPrecisionOf<T>, spec.dt_proj, Tensor{}),
        out_(device, kPrecisionOf<T>, projections.out_proj, projections.out_bias) {
    Cuda& cuda = *as_cuda(device);
    taps_ = to_cuda(cuda, transposed({spec.conv_weight.values.data(), {E_, W_}}));
    conv_bias_ = to_cuda(cuda, spec.conv_bias_term);
    dt_bias_ = to_cuda(cuda, spec.dt_bias);
    A_ = to_cuda(cuda, negative_exp(transposed(spec.A_log.view2())));
    skip_ = to_cuda(cuda, spec.skip);
  }

  Index projected() const override { return 2 * E_; }
  Index mixed() const override { return E_; }
  Index state_size() const override { return (W_ - 1 + N_) * E_; }
  Index weight_bytes() const override {
    return in_.bytes() + x_proj_.bytes() + dt_proj_.bytes() + out_.bytes() + taps_.bytes() +
           A_.bytes();
  }
  Index row_bytes() const override {
    const Index ends = 2 * E_ * (N_ + 1) * Index{sizeof(float)} / kCudaSegment + 1;
    return (4 * E_ + 2 * (R_ + 2 * N_)) * Index{sizeof(T)} + ends;
  }

  void reserve(Cuda& cuda, CudaScratch& scratch, Index rows, Index sequences) const override {
    for (const bool back : {false, true}) buffers(cuda, scratch, rows, back);
    const Index segments = rows / kCudaSegment + sequences + 1;
    for (Cuda* stream : {&cuda, &cuda.beside()}) {
      stream->scratch(segments * E_ * (N_ + 1) * Index{sizeof(float)} + 1024);
    }
  }

  void project_in(Cuda& cuda, View<const T, 2> x, View<T, 2> p) const override {
    in_.run(cuda, x, p);
  }

  void mix(Cuda& cuda, CudaScratch& scratch, View<const T, 2> p, const CudaSequences& sequences,
           float* states, bool reverse, bool accumulate, View<T, 2> g) const override {
    require(!accumulate, Fault::internal, "mamba1: directions are summed by mix_both");
    const Buffers b = buffers(cuda, scratch, p.extent[0], reverse);
    CausalConvSet<T> conv{.x = cols(p, 0, E_), .sequences = sequences, .tails = states};
    (reverse ? conv.reverse : conv.forward) = convolution(b);
    launch_on(cuda, conv);
    project_steps(cuda, b);
    BasicSelectiveScan<T> op = scan(b, g);
    op.z = cols(p, E_, 2 * E_);
    launch_on(cuda,
              SelectiveScanSet<T>{.op = op,
                                  .reverse = reverse,
                                  .sequences = sequences,
                                  .states = states == nullptr ? nullptr : states + (W_ - 1) * E_});
  }

  View<T, 2> mix_both(Cuda& cuda, CudaScratch& scratch, const CudaMixer<T>& other, View<T, 2> p,
                      const CudaSequences& sequences) const override {
    const auto& back = dynamic_cast<const CudaMamba1&>(other);
    const Buffers f = buffers(cuda, scratch, p.extent[0], false);
    const Buffers r = back.buffers(cuda, scratch, p.extent[0], true);
    launch_on(cuda, CausalConvSet<T>{.x = cols(p, 0, E_),
                                     .forward = convolution(f),
                                     .reverse = back.convolution(r),
                                     .sequences = sequences});
    // The convolution's input is no longer needed.
    const View<T, 2> g = cols(p, 0, E_);
    // One direction's products run beside the other's scan, and both together where a sequence is
    // too short for one to fill the device. The gate belongs to the sum.
    Cuda& beside = cuda.beside();
    beside.follow(cuda);
    project_steps(cuda, f);
    back.project_steps(beside, r);
    launch_on(cuda, SelectiveScanSet<T>{.op = scan(f, g), .sequences = sequences});
    BasicSelectiveScan<T> op = back.scan(r, g);
    op.z = cols(p, E_, 2 * E_);
    op.accumulate = op.gate_sum = true;
    launch_on(beside, SelectiveScanSet<T>{
                          .op = op, .reverse = true, .sequences = sequences, .after = &cuda});
    cuda.follow(beside);
    return g;
  }

  void project_out(Cuda& cuda, View<const T, 2> g, bool accumulate, int times,
                   View<float, 2> y) const override {
    out_.run(cuda, g, y, accumulate, times);
  }

 private:
  struct Buffers {
    View<T, 2> conv, low, step;
  };
  Buffers buffers(Cuda& cuda, CudaScratch& scratch, Index rows, bool back) const {
    return {scratch.matrix<T>(cuda, back ? kCudaConvBack : kCudaNormedThenConv, rows, E_),
            scratch.matrix<T>(cuda, back ? kCudaLowBack : kCudaLow, rows, R_ + 2 * N_),
            scratch.matrix<T>(cuda, back ? kCudaStepBack : kCudaStep, rows, E_)};
  }

  typename CausalConvSet<T>::Direction convolution(const Buffers& b) const {
    return {taps_.matrix(W_, E_), view_of(conv_bias_), b.conv};
  }

  void project_steps(Cuda& cuda, const Buffers& b) const {
    x_proj_.run(cuda, View<const T, 2>(b.conv), b.low);
    launch_on(cuda, BasicMatmul<T, T>{.x = cols(View<const T, 2>(b.low), 0, R_),
                                      .weight = &dt_proj_.weight(),
                                      .bias = view_of(dt_bias_),
                                      .y = b.step,
                                      .softplus = true});
  }

  // Without the gate.
  BasicSelectiveScan<T> scan(const Buffers& b, View<T, 2> g) const {
    const Index L = b.low.extent[0], stride = b.low.stride[0];
    return {.u = b.conv,
            .dt = b.step,
            .softplus = false,
            .A = A_.matrix(N_, E_),
            .B = {b.low.data + R_, {L, 1, N_}, {stride, N_, 1}},
            .C = {b.low.data + R_ + N_, {L, 1, N_}, {stride, N_, 1}},
            .skip = view_of(skip_),
            .y = g};
  }

  Index E_, N_, W_, R_;
  CudaLinear in_, x_proj_, dt_proj_, out_;
  CudaBuffer<float> taps_, conv_bias_, dt_bias_, A_, skip_;
};

}  // namespace

template <class T>
std::unique_ptr<CudaMixer<T>> make_cuda_mixer(Device& device, const Mamba1Spec& spec,
                                              const Mamba1Spec& projections) {
  return std::make_unique<CudaMamba1<T>>(device, spec, projections);
}
template std::unique_ptr<CudaMixer<float>> make_cuda_mixer(Device&, const Mamba1Spec&,
                                                           const Mamba1Spec&);
template std::unique_ptr<CudaMixer<bf16>> make_cuda_mixer(Device&, const Mamba1Spec&,
                                                          const Mamba1Spec&);

}  // namespace genossm
