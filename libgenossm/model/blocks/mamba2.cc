#include "libgenossm/model/blocks/mamba2.h"

#include <algorithm>
#include <cmath>

#include "kernels/activation/activation.h"
#include "kernels/causal_conv/causal_conv.h"
#include "kernels/norm/norm.h"
#include "kernels/ssd/ssd.h"

namespace genossm {
namespace {

class Mamba2 final : public Mixer {
 public:
  Mamba2(const Placement& place, const Mamba2Spec& spec, const Mamba2Spec& projections)
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
        in_(place, projections.in_proj, projections.in_bias),
        out_(place, projections.out_proj, projections.out_bias),
        taps_(transposed({spec.conv_weight.values.data(), {channels_, W_}})),
        conv_bias_(copy_of(spec.conv_bias_term)),
        dt_bias_(copy_of(spec.dt_bias)),
        A_(copy_of(spec.A_log)),
        skip_(S_),
        norm_weight_(copy_of(spec.norm_weight)) {
    for (float& a : A_) a = -std::exp(a);
    for (Index c = 0; c < S_; ++c) skip_[c] = spec.skip.values[spec.skip_per_channel ? c : c / P_];
  }

  Index projected() const override { return projected_; }
  Index mixed() const override { return E_; }
  Index state_size() const override { return (W_ - 1) * channels_ + H_ * (N_ * P_ + 1); }
  Index stepping() const override { return H_; }
  Index scratch_columns() const override { return channels_ + S_; }
  Index weight_bytes() const override { return in_.bytes() + out_.bytes() + 4 * taps_.size(); }

  bool rows_independent() const override {
    return in_.rows_independent() && out_.rows_independent();
  }

  void project_in(Device& device, View<const float, 2> x, View<float, 2> p) const override {
    in_.run(device, x, p);
  }

  void mix(Device& device, Scratch& scratch, View<const float, 2> p, std::span<const Piece> pieces,
           bool reverse, bool /*gated: always*/, bool accumulate, View<float, 2> g) const override {
    const Index L = p.extent[0];
    const auto along = [&](auto view, const Piece& piece) {
      const auto part = rows(view, piece.begin, piece.end);
      return reverse ? flip_rows(part) : part;
    };
    // Columns of p: z0 (M) | x0 (M) | z (S) | xBC | dt (H), with M = E - S.
    const Index M = E_ - S_;
    const View<const float, 2> z = cols(p, 2 * M, 2 * M + S_);
    const Index at_conv = 2 * M + S_;
    const View<const float, 2> xBC = cols(p, at_conv, at_conv + channels_);
    const View<const float, 2> dt = cols(p, at_conv + channels_, projected_);

    const View<float, 2> c = scratch.matrix(kSlotConv, L, channels_);
    const View<const float, 2> x = cols(View<const float, 2>(c), 0, S_);
    const View<const float, 3> B(c.data + S_, {L, G_, N_}, {c.stride[0], N_, 1});
    const View<const float, 3> C(c.data + S_ + G_ * N_, {L, G_, N_}, {c.stride[0], N_, 1});
    const View<float, 2> result = cols(g, M, E_);
    // Without the norm the gate belongs to the scan and its result is final.
    const View<float, 2> y = norm_ ? scratch.matrix(kSlotSsd, L, S_) : result;
    for (const Piece& piece : pieces) {
      float* const h = piece.state + (W_ - 1) * channels_;
      float* const scale = h + H_ * N_ * P_;
      if (piece.fresh) {
        std::fill(piece.state, scale, 0.0f);
        std::fill_n(scale, H_, 1.0f);
      }
      launch(device, CausalConv{.x = along(xBC, piece),
                                .w = taps_.matrix(W_, channels_),
                                .bias = view_of(conv_bias_),
                                .silu = true,
                                .tail = {piece.state, {W_ - 1, channels_}},
                                .y = along(c, piece)});
      const Ssd ssd{.x = along(x, piece),
                    .dt = along(dt, piece),
                    .dt_bias = view_of(dt_bias_),
                    .dt_min = dt_min_,
                    .dt_max = dt_max_,
                    .A = view_of(A_),
                    .B = along(B, piece),
                    .C = along(C, piece),
                    .skip = view_of(skip_),
                    .z = norm_ ? View<const float, 2>() : along(z, piece),
                    .h = {h, {H_, N_, P_}},
                    .scale = {scale, {H_}},
                    .y = along(y, piece),
                    .accumulate = norm_ ? false : accumulate};
      if (piece.probe != nullptr && piece.probe->wants_steps()) {
        step_by_step(device, scratch, ssd, piece, reverse);
      } else {
        launch(device, ssd);
      }
    }
    if (norm_) {
      launch(device, Norm{.x = y,
                          .weight = view_of(norm_weight_),
                          .z = z,
                          .kind = Norm::Kind::rms,
                          .gate = norm_before_gate_ ? Norm::Gate::after : Norm::Gate::before,
                          .eps = norm_eps_,
                          .group = norm_group_,
                          .y = result,
                          .accumulate = accumulate});
    }
    if (M > 0) {
      launch(device, Activation{.kind = Activation::Kind::silu,
                                .x = cols(p, M, 2 * M),
                                .gate = cols(p, 0, M),
                                .y = cols(g, 0, M),
                                .accumulate = accumulate});
    }
  }

  // The same bits by the law of the op.
  void step_by_step(Device& device, Scratch& scratch, const Ssd& ssd, const Piece& piece,
                    bool reverse) const {
    const Index L = ssd.x.extent[0];
    const View<float, 1> room(scratch.matrix(kSlotDelta, 1, H_).data, {H_});
    for (Index t = 0; t < L; ++t) {
      Ssd one = ssd;
      one.x = rows(ssd.x, t, t + 1);
      one.dt = rows(ssd.dt, t, t + 1);
      one.B = rows(ssd.B, t, t + 1);
      one.C = rows(ssd.C, t, t + 1);
      one.z = rows(ssd.z, t, t + 1);
      one.y = rows(ssd.y, t, t + 1);
      launch(device, one);
      piece.probe->step({piece.position + (reverse ? L - 1 - t : t),
                         reverse,
                         piece.fresh && t == 0,
                         step_sizes({one.dt.data, {H_}}, ssd.dt_bias, dt_min_, dt_max_, room),
                         A_.matrix(1, H_),
                         {ssd.h.data, {H_, N_ * P_}},
                         ssd.scale});
    }
  }

  bool gate_is_separable() const override { return false; }

  void project_out(Device& device, View<const float, 2> g, bool accumulate, int times,
                   View<float, 2> y) const override {
    out_.run(device, g, y, accumulate, times);
  }

  Product product_in() const override { return {&in_, false}; }
  std::vector<Product> products_inside() const override { return {}; }
  Product product_out() const override { return {&out_, true}; }

 private:
  Index E_, S_, N_, W_, H_, P_, G_, channels_, projected_;
  bool norm_, norm_before_gate_;
  Index norm_group_;
  float norm_eps_, dt_min_, dt_max_;
  Linear in_, out_;
  Buffer<float> taps_;  // [W, S + 2GN]
  Buffer<float> conv_bias_, dt_bias_, A_;
  Buffer<float> skip_;  // [S]
  Buffer<float> norm_weight_;
};

}  // namespace

std::unique_ptr<Mixer> make_mixer(const Placement& place, const Mamba2Spec& spec,
                                  const Mamba2Spec& projections) {
  return std::make_unique<Mamba2>(place, spec, projections);
}

}  // namespace genossm
