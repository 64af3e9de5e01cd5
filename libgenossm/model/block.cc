#include "libgenossm/model/block.h"

#include <algorithm>
#include <vector>

#include "kernels/activation/activation.h"
#include "libgenossm/model/blocks/attention.h"
#include "libgenossm/model/blocks/hyena.h"
#include "libgenossm/model/blocks/mamba1.h"
#include "libgenossm/model/blocks/mamba2.h"
#include "libgenossm/model/blocks/striped.h"

namespace genossm {
namespace {

std::unique_ptr<Mixer> make(const Placement& place, const MixerSpec& spec,
                            const MixerSpec& projections) {
  return std::visit(
      [&](const auto& m) -> std::unique_ptr<Mixer> {
        using Spec = std::decay_t<decltype(m)>;
        if constexpr (std::is_same_v<Spec, HyenaSpec>) {
          return nullptr;
        } else if constexpr (std::is_same_v<Spec, StripedSpec> ||
                             std::is_same_v<Spec, AttentionSpec>) {
          return make_mixer(place, m);
        } else {
          return make_mixer(place, m, std::get<Spec>(projections));
        }
      },
      spec);
}

std::unique_ptr<WholeMixer> make_whole(const Placement& place, const MixerSpec& spec) {
  const auto* hyena = std::get_if<HyenaSpec>(&spec);
  return hyena == nullptr ? nullptr : make_whole_mixer(place, *hyena);
}

// The parts of the pieces that lie in rows [begin, end), relative to begin, in the order in which a
// pass in that direction meets them.
std::vector<Piece> cut(std::span<const Piece> pieces, Index begin, Index end, bool reverse) {
  std::vector<Piece> out;
  for (const Piece& piece : pieces) {
    const Index from = std::max(piece.begin, begin), to = std::min(piece.end, end);
    if (from >= to) continue;
    const bool starts = reverse ? piece.end <= end : piece.begin >= begin;
    out.push_back({from - begin, to - begin, piece.state, piece.fresh && starts, piece.history,
                   piece.position + from - piece.begin, piece.probe});
  }
  if (reverse) std::reverse(out.begin(), out.end());
  return out;
}

}  // namespace

Block::NormWeights::NormWeights(const NormSpec& spec)
    : kind(!spec.rms       ? NormKind::layer
           : spec.eps_plus ? NormKind::rms_plus
                           : NormKind::rms),
      eps(spec.eps),
      weight(copy_of(spec.weight)),
      bias(copy_of(spec.bias)) {}

void Block::NormWeights::run(Device& device, View<const float, 2> x, View<float, 2> y) const {
  launch(device, Norm{.x = x,
                      .weight = view_of(weight),
                      .bias = view_of(bias),
                      .kind = kind,
                      .eps = eps,
                      .y = y});
}

Block::Block(const Placement& place, const BlockSpec& spec)
    : norm_(spec.norm),
      forward_(make(place, spec.forward, spec.forward)),
      reverse_(spec.reverse ? make(place, *spec.reverse, spec.tied ? spec.forward : *spec.reverse)
                            : nullptr),
      whole_(make_whole(place, spec.forward)),
      tied_(spec.tied),
      multiply_(spec.multiply) {
  if (spec.mlp) {
    mlp_norm_ = std::make_unique<NormWeights>(*spec.mlp_norm);
    mlp_kind_ = spec.mlp->kind;
    if (spec.mlp->apart()) gate_ = Linear(place, spec.mlp->gate, Tensor{});
    fc1_ = Linear(place, spec.mlp->fc1, spec.mlp->fc1_bias);
    fc2_ = Linear(place, spec.mlp->fc2, spec.mlp->fc2_bias);
  }
}

Index Block::kept_columns() const {
  if (whole_) return Scratch::row_stride(whole_->kept()) + whole_->row_floats();
  if (!two_way()) return 0;
  return forward_->mixed() + (tied_ && !multiply_ ? Scratch::row_stride(forward_->projected()) : 0);
}

Index Block::slab_columns() const {
  const Index d_model = norm_.weight.size();
  Index columns = 3 * d_model;
  columns += whole_ ? whole_->scratch_columns()
                    : forward_->projected() + 2 * forward_->mixed() + forward_->scratch_columns();
  if (mlp_norm_) columns += fc1_.outputs() + gate_.outputs() + fc2_.inputs();
  return columns;
}

Index Block::weight_bytes() const {
  return (whole_ ? whole_->weight_bytes() : forward_->weight_bytes()) +
         (reverse_ ? reverse_->weight_bytes() : 0) +
         (mlp_norm_ ? fc1_.bytes() + gate_.bytes() + fc2_.bytes() : 0);
}

std::vector<std::vector<Product>> Block::products() const {
  const auto add = [](std::vector<Product>& to, const std::vector<Product>& more) {
    to.insert(to.end(), more.begin(), more.end());
  };
  std::vector<Product> first, last;  // of a block's two walks
  if (whole_) {
    first = whole_->products_in();
    last = whole_->products_out();
  } else {
    first = {forward_->product_in()};
    add(first, forward_->products_inside());
    if (two_way()) {
      const bool share = tied_ && !multiply_;
      if (!share) last = {reverse_->product_in()};
      add(last, reverse_->products_inside());
      if (!share) last.push_back(reverse_->product_out());
    }
    last.push_back(forward_->product_out());
  }
  if (mlp_norm_) {
    if (gate_.outputs() > 0) last.push_back({&gate_, false});
    add(last, {{&fc1_, false}, {&fc2_, true}});
  }
  if (whole_ || two_way()) return {first, last};
  add(first, last);
  return {first};
}

View<float, 2> Block::normed(Device& device, Scratch& scratch, View<const float, 2> x) const {
  const View<float, 2> y = scratch.matrix(kSlotNormed, x.extent[0], x.extent[1]);
  norm_.run(device, x, y);
  return y;
}

void Block::forward(Device& device, Scratch& scratch, View<float, 2> x,
                    std::span<const Piece> pieces, Index slab) const {
  if (whole_) {
    whole_sequences(device, scratch, x, pieces, slab);
    return;
  }
  if (!two_way()) {
    one_way(device, scratch, x, pieces, slab);
    return;
  }
  // The state of a two-way pass lives only as long as the pass.
  const Index size = forward_->state_size();
  float* state = scratch.matrix(kSlotState, 2, size).data;
  std::vector<Piece> whole(pieces.begin(), pieces.end());
  for (Piece& piece : whole) piece.state = state, piece.fresh = true;
  if (tied_ && !multiply_) {
    shared(device, scratch, x, whole, slab);
  } else {
    apart(device, scratch, x, whole, slab);
  }
}

void Block::one_way(Device& device, Scratch& scratch, View<float, 2> x,
                    std::span<const Piece> pieces, Index slab) const {
  const Index L = x.extent[0];
  for (Index begin = 0; begin < L; begin += slab) {
    const Index end = std::min(L, begin + slab);
    const View<float, 2> part = rows(x, begin, end);
    const View<float, 2> p = scratch.staggered(kSlotProjected, end - begin, forward_->projected());
    const View<float, 2> g = scratch.matrix(kSlotMixed, end - begin, forward_->mixed());
    forward_->project_in(device, normed(device, scratch, part), p);
    const std::vector<Piece> here = cut(pieces, begin, end, false);
    forward_->mix(device, scratch, p, here, false, true, false, g);
    forward_->project_out(device, g, true, 1, part);
    mlp(device, scratch, part);
  }
}

void Block::whole_sequences(Device& device, Scratch& scratch, View<float, 2> x,
                            std::span<const Piece> pieces, Index slab) const {
  const Index L = x.extent[0];
  const View<float, 2> kept = scratch.staggered(kSlotKept, L, whole_->kept());
  std::vector<Piece> all(pieces.begin(), pieces.end());
  float* carried = scratch.matrix(kSlotState, 1, whole_->carried()).data;
  for (Piece& piece : all) piece.state = carried, piece.fresh = true;
  for (Index begin = 0; begin < L; begin += slab) {
    const Index end = std::min(L, begin + slab);
    const std::vector<Piece> here = cut(all, begin, end, false);
    whole_->enter(device, scratch, normed(device, scratch, rows(x, begin, end)), here,
                  rows(kept, begin, end));
  }
  whole_->mix(device, scratch, all, kept);
  for (Index begin = 0; begin < L; begin += slab) {
    const Index end = std::min(L, begin + slab);
    const View<float, 2> part = rows(x, begin, end);
    whole_->leave(device, rows(kept, begin, end), part);
    mlp(device, scratch, part);
  }
}

// Tied directions that are added: one in_proj, one out_proj of the sum.
void Block::shared(Device& device, Scratch& scratch, View<float, 2> x,
                   std::span<const Piece> pieces, Index slab) const {
  const Index L = x.extent[0];
  const View<float, 2> p = scratch.staggered(kSlotProjected, L, forward_->projected());
  const View<float, 2> g = scratch.matrix(kSlotMixed, L, forward_->mixed());
  // Where it can be, the gate is applied once, to the sum.
  const bool gate_last = forward_->gate_is_separable();
  for (Index begin = 0; begin < L; begin += slab) {
    const Index end = std::min(L, begin + slab);
    const View<float, 2> p_part = rows(p, begin, end);
    forward_->project_in(device, normed(device, scratch, rows(x, begin, end)), p_part);
    const std::vector<Piece> here = cut(pieces, begin, end, false);
    forward_->mix(device, scratch, p_part, here, false, !gate_last, false, rows(g, begin, end));
  }
  for (Index begin = (L - 1) / slab * slab; begin >= 0; begin -= slab) {
    const Index end = std::min(L, begin + slab);
    const View<float, 2> part = rows(x, begin, end);
    const View<float, 2> p_part = rows(p, begin, end), g_part = rows(g, begin, end);
    const std::vector<Piece> here = cut(pieces, begin, end, true);
    reverse_->mix(device, scratch, p_part, here, true, true, true, g_part);
    forward_->project_out(device, g_part, true, 2, part);
    mlp(device, scratch, part);
  }
}

// Untied directions, or directions that are multiplied: each has its own projections and gate.
void Block::apart(Device& device, Scratch& scratch, View<float, 2> x, std::span<const Piece> pieces,
                  Index slab) const {
  const Index L = x.extent[0], D = x.extent[1];
  const View<float, 2> g = scratch.matrix(kSlotMixed, L, forward_->mixed());
  for (Index begin = 0; begin < L; begin += slab) {
    const Index end = std::min(L, begin + slab);
    const View<float, 2> p = scratch.staggered(kSlotProjected, end - begin, forward_->projected());
    forward_->project_in(device, normed(device, scratch, rows(x, begin, end)), p);
    const std::vector<Piece> here = cut(pieces, begin, end, false);
    forward_->mix(device, scratch, p, here, false, true, false, rows(g, begin, end));
  }
  for (Index begin = (L - 1) / slab * slab; begin >= 0; begin -= slab) {
    const Index end = std::min(L, begin + slab);
    const View<float, 2> part = rows(x, begin, end);
    const View<float, 2> p = scratch.staggered(kSlotProjected, end - begin, reverse_->projected());
    const View<float, 2> back = scratch.matrix(kSlotMixedBack, end - begin, reverse_->mixed());
    reverse_->project_in(device, normed(device, scratch, part), p);
    const std::vector<Piece> here = cut(pieces, begin, end, true);
    reverse_->mix(device, scratch, p, here, true, true, false, back);
    if (multiply_) {
      const View<float, 2> out = scratch.matrix(kSlotOut, end - begin, D);
      const View<float, 2> out_back = scratch.matrix(kSlotOutBack, end - begin, D);
      forward_->project_out(device, rows(g, begin, end), false, 1, out);
      reverse_->project_out(device, back, false, 1, out_back);
      launch(device, Activation{.kind = Activation::Kind::identity,
                                .x = out,
                                .gate = out_back,
                                .y = part,
                                .accumulate = true});
    } else {
      forward_->project_out(device, rows(g, begin, end), true, 1, part);
      reverse_->project_out(device, back, true, 1, part);
    }
    mlp(device, scratch, part);
  }
}

void Block::mlp(Device& device, Scratch& scratch, View<float, 2> x) const {
  if (!mlp_norm_) return;
  const Index L = x.extent[0], F = fc2_.inputs();
  const View<float, 2> n = scratch.matrix(kSlotNormed, L, x.extent[1]);
  mlp_norm_->run(device, x, n);
  const View<float, 2> both = scratch.matrix(kSlotMlp, L, fc1_.outputs());
  fc1_.run(device, n, both);
  if (mlp_kind_ == MlpSpec::Kind::gelu_tanh) {
    launch(device, Activation{.kind = Activation::Kind::gelu_tanh, .x = both, .y = both});
    fc2_.run(device, both, x, true);
    return;
  }
  if (gate_.outputs() > 0) {
    const View<float, 2> g = scratch.matrix(kSlotMlpGate, L, F);
    gate_.run(device, n, g);
    using Kind = Activation::Kind;
    launch(device, Activation{.kind = mlp_kind_ == MlpSpec::Kind::apart_silu   ? Kind::silu
                                      : mlp_kind_ == MlpSpec::Kind::apart_gelu ? Kind::gelu_erf
                                                                               : Kind::identity,
                              .x = both,
                              .gate = g,
                              .y = both});
    fc2_.run(device, both, x, true);
    return;
  }
  const View<float, 2> h = scratch.matrix(kSlotMlpGate, L, F);
  launch(device, Activation{.kind = Activation::Kind::silu,
                            .x = cols(both, 0, F),
                            .gate = cols(both, F, 2 * F),
                            .y = h});
  fc2_.run(device, h, x, true);
}

}  // namespace genossm
