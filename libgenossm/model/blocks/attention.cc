#include "libgenossm/model/blocks/attention.h"

#include <algorithm>
#include <cmath>

#include "kernels/attention/attention.h"
#include "kernels/rope/rope.h"

namespace genossm {

std::vector<Index> row_order(const AttentionSpec& spec) {
  if (!spec.by_head) return {};
  const Index D = spec.d_model, e = D / spec.heads;
  std::vector<Index> order(static_cast<std::size_t>(3 * D));
  for (Index i = 0; i < 3 * D; ++i) {
    const Index third = i / D, head = i % D / e;
    order[static_cast<std::size_t>(i)] = (3 * head + third) * e + i % e;
  }
  return order;
}

Buffer<float> frequencies(const AttentionSpec& spec) {
  if (spec.inv_freq.present()) return copy_of(spec.inv_freq);
  const Index E = spec.d_model / spec.heads;
  Buffer<float> out(E / 2);
  for (Index j = 0; j < E / 2; ++j) {
    const double exponent = -2.0 * static_cast<double>(j) / static_cast<double>(E);
    out[j] = static_cast<float>(std::pow(spec.base, exponent));
  }
  return out;
}

namespace {

template <class KV>
class CausalAttention final : public Mixer {
 public:
  CausalAttention(const Placement& place, const AttentionSpec& spec)
      : H_(spec.heads),
        G_(spec.kv_heads),
        E_(spec.d_model / spec.heads),
        divisor_(spec.position_divisor),
        qkv_(place, spec.qkv, spec.qkv_bias, row_order(spec)),
        out_(place, spec.out_proj, spec.out_bias),
        inv_freq_(frequencies(spec)) {}

  Index projected() const override { return (H_ + 2 * G_) * E_; }
  Index mixed() const override { return H_ * E_; }
  Index state_size() const override { return 0; }
  Index history_bytes() const override { return 2 * G_ * E_ * static_cast<Index>(sizeof(KV)); }
  Index scratch_columns() const override { return (H_ + G_) * E_; }
  Index weight_bytes() const override { return qkv_.bytes() + out_.bytes(); }
  bool rows_independent() const override {
    return qkv_.rows_independent() && out_.rows_independent();
  }

  void project_in(Device& device, View<const float, 2> x, View<float, 2> p) const override {
    qkv_.run(device, x, p);
  }

  void mix(Device& device, Scratch& scratch, View<const float, 2> p, std::span<const Piece> pieces,
           bool reverse, bool, bool accumulate, View<float, 2> g) const override {
    require(!reverse && !accumulate, Fault::internal, "attention: one direction only");
    const Index L = p.extent[0], turned = (H_ + G_) * E_, width = G_ * E_;
    const View<float, 2> qk = scratch.staggered(kSlotConv, L, turned);
    for (Index t = 0; t < L; ++t) std::copy_n(p.row(t), turned, qk.row(t));
    for (const Piece& piece : pieces) {
      const Index end = piece.position + piece.end - piece.begin;
      const View<float, 2> here = rows(qk, piece.begin, piece.end);
      launch(device, Rope{.x = here,
                          .heads = H_ + G_,
                          .inv_freq = view_of(inv_freq_),
                          .start = piece.position,
                          .scale = divisor_});
      auto* history = reinterpret_cast<KV*>(piece.history);
      const View<KV, 2> k(history, {end, width}, {2 * width, 1});
      const View<KV, 2> v(history + width, {end, width}, {2 * width, 1});
      launch(device, CacheRows<KV>{.from = cols(here, H_ * E_, turned),
                                   .to = rows(k, piece.position, end)});
      launch(device,
             CacheRows<KV>{.from = rows(cols(p, turned, turned + width), piece.begin, piece.end),
                           .to = rows(v, piece.position, end)});
      launch(device, AttentionOf<KV>{.q = cols(here, 0, H_ * E_),
                                     .k = k,
                                     .v = v,
                                     .heads = H_,
                                     .kv_heads = G_,
                                     .scale = 1 / std::sqrt(static_cast<float>(E_)),
                                     .y = rows(g, piece.begin, piece.end)});
    }
  }

  bool gate_is_separable() const override { return false; }

  void project_out(Device& device, View<const float, 2> g, bool accumulate, int times,
                   View<float, 2> y) const override {
    out_.run(device, g, y, accumulate, times);
  }

  Product product_in() const override { return {&qkv_, false}; }
  std::vector<Product> products_inside() const override { return {}; }
  Product product_out() const override { return {&out_, true}; }

 private:
  Index H_, G_, E_;
  double divisor_;
  Linear qkv_, out_;
  Buffer<float> inv_freq_;  // [E / 2]
};

}  // namespace

std::unique_ptr<Mixer> make_mixer(const Placement& place, const AttentionSpec& spec) {
  if (place.precision == Precision::bf16) {
    return std::make_unique<CausalAttention<bf16>>(place, spec);
  }
  return std::make_unique<CausalAttention<float>>(place, spec);
}

}  // namespace genossm
