#include "libgenossm/model/blocks/mamba1.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/causal_conv/causal_conv.h"
#include "kernels/selective_scan/selective_scan.h"

namespace genossm {
namespace {

class Mamba1 final : public Mixer {
 public:
  Mamba1(const Placement& place, const Mamba1Spec& spec, const Mamba1Spec& projections)
      : E_(spec.d_inner),
        N_(spec.d_state),
        W_(spec.d_conv),
        R_(spec.dt_rank),
        in_(place, projections.in_proj, projections.in_bias),
        x_proj_(place, spec.x_proj, Tensor{}),
        dt_proj_(place, spec.dt_proj, Tensor{}),
        out_(place, projections.out_proj, projections.out_bias),
        taps_(transposed({spec.conv_weight.values.data(), {E_, W_}})),
        conv_bias_(copy_of(spec.conv_bias_term)),
        dt_bias_(copy_of(spec.dt_bias)),
        A_(transposed(spec.A_log.view2())),
        skip_(copy_of(spec.skip)) {
    for (float& a : A_) a = -std::exp(a);
  }

  Index projected() const override { return 2 * E_; }
  Index mixed() const override { return E_; }
  Index state_size() const override { return (W_ - 1 + N_) * E_; }
  Index stepping() const override { return E_; }
  Index scratch_columns() const override { return 2 * E_ + R_ + 2 * N_; }
  Index weight_bytes() const override {
    return in_.bytes() + x_proj_.bytes() + dt_proj_.bytes() + out_.bytes() +
           4 * (taps_.size() + A_.size());
  }

  bool rows_independent() const override {
    return in_.rows_independent() && x_proj_.rows_independent() && dt_proj_.rows_independent() &&
           out_.rows_independent();
  }

  void project_in(Device& device, View<const float, 2> x, View<float, 2> p) const override {
    in_.run(device, x, p);
  }

  void mix(Device& device, Scratch& scratch, View<const float, 2> p, std::span<const Piece> pieces,
           bool reverse, bool gated, bool accumulate, View<float, 2> g) const override {
    const Index L = p.extent[0];
    const auto along = [&](auto view, const Piece& piece) {
      const auto part = rows(view, piece.begin, piece.end);
      return reverse ? flip_rows(part) : part;
    };
    const View<const float, 2> u = cols(p, 0, E_);
    const View<const float, 2> z = gated ? cols(p, E_, 2 * E_) : View<const float, 2>();
    const View<float, 2> c = scratch.matrix(kSlotConv, L, E_);
    // Pieces may share one state memory, used by one after the other, so the two halves of the
    // state are cleared where each is used.
    for (const Piece& piece : pieces) {
      if (piece.fresh) std::fill_n(piece.state, (W_ - 1) * E_, 0.0f);
      launch(device, CausalConv{.x = along(u, piece),
                                .w = taps_.matrix(W_, E_),
                                .bias = view_of(conv_bias_),
                                .silu = true,
                                .tail = {piece.state, {W_ - 1, E_}},
                                .y = along(c, piece)});
    }
    const View<float, 2> low = scratch.matrix(kSlotXProj, L, R_ + 2 * N_);
    x_proj_.run(device, c, low);
    const View<float, 2> dt = scratch.matrix(kSlotStep, L, E_);
    dt_proj_.run(device, cols(low, 0, R_), dt);
    const View<const float, 3> B(low.data + R_, {L, 1, N_}, {low.stride[0], N_, 1});
    const View<const float, 3> C(low.data + R_ + N_, {L, 1, N_}, {low.stride[0], N_, 1});
    for (const Piece& piece : pieces) {
      if (piece.fresh) std::fill_n(piece.state + (W_ - 1) * E_, N_ * E_, 0.0f);
      const SelectiveScan scan{.u = along(View<const float, 2>(c), piece),
                               .dt = along(View<const float, 2>(dt), piece),
                               .dt_bias = view_of(dt_bias_),
                               .A = A_.matrix(N_, E_),
                               .B = along(B, piece),
                               .C = along(C, piece),
                               .skip = view_of(skip_),
                               .z = along(z, piece),
                               .h = {piece.state + (W_ - 1) * E_, {N_, E_}},
                               .y = along(g, piece),
                               .accumulate = accumulate,
                               .gate_sum = true};
      if (piece.probe != nullptr && piece.probe->wants_steps()) {
        step_by_step(device, scratch, scan, piece, reverse);
      } else {
        launch(device, scan);
      }
    }
  }

  // The same bits by the law of the op.
  void step_by_step(Device& device, Scratch& scratch, const SelectiveScan& scan, const Piece& piece,
                    bool reverse) const {
    const Index L = scan.u.extent[0];
    const View<float, 1> room(scratch.matrix(kSlotDelta, 1, E_).data, {E_});
    for (Index t = 0; t < L; ++t) {
      SelectiveScan one = scan;
      one.u = rows(scan.u, t, t + 1);
      one.dt = rows(scan.dt, t, t + 1);
      one.B = rows(scan.B, t, t + 1);
      one.C = rows(scan.C, t, t + 1);
      one.z = rows(scan.z, t, t + 1);
      one.y = rows(scan.y, t, t + 1);
      launch(device, one);
      constexpr float kMost = std::numeric_limits<float>::infinity();
      piece.probe->step({piece.position + (reverse ? L - 1 - t : t), reverse, piece.fresh && t == 0,
                         step_sizes({one.dt.data, {E_}}, scan.dt_bias, 0, kMost, room), scan.A,
                         scan.h, View<const float, 1>()});
    }
  }

  bool gate_is_separable() const override { return true; }

  void project_out(Device& device, View<const float, 2> g, bool accumulate, int times,
                   View<float, 2> y) const override {
    out_.run(device, g, y, accumulate, times);
  }

  Product product_in() const override { return {&in_, false}; }
  std::vector<Product> products_inside() const override {
    return {{&x_proj_, false}, {&dt_proj_, false}};
  }
  Product product_out() const override { return {&out_, true}; }

 private:
  Index E_, N_, W_, R_;
  Linear in_, x_proj_, dt_proj_, out_;
  Buffer<float> taps_;  // [W, E]
  Buffer<float> conv_bias_, dt_bias_;
  Buffer<float> A_;  // [N, E]
  Buffer<float> skip_;
};

}  // namespace

std::unique_ptr<Mixer> make_mixer(const Placement& place, const Mamba1Spec& spec,
                                  const Mamba1Spec& projections) {
  return std::make_unique<Mamba1>(place, spec, projections);
}

}  // namespace genossm
