#include <cmath>

#include "kernels/core/shapes.h"
#include "kernels/pool/pool.h"

namespace genossm {

void check(const Pool& op) { want_shape("pool", "sum", op.sum, {op.x.extent[1]}); }

void run(Reference&, const Pool& op) {
  const auto [L, D] = op.x.extent;
  for (Index t = 0; t < L; ++t) {
    for (Index d = 0; d < D; ++d) {
      const double x = op.x.row(t)[d];
      double& sum = op.sum.data[d];
      if (op.kind == Pool::Kind::mean) {
        sum += x;
      } else if (x > sum || std::isnan(x)) {
        sum = x;
      }
    }
  }
}

}  // namespace genossm
