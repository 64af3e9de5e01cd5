#include "kernels/core/cuda/device.cuh"
#include "kernels/core/cuda/impl.h"
#include "kernels/pool/pool.h"

namespace genossm {
namespace {

constexpr int kThreads = 32;

// The law wants the additions in token order, so the channels are the only parallel axis; several
// rows are loaded ahead to keep the memory busy.
__global__ void pool_kernel(Pool op) {
  const Index d = static_cast<Index>(blockIdx.x) * kThreads + threadIdx.x;
  const Index L = op.x.extent[0];
  if (d >= op.x.extent[1]) return;
  double sum = op.sum.data[d];
  constexpr int kAhead = 32;
  for (Index begin = 0; begin < L; begin += kAhead) {
    float x[kAhead];
    const Index n = L - begin < kAhead ? L - begin : kAhead;
#pragma unroll
    for (int k = 0; k < kAhead; ++k) x[k] = op.x.row(begin + (k < n ? k : n - 1))[d];
#pragma unroll
    for (int k = 0; k < kAhead; ++k) {
      if (k >= n) break;
      const double v = x[k];
      if (op.kind == Pool::Kind::mean) {
        sum += v;
      } else if (v > sum || v != v) {
        sum = v;
      }
    }
  }
  op.sum.data[d] = sum;
}

// A block takes 32 columns of one run. All its warps bring rows, joined, into shared memory while
// the first adds up those brought before: only the additions stand one after the other.
constexpr int kJoinWarps = 16;
constexpr int kTokensAWarp = 8;
constexpr int kTokens = kJoinWarps * kTokensAWarp;

__global__ void __launch_bounds__(kJoinWarps * 32) pool_joined_kernel(PoolJoined op) {
  __shared__ float joined[2][kTokens][32];
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const PoolRun run = op.runs.data[blockIdx.y];
  const Index C = op.columns.extent[0];
  const Index column = static_cast<Index>(blockIdx.x) * 32 + lane;
  const bool mine = column < C;
  const PoolColumn from = op.columns.data[mine ? column : C - 1];
  // Where the tile that is brought next begins.
  int piece = run.first;
  Index token = 0;
  const int end = run.first + run.pieces;
  const auto skip_empty = [&] {
    while (piece < end && token >= op.pieces.data[piece].count) ++piece, token = 0;
  };
  float p[kTokensAWarp], q[kTokensAWarp];
  // Brings the next tile; its number of tokens, 0 at the end.
  const auto bring = [&]() -> int {
    skip_empty();
    if (piece >= end) return 0;
    const PoolPiece at = op.pieces.data[piece];
    const int count =
        static_cast<int>(at.count - token < kTokens ? at.count - token : Index{kTokens});
#pragma unroll
    for (int i = 0; i < kTokensAWarp; ++i) {
      const int t = warp * kTokensAWarp + i;
      const Index token_now = token + (t < count ? t : count - 1);
      const float* forward = op.x.row(at.forward + token_now);
      const float* back = op.x.row(at.back - token_now);
      p[i] = (from.p_back ? back : forward)[from.p];
      q[i] = from.q >= 0 ? (from.q_back ? back : forward)[from.q] : 0.0f;
    }
    token += count;
    return count;
  };
  const auto store = [&](int side) {
#pragma unroll
    for (int i = 0; i < kTokensAWarp; ++i) {
      joined[side][warp * kTokensAWarp + i][lane] = from.q >= 0 ? 0.5f * (p[i] + q[i]) : p[i];
    }
  };
  double* sum_at = op.sum.row(run.record) + (mine ? column : 0);
  double* max_at = op.max.empty() ? nullptr : op.max.row(run.record) + (mine ? column : 0);
  double sum = *sum_at, max = max_at != nullptr ? *max_at : 0.0;
  int count = bring(), side = 0;
  store(side);
  __syncthreads();
  while (count > 0) {
    const int next = bring();
    if (warp == 0) {
#pragma unroll 8
      for (int i = 0; i < count; ++i) {
        const double v = joined[side][i][lane];
        sum += v;
        if (v > max || v != v) max = v;
      }
    }
    if (next > 0) store(side ^ 1);
    __syncthreads();
    count = next;
    side ^= 1;
  }
  if (warp != 0 || !mine) return;
  *sum_at = sum;
  if (max_at != nullptr) *max_at = max;
}

}  // namespace

void run(Cuda& cuda, const PoolJoined& op) {
  const Index runs = op.runs.extent[0], C = op.columns.extent[0];
  constexpr Index kRunsALaunch = 65535;
  for (Index first = 0; first < runs; first += kRunsALaunch) {
    PoolJoined part = op;
    const Index n = runs - first < kRunsALaunch ? runs - first : kRunsALaunch;
    part.runs = {op.runs.data + first, {n}};
    const dim3 grid(static_cast<unsigned>(div_up(C, 32)), static_cast<unsigned>(n));
    pool_joined_kernel<<<grid, kJoinWarps * 32, 0, stream_of(cuda)>>>(part);
    ok_launch();
  }
}

void run(Cuda& cuda, const Pool& op) {
  if (op.x.size() == 0) return;
  pool_kernel<<<static_cast<unsigned>(div_up(op.x.extent[1], kThreads)), kThreads, 0,
                stream_of(cuda)>>>(op);
  ok_launch();
}

}  // namespace genossm
