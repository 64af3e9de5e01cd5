#include "libgenossm/model/blocks/striped.h"

#include <algorithm>
#include <cmath>

#include "kernels/activation/activation.h"
#include "kernels/causal_conv/causal_conv.h"
#include "kernels/diagonal_scan/diagonal_scan.h"
#include "kernels/fir/fir.h"

namespace genossm {
namespace {

// Which row of in_proj each column of x2 | x1 | v is.
std::vector<Index> row_order(const StripedSpec& spec) {
  using Layout = StripedSpec::Layout;
  const Index D = spec.d_model, e = D / spec.heads;
  std::vector<Index> order(static_cast<std::size_t>(3 * D));
  for (Index third = 0; third < 3; ++third) {
    const Index from = spec.flip && third < 2 ? 1 - third : third;
    for (Index c = 0; c < D; ++c) {
      const Index headed = c / e * 3 * e + from * e + c % e;
      Index row = from * D + c;
      if (spec.layout == Layout::by_head) row = headed;
      if (spec.layout == Layout::by_turns) row = 3 * c + from;
      if (spec.layout == Layout::by_turns_then_head) row = headed % D * 3 + headed / D;
      order[static_cast<std::size_t>(third * D + c)] = row;
    }
  }
  return order;
}

}  // namespace

StripedFilters::StripedFilters(const StripedSpec& spec)
    : order(row_order(spec)),
      short_taps(spec.short_taps * 3 * spec.d_model),
      taps(copy_of(spec.filter)),
      skip(copy_of(spec.skip)) {
  const Index D = spec.d_model, W = spec.short_taps;
  const bool biased = spec.short_bias.present();
  if (biased) short_bias = Buffer<float>(3 * D);
  for (Index c = 0; c < 3 * D; ++c) {
    const Index row = order[static_cast<std::size_t>(c)];
    for (Index w = 0; w < W; ++w) short_taps[w * 3 * D + c] = spec.short_weight.values[row * W + w];
    if (biased) short_bias[c] = spec.short_bias.values[row];
  }
  if (!spec.modal()) return;
  const bool complex = spec.conv == StripedSpec::Conv::modal_complex;
  const Index numbers = spec.states * (complex ? 2 : 1);
  poles = Buffer<float>(numbers * D);
  low = Buffer<float>(numbers * D);
  residues = Buffer<float>(numbers * D);
  for (Index d = 0; d < D; ++d) {
    for (Index i = 0; i < numbers; ++i) {
      const Index from = d * numbers + i, to = i * D + d;
      const double stored = spec.poles.values[from];
      std::tie(poles[to], low[to]) = split_pole(complex ? stored : std::exp(stored));
      residues[to] = spec.residues.values[from];
    }
  }
  // Complex poles are what the file says in float32; real ones are exponentials of it.
  if (complex) low = {};
}

namespace {

class Striped final : public Mixer {
 public:
  Striped(const Placement& place, const StripedSpec& spec)
      : D_(spec.d_model),
        W_(spec.short_taps),
        conv_(spec.conv),
        T_(spec.taps),
        N_(spec.states),
        Q_(spec.conv == StripedSpec::Conv::modal_complex ? 2 : 1),
        groups_(spec.groups),
        filters_(spec),
        in_(place, spec.in_proj, spec.in_bias, filters_.order, spec.fp8),
        out_(place, spec.out_proj, spec.out_bias) {}

  Index projected() const override { return 3 * D_; }
  Index mixed() const override { return D_; }
  Index state_size() const override { return short_floats() + inner_floats(); }
  Index scratch_columns() const override { return 3 * D_; }
  Index weight_bytes() const override {
    return in_.bytes() + out_.bytes() +
           4 * (filters_.short_taps.size() + filters_.taps.size() + 3 * filters_.poles.size());
  }
  bool rows_independent() const override {
    return in_.rows_independent() && out_.rows_independent();
  }

  void project_in(Device& device, View<const float, 2> x, View<float, 2> p) const override {
    in_.run(device, x, p);
  }

  void mix(Device& device, Scratch& scratch, View<const float, 2> p, std::span<const Piece> pieces,
           bool reverse, bool, bool accumulate, View<float, 2> g) const override {
    require(!reverse && !accumulate, Fault::internal, "striped: one direction only");
    const View<float, 2> u = scratch.staggered(kSlotConv, p.extent[0], 3 * D_);
    // Pieces may share one state memory: its parts are cleared where each is used.
    for (const Piece& piece : pieces) {
      if (piece.fresh) std::fill_n(piece.state, short_floats(), 0.0f);
      launch(device, CausalConv{.x = rows(p, piece.begin, piece.end),
                                .w = filters_.short_taps.matrix(W_, 3 * D_),
                                .bias = view_of(filters_.short_bias),
                                .silu = false,
                                .tail = {piece.state, {W_ - 1, 3 * D_}},
                                .y = rows(u, piece.begin, piece.end)});
    }
    const View<float, 2> x2 = cols(u, 0, D_), s = cols(u, D_, 2 * D_);
    launch(
        device,
        Activation{
            .kind = Activation::Kind::identity, .x = s, .gate = cols(u, 2 * D_, 3 * D_), .y = s});
    for (const Piece& piece : pieces) {
      float* state = piece.state + short_floats();
      if (piece.fresh) std::fill_n(state, inner_floats(), 0.0f);
      convolve(device, rows(s, piece.begin, piece.end), rows(x2, piece.begin, piece.end), state,
               rows(g, piece.begin, piece.end));
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
  Index short_floats() const { return (W_ - 1) * 3 * D_; }
  Index inner_floats() const { return N_ > 0 ? N_ * Q_ * D_ : (T_ - 1) * D_; }

  void convolve(Device& device, View<const float, 2> s, View<const float, 2> gate, float* state,
                View<float, 2> g) const {
    using Conv = StripedSpec::Conv;
    if (conv_ == Conv::modal_complex || conv_ == Conv::modal_real) {
      const std::array<Index, 3> shape{N_, Q_, D_};
      const Buffer<float>& low = filters_.low;
      launch(device,
             DiagonalScan{.u = s,
                          .poles = {filters_.poles.data(), shape},
                          .poles_low = low.size() > 0 ? View<const float, 3>(low.data(), shape)
                                                      : View<const float, 3>(),
                          .residues = {filters_.residues.data(), shape},
                          .skip = view_of(filters_.skip),
                          .gate = gate,
                          .h = {state, shape},
                          .y = g});
      return;
    }
    launch(device, Fir{.x = s,
                       .taps = filters_.taps.matrix(groups_, T_),
                       .order = conv_ == Conv::fir_current_last ? Fir::Order::current_last
                                                                : Fir::Order::current_first,
                       .skip = view_of(filters_.skip),
                       .gate = gate,
                       .tail = {state, {T_ - 1, D_}},
                       .y = g});
  }

  Index D_, W_;
  StripedSpec::Conv conv_;
  Index T_, N_, Q_, groups_;
  StripedFilters filters_;
  Linear in_, out_;
};

}  // namespace

std::unique_ptr<Mixer> make_mixer(const Placement& place, const StripedSpec& spec) {
  return std::make_unique<Striped>(place, spec);
}

}  // namespace genossm
