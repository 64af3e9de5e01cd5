#include "libgenossm/model/cuda_model.h"

#include <algorithm>
#include <optional>

#include "kernels/activation/activation.h"
#include "kernels/embedding/embedding.h"
#include "libgenossm/model/blocks/linear.h"
#include "libgenossm/model/cuda_mlp.h"
#include "libgenossm/model/cuda_whole.h"

namespace genossm {

CudaBuffer<float> to_cuda(Cuda& cuda, const Buffer<float>& values) {
  CudaBuffer<float> out(
      cuda, std::span<const float>(values.data(), static_cast<std::size_t>(values.size())));
  cuda.wait();
  return out;
}
CudaBuffer<float> to_cuda(Cuda& cuda, const Tensor& tensor) {
  return tensor.stored.data == nullptr ? to_cuda(cuda, tensor.values)
                                       : to_cuda(cuda, copy_of(tensor));
}

CudaLinear::CudaLinear(Device& device, Precision precision, const Tensor& weight,
                       const Tensor& bias, std::span<const Index> order,
                       const std::optional<Fp8Scales>& fp8)
    : weight_(fp8 ? MatmulWeight::pack_e4m3(device, weight.matrix(), *fp8, order)
                  : MatmulWeight::pack(device, weight.matrix(), precision, order)),
      rounds_(fp8.has_value()) {
  weight.not_needed();
  if (!bias.present()) return;
  const Buffer<float> as_stored = copy_of(bias);
  Buffer<float> once(as_stored.size()), twice(as_stored.size());
  for (Index i = 0; i < once.size(); ++i) {
    once[i] = as_stored[order.empty() ? i : order[static_cast<std::size_t>(i)]];
    twice[i] = 2 * once[i];
  }
  bias_ = to_cuda(*as_cuda(device), once);
  twice_ = to_cuda(*as_cuda(device), twice);
}

namespace {

template <class T>
struct CudaBlock {
  CudaBlock(Device& device, const BlockSpec& spec)
      : norm(*as_cuda(device), spec.norm),
        forward(make(device, spec.forward, spec.forward)),
        tied(spec.tied),
        multiply(spec.multiply) {
    if (spec.reverse) back = make(device, *spec.reverse, spec.tied ? spec.forward : *spec.reverse);
    if (const auto* hyena = std::get_if<HyenaSpec>(&spec.forward)) {
      whole = make_cuda_whole<T>(device, *hyena);
    }
    if (spec.mlp) mlp.emplace(device, *spec.mlp_norm, *spec.mlp);
  }

  static std::unique_ptr<CudaMixer<T>> make(Device& device, const MixerSpec& spec,
                                            const MixerSpec& projections) {
    return std::visit(
        [&](const auto& m) {
          using Spec = std::decay_t<decltype(m)>;
          if constexpr (std::is_same_v<Spec, StripedSpec> || std::is_same_v<Spec, AttentionSpec>) {
            return make_cuda_mixer<T>(device, m);
          } else if constexpr (std::is_same_v<Spec, HyenaSpec>) {
            return std::unique_ptr<CudaMixer<T>>();  // see `whole`
          } else {
            return make_cuda_mixer<T>(device, m, std::get<Spec>(projections));
          }
        },
        spec);
  }

  // A pair whose results are added before one out_proj.
  bool joint() const { return back && tied && !multiply; }

  Index state_size() const { return whole ? 0 : forward->state_size(); }
  Index history_bytes() const { return whole ? 0 : forward->history_bytes(); }
  Index fixed_bytes() const { return whole ? whole->fixed_bytes() : 0; }
  Index weight_bytes() const {
    return (whole ? whole->weight_bytes() : forward->weight_bytes()) +
           (back ? back->weight_bytes() : 0) + (mlp ? mlp->weight_bytes() : 0);
  }

  Index row_bytes(Index D) const {
    if (whole) {
      return whole->row_bytes() + (D + (mlp ? mlp->row_elements() : 0)) * Index{sizeof(T)};
    }
    const Index projected = forward->projected() * (back && !joint() ? 2 : 1);
    Index elements = projected + (joint() ? 0 : forward->mixed() * (back ? 2 : 1));
    if (mlp) elements += mlp->row_elements();
    return elements * Index{sizeof(T)} + forward->row_bytes() +
           (multiply ? 2 * D * Index{sizeof(float)} : 0);
  }

