#include "libgenossm/model/blocks/linear.h"

#include <algorithm>

namespace genossm {

Linear::Linear(const Placement& place, const Tensor& weight, const Tensor& bias)
    : weight_(MatmulWeight::pack(*place.device, weight.view2(), place.precision)),
      bias_(copy_of(bias)) {
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
