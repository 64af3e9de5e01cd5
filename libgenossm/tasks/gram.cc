#include "libgenossm/tasks/gram.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace genossm {
namespace {

constexpr Index kTileSide = 128;  // of the result
constexpr Index kDepth = 256;     // terms at a time: two panels of them stay in the cache

// result = sum over terms [0, terms) of panel(first, last, t)^T panel(...), a tile at a time.
// panel(term, count, first, width, out): [count, width] of terms from `term` on, as double.
template <class Panel>
Matrix symmetric_product(Index side, Index terms, Cpu& cpu, const Panel& panel) {
  std::vector<std::pair<Index, Index>> tiles;
  for (Index i = 0; i < side; i += kTileSide) {
    for (Index j = 0; j <= i; j += kTileSide) tiles.emplace_back(i, j);
  }
  Matrix out(side, side);
  cpu.for_each(static_cast<Index>(tiles.size()), [&](Index t) {
    const auto [i, j] = tiles[static_cast<std::size_t>(t)];
    const Index height = std::min(kTileSide, side - i), width = std::min(kTileSide, side - j);
    Matrix sum = Matrix::Zero(height, width), a, b;
    for (Index term = 0; term < terms; term += kDepth) {
      const Index count = std::min(kDepth, terms - term);
      a.resize(count, height);
      panel(term, i, a);
      if (i == j) {
        sum.noalias() += a.transpose() * a;
      } else {
        b.resize(count, width);
        panel(term, j, b);
        sum.noalias() += a.transpose() * b;
      }
    }
    out.block(i, j, height, width) = sum;
    if (i != j) out.block(j, i, width, height) = sum.transpose();
  });
  return out;
}

}  // namespace

Matrix gram(const RowMatrix& z, Index begin, Index end, Index step, Cpu& cpu) {
  const Index terms = end > begin ? (end - begin + step - 1) / step : 0;
  return symmetric_product(z.cols(), terms, cpu, [&](Index term, Index first, Matrix& out) {
    for (Index t = 0; t < out.rows(); ++t) {
      out.row(t) = z.row(begin + (term + t) * step).segment(first, out.cols()).cast<double>();
    }
  });
}

Matrix kernel(const RowMatrix& z, Cpu& cpu) {
  return symmetric_product(z.rows(), z.cols(), cpu, [&](Index term, Index first, Matrix& out) {
    for (Index c = 0; c < out.cols(); ++c) {
      out.col(c) = z.row(first + c).segment(term, out.rows()).transpose().cast<double>();
    }
  });
}

}  // namespace genossm
