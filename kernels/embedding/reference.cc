#include <algorithm>
#include <string>

#include "kernels/core/shapes.h"
#include "kernels/embedding/embedding.h"

namespace genossm {

void check_on(const Cuda&, const Embedding& op) {
  want_shape("embedding", "y", op.y, {op.tokens.extent[0], op.table.extent[1]});
}

void check(const Embedding& op) {
  const Index L = op.tokens.extent[0];
  const auto [V, D] = op.table.extent;
  want_shape("embedding", "y", op.y, {L, D});
  for (Index t = 0; t < L; ++t) {
    const Index token = op.tokens.data[t];
    if (token >= 0 && token < V) continue;
    fail(Fault::shape, "embedding: token " + std::to_string(t) + " is " + std::to_string(token) +
                           ", want 0 to " + std::to_string(V - 1));
  }
}

void run(Reference&, const Embedding& op) {
  const Index L = op.tokens.extent[0], D = op.table.extent[1];
  for (Index t = 0; t < L; ++t) std::copy_n(op.table.row(op.tokens.data[t]), D, op.y.row(t));
}

}  // namespace genossm
