#include <cmath>

#include "kernels/attention/attention.h"
#include "kernels/rope/rope.h"
#include "libgenossm/model/blocks/attention.h"
#include "libgenossm/model/cuda_mixer.h"

namespace genossm {
namespace {

// Keys and values are held as T.
template <class T>
class CudaAttention final : public CudaMixer<T> {
 public:
  CudaAttention(Device& device, const AttentionSpec& spec)
      : H_(spec.heads),
        G_(spec.kv_heads),
        E_(spec.d_model / spec.heads),
        divisor_(spec.position_divisor),
        qkv_(device, kPrecisionOf<T>, spec.qkv, spec.qkv_bias, row_order(spec)),
        out_(device, kPrecisionOf<T>, spec.out_proj, spec.out_bias),
        inv_freq_(to_cuda(*as_cuda(device), frequencies(spec))) {}

  Index projected() const override { return (H_ + 2 * G_) * E_; }
  Index mixed() const override { return H_ * E_; }
  Index state_size() const override { return 0; }
  Index history_bytes() const override { return 2 * G_ * E_ * Index{sizeof(T)}; }
  Index weight_bytes() const override { return qkv_.bytes() + out_.bytes(); }
  Index row_bytes() const override { return (H_ + G_) * E_ * Index{sizeof(T)}; }

  void reserve(Cuda& cuda, CudaScratch& scratch, Index rows, Index) const override {
    turned(cuda, scratch, rows);
  }

  void project_in(Cuda& cuda, View<const T, 2> x, View<T, 2> p) const override {
    qkv_.run(cuda, x, p);
  }

  // One sequence after the other: those that share a memory of keys and values use it in turn.
  void mix(Cuda& cuda, CudaScratch& scratch, View<const T, 2> p, const CudaSequences& sequences,
           float*, bool reverse, bool accumulate, View<T, 2> g) const override {
    require(!reverse && !accumulate, Fault::internal, "attention: one direction only");
    const Index first_v = (H_ + G_) * E_, width = G_ * E_;
    const View<T, 2> qk = turned(cuda, scratch, p.extent[0]);
    launch_on(cuda, BasicCacheRows<T, T>{.from = cols(p, 0, first_v), .to = qk});
    for (const CudaSpan& span : sequences.spans) {
      const Index end = span.position + span.end - span.begin;
      const View<T, 2> here = rows(qk, span.begin, span.end);
      launch_on(cuda, BasicRope<T>{.x = here,
                                   .heads = H_ + G_,
                                   .inv_freq = view_of(inv_freq_),
                                   .start = span.position,
                                   .scale = divisor_});
      auto* history = reinterpret_cast<T*>(span.history);
      const View<T, 2> k(history, {end, width}, {2 * width, 1});
      const View<T, 2> v(history + width, {end, width}, {2 * width, 1});
      launch_on(cuda, BasicCacheRows<T, T>{.from = cols(here, H_ * E_, first_v),
                                           .to = rows(k, span.position, end)});
      launch_on(cuda, BasicCacheRows<T, T>{
                          .from = rows(cols(p, first_v, first_v + width), span.begin, span.end),
                          .to = rows(v, span.position, end)});
      launch_on(cuda, BasicAttention<T, T>{.q = cols(here, 0, H_ * E_),
                                           .k = k,
                                           .v = v,
                                           .heads = H_,
                                           .kv_heads = G_,
                                           .scale = 1 / std::sqrt(static_cast<float>(E_)),
                                           .y = rows(g, span.begin, span.end)});
    }
  }

  View<T, 2> mix_both(Cuda&, CudaScratch&, const CudaMixer<T>&, View<T, 2>,
                      const CudaSequences&) const override {
    fail(Fault::internal, "attention: one direction only");
  }

  void project_out(Cuda& cuda, View<const T, 2> g, bool accumulate, int times,
                   View<float, 2> y) const override {
    out_.run(cuda, g, y, accumulate, times);
  }

 private:
  View<T, 2> turned(Cuda& cuda, CudaScratch& scratch, Index rows) const {
    return scratch.matrix<T>(cuda, kCudaNormedThenConv, rows, (H_ + G_) * E_);
  }

  Index H_, G_, E_;
  double divisor_;
  CudaLinear qkv_, out_;
  CudaBuffer<float> inv_freq_;  // [E / 2]
};

}  // namespace

template <class T>
std::unique_ptr<CudaMixer<T>> make_cuda_mixer(Device& device, const AttentionSpec& spec) {
  return std::make_unique<CudaAttention<T>>(device, spec);
}
template std::unique_ptr<CudaMixer<float>> make_cuda_mixer(Device&, const AttentionSpec&);
template std::unique_ptr<CudaMixer<bf16>> make_cuda_mixer(Device&, const AttentionSpec&);

}  // namespace genossm
