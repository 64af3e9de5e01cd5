#include "libgenossm/model/blocks/linear.h"

#include <algorithm>

namespace genossm {

namespace {

MatmulWeight packed(const Placement& place, const Tensor& weight, std::span<const Index> order,
                    const std::optional<Fp8Scales>& fp8) {
  if (place.sketch) {
    return MatmulWeight::sketch(weight.matrix(), place.precision, fp8.has_value());
  }
  if (fp8) return MatmulWeight::pack_e4m3(*place.device, weight.matrix(), *fp8, order);
  if (weight.stored.data == nullptr && order.empty()) {
    return MatmulWeight::pack(*place.device, weight.view2(), place.precision);
  }
  return MatmulWeight::pack(*place.device, weight.matrix(), place.precision, order);
}

}  // namespace

Linear::Linear(const Placement& place, const Tensor& weight, const Tensor& bias)
    : Linear(place, weight, bias, {}) {}

Linear::Linear(const Placement& place, const Tensor& weight, const Tensor& bias,
               std::span<const Index> order, const std::optional<Fp8Scales>& fp8)
    : weight_(packed(place, weight, order, fp8)), bias_(copy_of(bias)) {
  if (!place.sketch) weight.not_needed();
  if (bias_.size() > 0 && !order.empty()) {
    const Buffer<float> as_stored = copy_of(bias);
    for (Index i = 0; i < bias_.size(); ++i) {
      bias_[i] = as_stored[order[static_cast<std::size_t>(i)]];
    }
  }
  if (bias_.size() > 0) {
    twice_ = Buffer<float>(bias_.size());
    for (Index i = 0; i < bias_.size(); ++i) twice_[i] = 2 * bias_[i];
  }
}

void Linear::run(Device& device, View<const float, 2> x, View<float, 2> y, bool accumulate,
                 int times) const {
  launch(device, Matmul{.x = x,
                        .weight = &weight_,
                        .bias = view_of(times == 2 ? twice_ : bias_),
                        .accumulate = accumulate,
                        .y = y});
}

Buffer<float> copy_of(const Tensor& tensor) {
  if (tensor.stored.data != nullptr) {
    Buffer<float> out(tensor.stored.rows * tensor.stored.columns);
    for (Index i = 0; i < tensor.stored.rows; ++i) {
      tensor.stored.read_row(i, out.data() + i * tensor.stored.columns);
    }
    return out;
  }
  Buffer<float> out(tensor.values.size());
  std::copy(tensor.values.begin(), tensor.values.end(), out.begin());
  return out;
}

Buffer<float> transposed(View<const float, 2> m) {
  Buffer<float> out(m.size());
  for (Index i = 0; i < m.extent[0]; ++i) {
    for (Index j = 0; j < m.extent[1]; ++j) out[j * m.extent[0] + i] = m.row(i)[j];
  }
  return out;
}

}  // namespace genossm
