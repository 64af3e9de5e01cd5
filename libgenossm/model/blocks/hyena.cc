#include "libgenossm/model/blocks/hyena.h"

#include <algorithm>

#include "kernels/activation/activation.h"
#include "kernels/causal_conv/causal_conv.h"
#include "kernels/hyena_filter/hyena_filter.h"
#include "kernels/long_conv/long_conv.h"

namespace genossm {
namespace {

// Taps are made for so many channels at once that they stay within this, but for no fewer than a
// cache line of channels.
constexpr Index kTapFloats = Index{1} << 20;
constexpr Index kLeastChannels = 16;

int threads_of(Device& device) {
  const Cpu* cpu = std::get_if<Cpu>(&device);
  return cpu == nullptr ? 1 : cpu->threads();
}

// Kept columns: v, times x_{O-1} | x_0 | .. | x_{O-2}.
class Hyena final : public WholeMixer {
 public:
  Hyena(const Placement& place, const HyenaSpec& spec)
      : D_(spec.d_model),
        O_(spec.order),
        W_(spec.taps),
        H_(spec.width),
        E_(spec.emb),
        M_(spec.inner),
        longest_(spec.longest),
        shift_(spec.shift),
        in_(place, spec.in_proj, spec.in_bias),
        out_(place, spec.out_proj, spec.out_bias),
        short_taps_(transposed({spec.short_weight.values.data(), {(O_ + 1) * D_, W_}})),
        short_bias_(copy_of(spec.short_bias)),
        skip_(copy_of(spec.skip)),
        z_(copy_of(spec.z)),
        time_(copy_of(spec.time)),
        first_(transposed(spec.first.view2())),
        first_bias_(copy_of(spec.first_bias)),
        layers_(M_ * H_ * H_),
        layer_bias_(M_ * H_),
        freq_(copy_of(spec.freq)),
        last_(transposed(spec.last.view2())),
        deltas_(copy_of(spec.deltas)) {
    for (Index i = 0; i < M_; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const Buffer<float> turned = transposed(spec.layer[at].view2());
      std::copy(turned.begin(), turned.end(), layers_.data() + i * H_ * H_);
      std::copy(spec.layer_bias[at].values.begin(), spec.layer_bias[at].values.end(),
                layer_bias_.data() + i * H_);
    }
  }

  Index kept() const override { return O_ * D_; }
  // The trunk, the taps of the fewest channels, and two complex numbers a lane and element of a
  // transform, which is at most a quarter longer than the sequence, and its twiddle.
  Index row_floats() const override { return H_ + kLeastChannels + 5 * long_conv_lanes() + 3; }
  Index fixed_floats() const override { return kTapFloats; }
  Index scratch_columns() const override { return (O_ + 3) * D_; }
  Index carried() const override { return (W_ - 1) * (O_ + 1) * D_; }
  Index weight_bytes() const override {
    return in_.bytes() + out_.bytes() +
           4 * (z_.size() + time_.size() + layers_.size() + last_.size());
  }
  bool rows_independent() const override {
    return in_.rows_independent() && out_.rows_independent();
  }

  void enter(Device& device, Scratch& scratch, View<const float, 2> x,
             std::span<const Piece> pieces, View<float, 2> kept) const override {
    const Index n = x.extent[0], channels = (O_ + 1) * D_;
    const View<float, 2> p = scratch.staggered(kSlotProjected, n, channels);
    const View<float, 2> last_two = scratch.matrix(kSlotConv, n, 2 * D_);
    in_.run(device, x, p);
    for (const Piece& piece : pieces) {
      if (piece.fresh) std::fill_n(piece.state, carried(), 0.0f);
      // x_0 .. x_{O-2} go to where they are kept, x_{O-1} and v aside.
      for (const bool gates : {true, false}) {
        const Index begin = gates ? 0 : (O_ - 1) * D_, end = gates ? (O_ - 1) * D_ : channels;
        const View<float, 2> to = gates ? cols(kept, D_, O_ * D_) : last_two;
        launch(device,
               CausalConv{
                   .x = rows(cols(View<const float, 2>(p), begin, end), piece.begin, piece.end),
                   .w = cols(View<const float, 2>(short_taps_.matrix(W_, channels)), begin, end),
                   .bias = {short_bias_.data() + begin, {end - begin}},
                   .silu = false,
                   .tail = cols(View<float, 2>(piece.state, {W_ - 1, channels}), begin, end),
                   .y = rows(to, piece.begin, piece.end)});
      }
    }
    launch(device, Activation{.kind = Activation::Kind::identity,
                              .x = cols(last_two, D_, 2 * D_),
                              .gate = cols(last_two, 0, D_),
                              .y = cols(kept, 0, D_)});
  }

