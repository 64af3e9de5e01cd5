#include <algorithm>

#include "kernels/embedding/embedding.h"

namespace genossm {

void run(Cpu& cpu, const Embedding& op) {
  const Index L = op.tokens.extent[0], D = op.table.extent[1];
  // Rows a range: enough to be worth handing to another thread.
  constexpr Index kRows = 4 * kTile;
  cpu.for_each((L + kRows - 1) / kRows, [&](Index range) {
    const Index end = std::min(L, (range + 1) * kRows);
    for (Index t = range * kRows; t < end; ++t) {
      std::copy_n(op.table.row(op.tokens.data[t]), D, op.y.row(t));
    }
  });
}

}  // namespace genossm
