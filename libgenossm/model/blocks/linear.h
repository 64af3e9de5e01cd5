// Linear: a packed weight with its optional bias, the token-local piece of every block.
#pragma once

#include <optional>
#include <span>

#include "kernels/matmul/matmul.h"
#include "libgenossm/model/spec.h"

namespace genossm {

// How a model's weights are placed.
struct Placement {
  Device* device = nullptr;
  Precision precision = Precision::fp32;
  // Matrices are not packed: the model is only to be planned for (see Model::sketch).
  bool sketch = false;
  // Bytes that there are for the weights; 0: not known.
  Index memory = 0;
};

class Linear {
 public:
  Linear() = default;
  Linear(const Placement& place, const Tensor& weight, const Tensor& bias);
  // With rows in another order (row i of the product is row order[i]; empty: i), and in 8 bits
  // where there are scales.
  Linear(const Placement& place, const Tensor& weight, const Tensor& bias,
         std::span<const Index> order, const std::optional<Fp8Scales>& fp8 = {});

  // y (+)= W x + times * b
  void run(Device& device, View<const float, 2> x, View<float, 2> y, bool accumulate = false,
           int times = 1) const;
  Index outputs() const { return weight_.outputs(); }
  Index inputs() const { return weight_.inputs(); }
  Index bytes() const { return weight_.bytes(); }
  bool rows_independent() const { return weight_.rows_independent(); }

 private:
  MatmulWeight weight_;
  Buffer<float> bias_, twice_;
};

// A copy of a tensor's values in float32; empty where the tensor is not present.
Buffer<float> copy_of(const Tensor& tensor);
inline View<const float, 1> view_of(const Buffer<float>& b) {
  return b.size() > 0 ? View<const float, 1>(b.view()) : View<const float, 1>();
}
// [rows, columns] -> [columns, rows].
Buffer<float> transposed(View<const float, 2> m);

}  // namespace genossm