  void mix(Device& device, Scratch& scratch, std::span<const Piece> pieces,
           View<float, 2> kept) const override {
    Index longest = 0;
    for (const Piece& piece : pieces) longest = std::max(longest, piece.end - piece.begin);
    require(longest <= longest_, Fault::internal, "hyena: a sequence longer than the filter");
    if (longest == 0) return;
    const View<float, 2> trunk = scratch.matrix(kSlotTrunk, longest, H_);
    launch(device, HyenaTrunk{.z = {z_.data(), {longest, E_}},
                              .w0 = first_.matrix(E_, H_),
                              .b0 = view_of(first_bias_),
                              .w = {layers_.data(), {M_, H_, H_}},
                              .b = layer_bias_.matrix(M_, H_),
                              .freq = view_of(freq_),
                              .a = trunk});
    const Index work = long_conv_work(longest, threads_of(device));
    const View<float, 1> fft(scratch.matrix(kSlotFft, 1, work).data, {work});
    const Index at_once = std::clamp<Index>(kTapFloats / longest / kLeastChannels * kLeastChannels,
                                            kLeastChannels, D_);
    for (Index o = 0; o + 1 < O_; ++o) {
      for (Index c = 0; c < D_; c += at_once) {
        const Index end = std::min(D_, c + at_once), n = end - c;
        const View<float, 2> taps = scratch.matrix(kSlotTaps, longest, n);
        const Index from = o * D_ + c;  // channel of the filter: (o d)
        launch(device, HyenaTaps{.a = trunk,
                                 .w = cols(View<const float, 2>(last_.matrix(H_, (O_ - 1) * D_)),
                                           from, from + n),
                                 .time = {time_.data(), {longest}},
                                 .deltas = {deltas_.data() + from, {n}},
                                 .shift = shift_,
                                 .h = taps});
        // The gate of convolution o is x_{O-2-o}.
        const Index gate = (O_ - 1 - o) * D_ + c;
        for (const Piece& piece : pieces) {
          const View<float, 2> part = rows(kept, piece.begin, piece.end);
          launch(device, LongConv{.u = cols(part, c, end),
                                  .h = taps,
                                  .skip = {skip_.data() + from, {n}},
                                  .gate = cols(part, gate, gate + n),
                                  .y = cols(part, c, end),
                                  .work = fft});
        }
      }
    }
  }

  void leave(Device& device, View<const float, 2> kept, View<float, 2> y) const override {
    out_.run(device, cols(kept, 0, D_), y, true);
  }

  Index convolved() const override { return (O_ - 1) * D_; }
  std::vector<Product> products_in() const override { return {{&in_, false}}; }
  std::vector<Product> products_out() const override { return {{&out_, true}}; }

 private:
  Index D_, O_, W_, H_, E_, M_, longest_;
  float shift_;
  Linear in_, out_;
  Buffer<float> short_taps_, short_bias_;  // [W, (O+1)D], [(O+1)D]
  Buffer<float> skip_;                     // [(O-1)D]
  Buffer<float> z_, time_;                 // [longest, E], [longest]
  Buffer<float> first_, first_bias_;       // [E, H], [H]
  Buffer<float> layers_, layer_bias_;      // [M, H, H] (inputs, outputs), [M, H]
  Buffer<float> freq_;                     // [H]
  Buffer<float> last_;                     // [H, (O-1)D]
  Buffer<float> deltas_;                   // [(O-1)D]
};

}  // namespace

std::unique_ptr<WholeMixer> make_whole_mixer(const Placement& place, const HyenaSpec& spec) {
  return std::make_unique<Hyena>(place, spec);
}

}  // namespace genossm
