// The Hyena operator on a GPU, in the steps of blocks/hyena.cc. Whatever the precision, only the
// matrix products of in_proj and out_proj are in it: convolutions, gates and filters are float32.
#include <algorithm>

#include "kernels/causal_conv/causal_conv.h"
#include "kernels/hyena_filter/hyena_filter.h"
#include "kernels/long_conv/long_conv.h"
#include "libgenossm/model/blocks/linear.h"
#include "libgenossm/model/cuda_whole.h"

namespace genossm {
namespace {

// Taps are made for so many channels at once that they stay within this, but for no fewer than a
// block of threads makes side by side.
constexpr Index kTapFloats = Index{1} << 24;
constexpr Index kLeastChannels = 64;

template <class T>
class CudaHyena final : public CudaWhole<T> {
 public:
  CudaHyena(Device& device, const HyenaSpec& spec)
      : D_(spec.d_model),
        O_(spec.order),
        W_(spec.taps),
        H_(spec.width),
        E_(spec.emb),
        M_(spec.inner),
        longest_(spec.longest),
        shift_(spec.shift),
        in_(device, kPrecisionOf<T>, spec.in_proj, spec.in_bias),
        out_(device, kPrecisionOf<T>, spec.out_proj, spec.out_bias) {
    Cuda& cuda = *as_cuda(device);
    short_taps_ = to_cuda(cuda, transposed({spec.short_weight.values.data(), {(O_ + 1) * D_, W_}}));
    short_bias_ = to_cuda(cuda, spec.short_bias);
    skip_ = to_cuda(cuda, spec.skip);
    z_ = to_cuda(cuda, spec.z);
    time_ = to_cuda(cuda, spec.time);
    first_ = to_cuda(cuda, transposed(spec.first.view2()));
    first_bias_ = to_cuda(cuda, spec.first_bias);
    Buffer<float> layers(M_ * H_ * H_), layer_bias(M_ * H_);
    for (Index i = 0; i < M_; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const Buffer<float> turned = transposed(spec.layer[at].view2());
      std::copy(turned.begin(), turned.end(), layers.data() + i * H_ * H_);
      std::copy(spec.layer_bias[at].values.begin(), spec.layer_bias[at].values.end(),
                layer_bias.data() + i * H_);
    }
    layers_ = to_cuda(cuda, layers);
    layer_bias_ = to_cuda(cuda, layer_bias);
    freq_ = to_cuda(cuda, spec.freq);
    last_ = to_cuda(cuda, transposed(spec.last.view2()));
    deltas_ = to_cuda(cuda, spec.deltas);
  }

  Index weight_bytes() const override {
    return in_.bytes() + out_.bytes() + z_.bytes() + time_.bytes() + layers_.bytes() +
           last_.bytes();
  }
  // The projections, what the short convolution leaves, what out_proj reads, the trunk and the
  // fewest taps of the longest sequence, and its planes.
  Index row_bytes() const override {
    return ((2 * O_ + 1) * D_ + H_ + kLeastChannels + 6) * Index{sizeof(float)} +
           D_ * Index{sizeof(T)} + kLongConvCudaRowBytes;
  }
  Index fixed_bytes() const override {
    return kTapFloats * Index{sizeof(float)} + long_conv_cuda_bytes(1);
  }

  void reserve(Cuda& cuda, CudaScratch& scratch, Index rows) const override {
    buffers(cuda, scratch, rows, std::min(rows, longest_));
    cuda.scratch(long_conv_cuda_bytes(std::min(rows, longest_)));
  }

