#include <algorithm>

#include "kernels/activation/activation.h"
#include "kernels/causal_conv/causal_conv.h"
#include "kernels/diagonal_scan/diagonal_scan.h"
#include "kernels/fir/fir.h"
#include "libgenossm/model/blocks/striped.h"
#include "libgenossm/model/cuda_mixer.h"

namespace genossm {
namespace {

template <class T>
class CudaStriped final : public CudaMixer<T> {
 public:
  CudaStriped(Device& device, const StripedSpec& spec)
      : CudaStriped(device, spec, StripedFilters(spec)) {}

  Index projected() const override { return 3 * D_; }
  Index mixed() const override { return D_; }
  Index state_size() const override { return short_floats() + inner_floats(); }
  Index weight_bytes() const override {
    return in_.bytes() + out_.bytes() + short_taps_.bytes() + taps_.bytes() + poles_.bytes() +
           low_.bytes() + residues_.bytes();
  }
  Index row_bytes() const override {
    constexpr Index kRows = 1024;  // of which the bytes of one are a share
    return 3 * D_ * Index{sizeof(T)} + op_bytes(kRows) / kRows + 1;
  }

  void reserve(Cuda& cuda, CudaScratch& scratch, Index rows, Index) const override {
    short_result(cuda, scratch, rows);
    no_state(cuda, scratch);
    cuda.scratch(op_bytes(rows));
  }

  void project_in(Cuda& cuda, View<const T, 2> x, View<T, 2> p) const override {
    in_.run(cuda, x, p);
  }

  // The short FIR takes all sequences at once, the long ones one after the other.
  void mix(Cuda& cuda, CudaScratch& scratch, View<const T, 2> p, const CudaSequences& sequences,
           float* states, bool reverse, bool accumulate, View<T, 2> g) const override {
    require(!reverse && !accumulate, Fault::internal, "striped: one direction only");
    const View<T, 2> u = short_result(cuda, scratch, p.extent[0]);
    launch_on(cuda,
              CausalConvSet<T>{.x = p,
                               .silu = false,
                               .forward = {short_taps_.matrix(W_, 3 * D_), view_of(short_bias_), u},
                               .sequences = sequences,
                               .tails = states});
    const View<T, 2> x2 = cols(u, 0, D_), s = cols(u, D_, 2 * D_);
    launch_on(
        cuda,
        BasicActivation<T>{
            .kind = ActivationKind::identity, .x = s, .gate = cols(u, 2 * D_, 3 * D_), .y = s});
    for (const CudaSpan& span : sequences.spans) {
      const bool kept = states != nullptr && span.state >= 0;
      float* state = kept ? states + span.state + short_floats() : no_state(cuda, scratch);
      if (!kept || span.fresh) cuda.fill_zero(state, inner_floats() * Index{sizeof(float)});
      convolve(cuda, rows(s, span.begin, span.end), rows(x2, span.begin, span.end), state,
               rows(g, span.begin, span.end));
    }
  }

  View<T, 2> mix_both(Cuda&, CudaScratch&, const CudaMixer<T>&, View<T, 2>,
                      const CudaSequences&) const override {
    fail(Fault::internal, "striped: one direction only");
  }

  void project_out(Cuda& cuda, View<const T, 2> g, bool accumulate, int times,
                   View<float, 2> y) const override {
    out_.run(cuda, g, y, accumulate, times);
  }

 private:
  CudaStriped(Device& device, const StripedSpec& spec, const StripedFilters& filters)
      : D_(spec.d_model),
        W_(spec.short_taps),
        T_(spec.taps),
        N_(spec.states),
        Q_(spec.conv == StripedSpec::Conv::modal_complex ? 2 : 1),
        groups_(spec.groups),
        modal_(spec.modal()),
        order_(spec.conv == StripedSpec::Conv::fir_current_last ? TapOrder::current_last
                                                                : TapOrder::current_first),
        in_(device, kPrecisionOf<T>, spec.in_proj, spec.in_bias, filters.order, spec.fp8),
        out_(device, kPrecisionOf<T>, spec.out_proj, spec.out_bias) {
    Cuda& cuda = *as_cuda(device);
    short_taps_ = to_cuda(cuda, filters.short_taps);
    short_bias_ = to_cuda(cuda, filters.short_bias);
    taps_ = to_cuda(cuda, filters.taps);
    poles_ = to_cuda(cuda, filters.poles);
    low_ = to_cuda(cuda, filters.low);
    residues_ = to_cuda(cuda, filters.residues);
    skip_ = to_cuda(cuda, filters.skip);
  }

  Index short_floats() const { return (W_ - 1) * 3 * D_; }
  Index inner_floats() const { return modal_ ? N_ * Q_ * D_ : (T_ - 1) * D_; }

  // Memory of one op: segments' states and, of many states, sums of the scan; rounded inputs.
  Index op_bytes(Index rows) const {
    constexpr Index kFloat = sizeof(float);
    const Index segments = rows / kCudaSegment + 1;
    const Index scan = modal_ ? (segments * N_ * Q_ + (N_ * Q_ > 16 ? rows : 0)) * D_ * kFloat : 0;
    return std::max(scan + 1024, in_.scratch_bytes(rows));
  }

  View<T, 2> short_result(Cuda& cuda, CudaScratch& scratch, Index rows) const {
    return scratch.matrix<T>(cuda, kCudaNormedThenConv, rows, 3 * D_);
  }
  // For sequences that have none: they begin and end in one batch.
  float* no_state(Cuda& cuda, CudaScratch& scratch) const {
    return scratch.matrix<float>(cuda, kCudaNoState, 1, inner_floats() + 1).data;
  }

  void convolve(Cuda& cuda, View<const T, 2> s, View<const T, 2> gate, float* state,
                View<T, 2> g) const {
    if (!modal_) {
      launch_on(cuda, BasicFir<T>{.x = s,
                                  .taps = taps_.matrix(groups_, T_),
                                  .order = order_,
                                  .skip = view_of(skip_),
                                  .gate = gate,
                                  .tail = {state, {T_ - 1, D_}},
                                  .y = g});
      return;
    }
    const std::array<Index, 3> shape{N_, Q_, D_};
    launch_on(cuda, BasicDiagonalScan<T>{.u = s,
                                         .poles = {poles_.data(), shape},
                                         .poles_low = low_.size() > 0
                                                          ? View<const float, 3>(low_.data(), shape)
                                                          : View<const float, 3>(),
                                         .residues = {residues_.data(), shape},
                                         .skip = view_of(skip_),
                                         .gate = gate,
                                         .h = {state, shape},
                                         .y = g});
  }

  Index D_, W_, T_, N_, Q_, groups_;
  bool modal_;
  TapOrder order_;
  CudaLinear in_, out_;
  CudaBuffer<float> short_taps_, short_bias_, taps_, poles_, low_, residues_, skip_;
};

}  // namespace

template <class T>
std::unique_ptr<CudaMixer<T>> make_cuda_mixer(Device& device, const StripedSpec& spec) {
  return std::make_unique<CudaStriped<T>>(device, spec);
}
template std::unique_ptr<CudaMixer<float>> make_cuda_mixer(Device&, const StripedSpec&);
template std::unique_ptr<CudaMixer<bf16>> make_cuda_mixer(Device&, const StripedSpec&);

}  // namespace genossm