  struct Buffers {
    View<T, 2> normed, projected, mixed;
  };
  Buffers buffers(Cuda& cuda, CudaScratch& scratch, Index rows, Index D) const {
    Buffers b;
    b.normed = scratch.matrix<T>(cuda, kCudaNormedThenConv, rows, D);
    b.projected = scratch.matrix<T>(cuda, kCudaProjected, rows, forward->projected());
    if (!joint()) b.mixed = scratch.matrix<T>(cuda, kCudaMixed, rows, forward->mixed());
    return b;
  }

  void reserve(Cuda& cuda, CudaScratch& scratch, Index rows, Index sequences, Index D) const {
    if (whole) {
      scratch.matrix<T>(cuda, kCudaNormedThenConv, rows, D);
      whole->reserve(cuda, scratch, rows);
      if (mlp) mlp->reserve(cuda, scratch, rows, D);
      return;
    }
    buffers(cuda, scratch, rows, D);
    forward->reserve(cuda, scratch, rows, sequences);
    if (back && !joint()) {
      scratch.matrix<T>(cuda, kCudaProjectedBack, rows, back->projected());
      scratch.matrix<T>(cuda, kCudaMixedBack, rows, back->mixed());
    }
    if (multiply) {
      scratch.matrix<float>(cuda, kCudaOut, rows, D);
      scratch.matrix<float>(cuda, kCudaOutBack, rows, D);
    }
    if (mlp) mlp->reserve(cuda, scratch, rows, D);
  }

  void run(Cuda& cuda, CudaScratch& scratch, View<float, 2> x, const CudaSequences& sequences,
           float* states) const {
    const Index rows = x.extent[0], D = x.extent[1];
    if (whole) {
      const View<T, 2> normed = scratch.matrix<T>(cuda, kCudaNormedThenConv, rows, D);
      norm.run(cuda, View<const float, 2>(x), normed);
      whole->run(cuda, scratch, normed, sequences, x);
      if (mlp) mlp->run(cuda, scratch, x);
      return;
    }
    const Buffers b = buffers(cuda, scratch, rows, D);
    norm.run(cuda, View<const float, 2>(x), b.normed);
    forward->project_in(cuda, View<const T, 2>(b.normed), b.projected);
    if (!back) {
      forward->mix(cuda, scratch, b.projected, sequences, states, false, false, b.mixed);
      forward->project_out(cuda, View<const T, 2>(b.mixed), true, 1, x);
    } else if (joint()) {
      const View<T, 2> g = forward->mix_both(cuda, scratch, *back, b.projected, sequences);
      forward->project_out(cuda, View<const T, 2>(g), true, 2, x);
    } else {
      const View<T, 2> p = scratch.matrix<T>(cuda, kCudaProjectedBack, rows, back->projected());
      const View<T, 2> g = scratch.matrix<T>(cuda, kCudaMixedBack, rows, back->mixed());
      // Before the forward convolution takes the place of the normed rows.
      back->project_in(cuda, View<const T, 2>(b.normed), p);
      forward->mix(cuda, scratch, b.projected, sequences, nullptr, false, false, b.mixed);
      back->mix(cuda, scratch, p, sequences, nullptr, true, false, g);
      if (multiply) {
        const View<float, 2> out = scratch.matrix<float>(cuda, kCudaOut, rows, D);
        const View<float, 2> out_back = scratch.matrix<float>(cuda, kCudaOutBack, rows, D);
        forward->project_out(cuda, View<const T, 2>(b.mixed), false, 1, out);
        back->project_out(cuda, View<const T, 2>(g), false, 1, out_back);
        launch_on(cuda, Activation{.kind = ActivationKind::identity,
                                   .x = out,
                                   .gate = out_back,
                                   .y = x,
                                   .accumulate = true});
      } else {
        forward->project_out(cuda, View<const T, 2>(b.mixed), true, 1, x);
        back->project_out(cuda, View<const T, 2>(g), true, 1, x);
      }
    }
    if (mlp) mlp->run(cuda, scratch, x);
  }

  CudaNorm norm;
  std::unique_ptr<CudaMixer<T>> forward, back;
  std::unique_ptr<CudaWhole<T>> whole;  // then there are no others
  bool tied, multiply;
  std::optional<CudaMlp<T>> mlp;
};

template <class T>
class Net final : public CudaModel {
 public:
  Net(const ModelSpec& spec, Device& device)
      : D_(spec.d_model), V_(spec.vocab), gpu_(as_cuda(device)->index()) {
    Cuda& cuda = *as_cuda(device);
    table_ = to_cuda(cuda, spec.embedding);
    for (const BlockSpec& block : spec.blocks) {
      const CudaBlock<T>& made = blocks_.emplace_back(device, block);
      offsets_.push_back(state_floats_);
      state_floats_ += made.state_size();
      history_bytes_.push_back(made.history_bytes());
      weight_bytes_ += made.weight_bytes();
      row_bytes_ = std::max(row_bytes_, made.row_bytes(D_));
      fixed_bytes_ = std::max(fixed_bytes_, made.fixed_bytes());
    }
    row_bytes_ += D_ * Index{sizeof(float)};
    final_norm_ = CudaNorm(cuda, spec.final_norm);
    head_ = CudaLinear(device, kPrecisionOf<T>, spec.head.present() ? spec.head : spec.embedding,
                       Tensor{});
    weight_bytes_ += head_.bytes() + table_.bytes();
  }

