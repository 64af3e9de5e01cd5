#include <cmath>

#include "kernels/core/shapes.h"
#include "kernels/rope/rope.h"

namespace genossm {

template <class T>
void check(const BasicRope<T>& op) {
  const Index C = op.x.extent[1], H = op.heads, R = 2 * op.inv_freq.extent[0];
  if (H < 1 || C % H != 0) {
    fail(Fault::shape, "rope: " + std::to_string(C) + " columns are not " + std::to_string(H) +
                           " heads of one size");
  }
  if (R > C / H) {
    fail(Fault::shape, "rope: " + std::to_string(R / 2) + " frequencies turn " + std::to_string(R) +
                           " columns, but a head has " + std::to_string(C / H));
  }
  if (op.start < 0 || op.start > Index{1} << 40) {
    fail(Fault::shape, "rope: start is " + std::to_string(op.start) + ", want 0 to 2^40");
  }
  if (!(op.scale > 0)) {
    fail(Fault::shape, "rope: scale is " + std::to_string(op.scale) + ", want more than 0");
  }
}
template void check(const BasicRope<float>&);
template void check(const BasicRope<bf16>&);

void run(Reference&, const Rope& op) {
  const auto [L, C] = op.x.extent;
  const Index half = op.inv_freq.extent[0], E = C / op.heads;
  for (Index t = 0; t < L; ++t) {
    for (Index j = 0; j < half; ++j) {
      const double angle = static_cast<double>(op.start + t) / op.scale * op.inv_freq.data[j];
      for (Index h = 0; h < op.heads; ++h) {
        float& a = op.x.row(t)[h * E + j];
        float& b = op.x.row(t)[h * E + half + j];
        const double x0 = a, x1 = b;
        a = static_cast<float>(x0 * std::cos(angle) - x1 * std::sin(angle));
        b = static_cast<float>(x1 * std::cos(angle) + x0 * std::sin(angle));
      }
    }
  }
}

}  // namespace genossm