  void run(Cuda& cuda, CudaScratch& scratch, View<const T, 2> n, const Sequences& sequences,
           View<float, 2> x) const override {
    Index longest = 0;
    for (Index i = 0; i < sequences.on_host.extent[0]; ++i) {
      const SequenceRows& rows = sequences.on_host.data[i];
      longest = std::max(longest, rows.end - rows.begin);
    }
    require(longest <= longest_, Fault::internal, "hyena: a sequence longer than the filter");
    if (longest == 0) return;
    const Buffers b = buffers(cuda, scratch, n.extent[0], longest);
    in_.run(cuda, n, b.projected);
    // Kept columns: x_0 | .. | x_{O-2} | v times x_{O-1}.
    const View<float, 2> gates = cols(b.kept, 0, (O_ - 1) * D_);
    const View<float, 2> v = cols(b.kept, (O_ - 1) * D_, O_ * D_);
    launch_on(cuda, GatedConvSet{.x = b.projected,
                                 .w = short_taps_.matrix(W_, (O_ + 1) * D_),
                                 .bias = view_of(short_bias_),
                                 .sequences = sequences,
                                 .gates = gates,
                                 .v = v});
    launch_on(cuda, HyenaTrunk{.z = z_.matrix(longest, E_),
                               .w0 = first_.matrix(E_, H_),
                               .b0 = view_of(first_bias_),
                               .w = {layers_.data(), {M_, H_, H_}},
                               .b = layer_bias_.matrix(M_, H_),
                               .freq = view_of(freq_),
                               .a = b.trunk});
    for (Index o = 0; o + 1 < O_; ++o) {
      for (Index c = 0; c < D_; c += b.taps.extent[1]) {
        const Index end = std::min(D_, c + b.taps.extent[1]), from = o * D_ + c;
        const View<float, 2> taps = cols(b.taps, 0, end - c);
        launch_on(cuda, HyenaTaps{.a = b.trunk,
                                  .w = cols(View<const float, 2>(last_.matrix(H_, (O_ - 1) * D_)),
                                            from, from + end - c),
                                  .time = {time_.data(), {longest}},
                                  .deltas = {deltas_.data() + from, {end - c}},
                                  .shift = shift_,
                                  .h = taps});
        // The gate of convolution o is x_{O-2-o}; the last result is what out_proj reads.
        const View<const float, 2> gate =
            cols(View<const float, 2>(gates), (O_ - 2 - o) * D_ + c, (O_ - 2 - o) * D_ + end);
        const View<const float, 1> skip(skip_.data() + from, {end - c});
        const View<float, 2> u = cols(v, c, end);
        if (o + 2 < O_) {
          launch_on(cuda, LongConvSet<float>{
                              .op = {.u = u, .h = taps, .skip = skip, .gate = gate, .y = u},
                              .sequences = sequences});
        } else {
          launch_on(
              cuda,
              LongConvSet<T>{
                  .op = {.u = u, .h = taps, .skip = skip, .gate = gate, .y = cols(b.mixed, c, end)},
                  .sequences = sequences});
        }
      }
    }
    out_.run(cuda, View<const T, 2>(b.mixed), x, true);
  }

 private:
  struct Buffers {
    View<float, 2> projected, kept, trunk, taps;
    View<T, 2> mixed;
  };
  Buffers buffers(Cuda& cuda, CudaScratch& scratch, Index rows, Index longest) const {
    const Index at_once = std::clamp<Index>(
        kTapFloats / std::max<Index>(longest, 1) / kLeastChannels * kLeastChannels, kLeastChannels,
        (D_ + kLeastChannels - 1) / kLeastChannels * kLeastChannels);
    return {scratch.matrix<float>(cuda, kCudaProjected, rows, (O_ + 1) * D_),
            scratch.matrix<float>(cuda, kCudaConvBack, rows, O_ * D_),
            scratch.matrix<float>(cuda, kCudaLow, longest, H_),
            scratch.matrix<float>(cuda, kCudaStep, longest, at_once),
            scratch.matrix<T>(cuda, kCudaMixed, rows, D_)};
  }

  Index D_, O_, W_, H_, E_, M_, longest_;
  float shift_;
  CudaLinear in_, out_;
  CudaBuffer<float> short_taps_, short_bias_;  // [W, (O+1)D], [(O+1)D]
  CudaBuffer<float> skip_;                     // [(O-1)D]
  CudaBuffer<float> z_, time_;                 // [longest, E], [longest]
  CudaBuffer<float> first_, first_bias_;       // [E, H], [H]
  CudaBuffer<float> layers_, layer_bias_;      // [M, H, H] (inputs, outputs), [M, H]
  CudaBuffer<float> freq_;                     // [H]
  CudaBuffer<float> last_;                     // [H, (O-1)D]
  CudaBuffer<float> deltas_;                   // [(O-1)D]
};

}  // namespace

template <class T>
std::unique_ptr<CudaWhole<T>> make_cuda_whole(Device& device, const HyenaSpec& spec) {
  return std::make_unique<CudaHyena<T>>(device, spec);
}
template std::unique_ptr<CudaWhole<float>> make_cuda_whole(Device&, const HyenaSpec&);
template std::unique_ptr<CudaWhole<bf16>> make_cuda_whole(Device&, const HyenaSpec&);

}  // namespace genossm
