// Executor::reduce: rows are joined and summed where they were computed. Both strands of a window
// share a batch, so that no row has to leave the GPU.
#include <algorithm>

#include "kernels/pool/pool.h"
#include "libgenossm/runtime/cuda_lane.h"
#include "libgenossm/runtime/executor.h"

namespace genossm {
namespace {

constexpr Index kMostSums = Index{1} << 25;  // doubles that are kept for one call

// Executor::join() as a table: where each joined column comes from.
std::vector<PoolColumn> joined_columns(const Card& card, const Features& features,
                                       StrandMode mode) {
  std::vector<PoolColumn> out;
  const Index D = card.d_model;
  for (std::size_t k = 0; k < features.layers.size(); ++k) {
    const bool exchanged = card.strands_exchanged && features.layers[k] == Features::kLast;
    const auto at = [&](Index c) {
      return static_cast<std::int32_t>(static_cast<Index>(k) * D + c);
    };
    const auto own = [&](Index c) { return at(exchanged ? D - 1 - c : c); };
    for (Index c = 0; c < D; ++c) {
      PoolColumn column{own(c), -1, exchanged, false};  // forward, and the first half of both
      if (mode == StrandMode::reverse) column.p_back = !exchanged;
      if (mode == StrandMode::average) column.q = own(c), column.q_back = !exchanged;
      out.push_back(column);
    }
    for (Index c = 0; mode == StrandMode::both && c < D; ++c) {
      const bool turned = card.strands && !exchanged;
      out.push_back({at(turned ? D - 1 - c : c), -1, !exchanged, false});
    }
  }
  return out;
}

}  // namespace

struct Executor::Reduction {
  std::span<const Unit> units;
  std::span<const Stretch> left;  // of the units that have not come yet
  CudaBuffer<double> sum, max;
  CudaBuffer<PoolColumn> columns;
  CudaBuffer<PoolPiece> pieces;
  CudaBuffer<PoolRun> runs;
  Index records = 0;
};

bool Executor::reduces(std::span<const Unit> units, Index records) const {
  if constexpr (build::has_cuda) {
    if (as_cuda(device_) == nullptr || options_.features.logits) return false;
    const Index strands = (need_forward_ ? 1 : 0) + (need_reverse_ ? 1 : 0);
    Index longest = 0;
    for (const Unit& unit : units) longest = std::max(longest, unit.length);
    return longest * strands <= wide_->on_cuda()->chunk() && records * columns_ <= kMostSums;
  }
  return false;
}

void Executor::reduce_batch(Reduction& reduction, std::size_t begin, std::size_t end) {
  if constexpr (build::has_cuda) {
    Cuda& cuda = *as_cuda(device_);
    std::vector<std::vector<std::int32_t>> tokens;
    std::vector<PoolPiece> pieces;
    std::vector<PoolRun> runs;
    Index row = 0;
    std::size_t used = 0;
    for (std::size_t u = begin; u < end; ++u) {
      const Unit& unit = reduction.units[u];
      PoolPiece piece;
      if (need_forward_) {
        piece.forward = row + tokens_of(unit, false, tokens.emplace_back());
        row += unit.length;
      }
      if (need_reverse_) {
        piece.back = row + tokens_of(unit, true, tokens.emplace_back()) + unit.count - 1;
        row += unit.length;
      }
      // A strand that is not there is never read, but addresses are made of it.
      if (!need_forward_) piece.forward = piece.back - unit.count + 1;
      if (!need_reverse_) piece.back = piece.forward + unit.count - 1;
      for (; used < reduction.left.size() && reduction.left[used].unit == u; ++used) {
        const Stretch& stretch = reduction.left[used];
        if (runs.empty() || runs.back().record != stretch.record) {
          runs.push_back({static_cast<std::int32_t>(pieces.size()), 0, stretch.record});
        }
        ++runs.back().pieces;
        piece.count = stretch.count;
        pieces.push_back(piece);
        piece.forward += stretch.count;
        piece.back -= stretch.count;
      }
    }
    const std::vector<Tokens> sequences(tokens.begin(), tokens.end());
    const View<const float, 2> x = wide_->on_cuda()->forward(cuda, sequences);
    const auto put = [&](auto& to, const auto& from) {
      const auto n = static_cast<Index>(from.size());
      if (to.size() < n) {
        cuda.wait();
        to = std::decay_t<decltype(to)>(cuda, n + n / 2);
      }
      cuda.copy_in(to.data(), from.data(), n * Index{sizeof(from[0])});
      return n;
    };
    const Index piece_count = put(reduction.pieces, pieces), run_count = put(reduction.runs, runs);
    PoolJoined op{.x = x,
                  .columns = reduction.columns.view(),
                  .pieces = {reduction.pieces.data(), {piece_count}},
                  .runs = {reduction.runs.data(), {run_count}},
                  .sum = reduction.sum.matrix(reduction.records, columns_)};
    if (reduction.max.size() > 0) op.max = reduction.max.matrix(reduction.records, columns_);
    genossm::run(cuda, op);
    reduction.left = reduction.left.subspan(used);
  }
}

void Executor::reduce(std::span<const Unit> units, std::span<const Stretch> stretches,
                      View<double, 2> sum, View<double, 2> max,
                      const std::function<void(Index)>& done) {
  if constexpr (build::has_cuda) {
    Cuda& cuda = *as_cuda(device_);
    CudaLane& lane = *wide_->on_cuda();
    Reduction reduction{.units = units, .left = stretches, .records = sum.extent[0]};
    const auto up = [&](View<double, 2> from) {
      CudaBuffer<double> to(cuda, from.size());
      if (from.size() > 0) cuda.copy_in(to.data(), from.data, to.bytes());
      return to;
    };
    reduction.sum = up(sum);
    if (!max.empty()) reduction.max = up(max);
    const std::vector<PoolColumn> columns =
        joined_columns(model_.card(), options_.features, options_.strand);
    reduction.columns = CudaBuffer<PoolColumn>(cuda, std::span<const PoolColumn>(columns));
    const Index strands = (need_forward_ ? 1 : 0) + (need_reverse_ ? 1 : 0);
    for (std::size_t begin = 0; begin < units.size();) {
      std::size_t end = begin;
      Index tokens = 0, rows = 0;
      while (end < units.size() &&
             (end == begin || tokens + units[end].length * strands <= lane.chunk())) {
        tokens += units[end].length * strands;
        rows += units[end++].count;
      }
      try {
        reduce_batch(reduction, begin, end);
      } catch (const Error& error) {
        // As in CudaLane::run: less at once may do, down to one unit's strands.
        if (error.fault() != Fault::memory || end == begin + 1) throw;
        lane.shrink(cuda, tokens);
        continue;
      }
      begin = end;
      done(rows);
    }
    const auto down = [&](const CudaBuffer<double>& from, View<double, 2> to) {
      if (from.size() > 0) cuda.copy_out(to.data, from.data(), from.bytes());
    };
    down(reduction.sum, sum);
    down(reduction.max, max);
    note_shortage();
  }
}

}  // namespace genossm