  Index weight_bytes() const override { return weight_bytes_; }
  Index state_floats() const override { return state_floats_; }
  Index state_offset(Index layer) const override {
    return offsets_[static_cast<std::size_t>(layer)];
  }
  History new_history() const override { return History(history_bytes_, gpu_); }
  Index row_bytes() const override { return row_bytes_; }
  Index fixed_bytes() const override { return fixed_bytes_; }

  void reserve(Cuda& cuda, CudaScratch& scratch, Index rows, Index sequences) const override {
    for (const CudaBlock<T>& block : blocks_) block.reserve(cuda, scratch, rows, sequences, D_);
  }

  void embed(Cuda& cuda, View<const std::int32_t, 1> tokens, View<float, 2> x) const override {
    launch_on(cuda, Embedding{.tokens = tokens, .table = table_.matrix(V_, D_), .y = x});
  }

  void block(Cuda& cuda, CudaScratch& scratch, Index layer, View<float, 2> x,
             const CudaSequences& sequences, float* states) const override {
    float* mine = states == nullptr ? nullptr : states + state_offset(layer);
    blocks_[static_cast<std::size_t>(layer)].run(cuda, scratch, x, sequences, mine);
  }

  void final_norm(Cuda& cuda, View<const float, 2> x, View<float, 2> y) const override {
    final_norm_.run(cuda, x, y);
  }

  void head(Cuda& cuda, CudaScratch& scratch, View<const float, 2> x,
            View<float, 2> logits) const override {
    const View<T, 2> n = scratch.matrix<T>(cuda, kCudaHead, x.extent[0], D_);
    final_norm_.run(cuda, x, n);
    head_.run(cuda, View<const T, 2>(n), logits);
  }

 private:
  Index D_, V_;
  int gpu_;
  CudaBuffer<float> table_;
  std::vector<CudaBlock<T>> blocks_;
  std::vector<Index> offsets_, history_bytes_;
  CudaNorm final_norm_;
  CudaLinear head_;
  Index weight_bytes_ = 0, state_floats_ = 0, row_bytes_ = 0, fixed_bytes_ = 0;
};

// Large models are left in their files until a block is made: what all of it will take is known
// before.
void refuse_too_large(const ModelSpec& spec, const Cuda& cuda, Precision precision) {
  Index bytes = 0;
  const auto add = [&](const Tensor& t, bool half) {
    if (!t.present()) return;
    const StoredMatrix m = t.matrix();
    bytes += m.rows * ((m.columns + 15) / 16 * 16) * (half ? 2 : 4);
  };
  const bool half = precision == Precision::bf16;
  for (const BlockSpec& block : spec.blocks) {
    if (const auto* m = std::get_if<StripedSpec>(&block.forward)) {
      add(m->in_proj, half || m->fp8), add(m->out_proj, half);
    }
    if (const auto* m = std::get_if<AttentionSpec>(&block.forward)) {
      add(m->qkv, half), add(m->out_proj, half);
    }
    if (block.mlp) add(block.mlp->fc1, half), add(block.mlp->fc2, half), add(block.mlp->gate, half);
  }
  if (bytes <= cuda.free_memory()) return;
  const auto mib = [](Index n) { return std::to_string((n + (1 << 20) - 1) >> 20) + " MiB"; };
  fail(Fault::memory, "not enough memory on the GPU: the weights alone take " + mib(bytes) +
                          ", free are " + mib(cuda.free_memory()) + ". Use a smaller model" +
                          (half ? "" : ", --precision bf16") + " or --device cpu");
}

}  // namespace

std::shared_ptr<const CudaModel> CudaModel::make(const ModelSpec& spec, Device& device,
                                                 Precision precision) {
  if (spec.striped()) refuse_too_large(spec, *as_cuda(device), precision);
  if (precision == Precision::bf16) return std::make_shared<Net<bf16>>(spec, device);
  return std::make_shared<Net<float>>(spec, device);
}

}  // namespace genossm
