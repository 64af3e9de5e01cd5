// A block takes some rows of one head and goes over the keys block by block, the softmax kept
// relative to the largest score so far. Eight threads share two rows: each has every eighth key of
// the scores and every eighth column of the sums. Every sum has one order, whatever rows are
// beside.
#include <string>

#include "kernels/attention/attention.h"
#include "kernels/core/cuda/device.cuh"
#include "kernels/core/cuda/impl.h"

namespace genossm {
namespace {

constexpr int kKeys = 32;     // of a block; blocks begin at multiples of it
constexpr int kShare = 8;     // threads that share rows
constexpr int kOfThread = 2;  // rows

// kE: columns of a head, rounded up.
template <int kE>
struct Tile {
  static constexpr int kRows = kE > 128 ? 32 : 64;
  static constexpr int kThreads = kRows / kOfThread * kShare;
  static constexpr int kRow = kE + 1;  // odd: rows lie in different banks
  float q[kRows][kRow];
  float k[kKeys][kRow];
  float v[kKeys][kE];
  float p[kRows][kKeys + 1];
};

__device__ __forceinline__ bool sees(const KeyRanges& r, Index j) {
  return (j >= r.first.begin && j < r.first.end) || (j >= r.second.begin && j < r.second.end);
}
__device__ __forceinline__ bool sees_some(const KeyRanges& r, Index begin, Index end) {
  const auto meets = [&](const KeyRange& a) {
    return a.begin < a.end && a.begin < end && a.end > begin;
  };
  return meets(r.first) || meets(r.second);
}
__device__ __forceinline__ bool sees_all(const KeyRanges& r, Index begin, Index end) {
  return (r.first.begin <= begin && r.first.end >= end) ||
         (r.second.begin <= begin && r.second.end >= end);
}

template <class T, class KV, int kE>
__global__ void __launch_bounds__(Tile<kE>::kThreads) attention_kernel(BasicAttention<T, KV> op) {
  using Shared = Tile<kE>;
  extern __shared__ float memory[];
  Shared& tile = *reinterpret_cast<Shared*>(memory);
  const Index L = op.q.extent[0], S = op.k.extent[0];
  const int E = static_cast<int>(op.q.extent[1] / op.heads);
  const Index head = blockIdx.y, g = head / (op.heads / op.kv_heads) * E;
  // The last tiles of causal models have the most keys: they come first.
  const Index row0 = static_cast<Index>(gridDim.x - 1 - blockIdx.x) * Shared::kRows;
  const int thread = static_cast<int>(threadIdx.x), x = thread % kShare;
  const int own = thread / kShare * kOfThread;  // first of its rows
  constexpr float kMinusInfinity = -INFINITY;

  for (int i = thread; i < Shared::kRows * kE; i += Shared::kThreads) {
    const int r = i / kE, e = i % kE;
    const bool there = row0 + r < L && e < E;
    // Exponentials to the base 2.
    tile.q[r][e] = there ? to_float(op.q.row(row0 + r)[head * E + e]) * (op.scale * kLog2e) : 0.0f;
  }
  KeyRanges seen[kOfThread];
  Index low = S, high = 0;
#pragma unroll
  for (int r = 0; r < kOfThread; ++r) {
    if (row0 + own + r < L) {
      seen[r] = visible_keys(op.mask, op.window, row0 + own + r, L, S);
    }
  }
  // What the rows of the tile see together lies between these.
  {
    const Index last = row0 + Shared::kRows < L ? row0 + Shared::kRows - 1 : L - 1;
    const KeyRanges a = visible_keys(op.mask, op.window, row0, L, S);
    const KeyRanges b = visible_keys(op.mask, op.window, last, L, S);
    const bool one_way = op.mask == AttentionMask::causal || op.mask == AttentionMask::window;
    low = one_way ? a.first.begin : 0;
    high = one_way ? b.first.end : S;
  }
  float sum[kOfThread][kE / kShare] = {};
  float largest[kOfThread], weight[kOfThread] = {};
#pragma unroll
  for (int r = 0; r < kOfThread; ++r) largest[r] = kMinusInfinity;

  for (Index block = low - (op.first + low) % kKeys; block < high; block += kKeys) {
    bool some = false, all = true;
#pragma unroll
    for (int r = 0; r < kOfThread; ++r) {
      some = some || sees_some(seen[r], block, block + kKeys);
      all = all && (row0 + own + r >= L || sees_all(seen[r], block, block + kKeys));
    }
    // Also the end of all reading of the last block.
    if (!__syncthreads_or(some)) continue;
    all = __syncthreads_and(all);
    for (int i = thread; i < kKeys * kE; i += Shared::kThreads) {
      const int j = i / kE, e = i % kE;
      const bool there = block + j >= 0 && block + j < S && e < E;
      tile.k[j][e] = there ? to_float(op.k.row(block + j)[g + e]) : 0.0f;
      tile.v[j][e] = there ? to_float(op.v.row(block + j)[g + e]) : 0.0f;
    }
    __syncthreads();
    constexpr int kOwnKeys = kKeys / kShare;
    float s[kOfThread][kOwnKeys] = {};
    for (int e = 0; e < E; ++e) {
      float key[kOwnKeys];
#pragma unroll
      for (int j = 0; j < kOwnKeys; ++j) key[j] = tile.k[x + j * kShare][e];
#pragma unroll
      for (int r = 0; r < kOfThread; ++r) {
        const float q = tile.q[own + r][e];
#pragma unroll
        for (int j = 0; j < kOwnKeys; ++j) s[r][j] = fmaf(q, key[j], s[r][j]);
      }
    }
#pragma unroll
    for (int r = 0; r < kOfThread; ++r) {
      if (!all) {
#pragma unroll
        for (int j = 0; j < kOwnKeys; ++j) {
          if (!sees(seen[r], block + x + j * kShare)) s[r][j] = kMinusInfinity;
        }
      }
      float top = s[r][0];
#pragma unroll
      for (int j = 1; j < kOwnKeys; ++j) top = fmaxf(top, s[r][j]);
#pragma unroll
      for (int step = 1; step < kShare; step <<= 1) {
        top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, step));
      }
      top = fmaxf(top, largest[r]);
      // A row that sees nothing of this block is left as it is.
      const bool any = sees_some(seen[r], block, block + kKeys);
      float added = 0;
#pragma unroll
      for (int j = 0; j < kOwnKeys; ++j) {
        const float p = any ? ex2(s[r][j] - top) : 0.0f;
        tile.p[own + r][x + j * kShare] = p;
        added += p;
      }
#pragma unroll
      for (int step = 1; step < kShare; step <<= 1) {
        added += __shfl_xor_sync(0xffffffffu, added, step);
      }
      if (any) {
        if (top > largest[r] && weight[r] != 0) {
          const float shrink = ex2(largest[r] - top);
          weight[r] *= shrink;
#pragma unroll
          for (int i = 0; i < kE / kShare; ++i) sum[r][i] *= shrink;
        }
        weight[r] += added;
        largest[r] = top;
      }
    }
    __syncwarp();  // the eight threads that share rows belong to one warp
    for (int j = 0; j < kKeys; ++j) {
      float p[kOfThread];
#pragma unroll
      for (int r = 0; r < kOfThread; ++r) p[r] = tile.p[own + r][j];
      const float* v = tile.v[j] + x;
      if (all) {
#pragma unroll
        for (int i = 0; i < kE / kShare; ++i) {
          const float value = v[i * kShare];
#pragma unroll
          for (int r = 0; r < kOfThread; ++r) sum[r][i] = fmaf(p[r], value, sum[r][i]);
        }
      } else {
        // What is not seen may not be a number.
#pragma unroll
        for (int r = 0; r < kOfThread; ++r) {
          if (!sees(seen[r], block + j)) continue;
#pragma unroll
          for (int i = 0; i < kE / kShare; ++i) {
            sum[r][i] = fmaf(p[r], v[i * kShare], sum[r][i]);
          }
        }
      }
    }
  }
#pragma unroll
  for (int r = 0; r < kOfThread; ++r) {
    const Index row = row0 + own + r;
    if (row >= L) continue;
    const bool any = sees_some(seen[r], 0, S);
#pragma unroll
    for (int i = 0; i < kE / kShare; ++i) {
      const int e = x + i * kShare;
      if (e < E) {
        op.y.row(row)[head * E + e] = from_float<T>(any ? sum[r][i] / weight[r] : 0.0f);
      }
    }
  }
}

template <class T, class KV, int kE>
void start(Cuda& cuda, const BasicAttention<T, KV>& op) {
  using Shared = Tile<kE>;
  constexpr int bytes = sizeof(Shared);
  ok(cudaFuncSetAttribute(attention_kernel<T, KV, kE>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                          bytes));
  const dim3 grid(static_cast<unsigned>(div_up(op.q.extent[0], Shared::kRows)),
                  static_cast<unsigned>(op.heads));
  attention_kernel<T, KV, kE><<<grid, Shared::kThreads, bytes, stream_of(cuda)>>>(op);
  ok_launch();
}

template <class T, class KV>
void run_any(Cuda& cuda, const BasicAttention<T, KV>& op) {
  if (op.q.size() == 0) return;
  const Index E = op.q.extent[1] / op.heads;
  if (E <= 16) return start<T, KV, 16>(cuda, op);
  if (E <= 32) return start<T, KV, 32>(cuda, op);
  if (E <= 64) return start<T, KV, 64>(cuda, op);
  if (E <= 128) return start<T, KV, 128>(cuda, op);
  if (E <= 256) return start<T, KV, 256>(cuda, op);
  fail(Fault::shape,
       "attention: heads of " + std::to_string(E) + " columns, a GPU takes at most 256");
}

constexpr int kCopyThreads = 256;

template <class T, class KV>
__global__ void __launch_bounds__(kCopyThreads) copy_kernel(BasicCacheRows<T, KV> op) {
  const Index t = blockIdx.x;
  for (Index c = threadIdx.x; c < op.from.extent[1]; c += kCopyThreads) {
    op.to.row(t)[c] = from_float<KV>(to_float(op.from.row(t)[c]));
  }
}

template <class T, class KV>
void copy_any(Cuda& cuda, const BasicCacheRows<T, KV>& op) {
  if (op.from.size() == 0) return;
  copy_kernel<T, KV>
      <<<static_cast<unsigned>(op.from.extent[0]), kCopyThreads, 0, stream_of(cuda)>>>(op);
  ok_launch();
}

}  // namespace

void run(Cuda& cuda, const AttentionOf<float>& op) { run_any(cuda, op); }
void run(Cuda& cuda, const AttentionOf<bf16>& op) { run_any(cuda, op); }
void run(Cuda& cuda, const BasicAttention<bf16, bf16>& op) { run_any(cuda, op); }
void run(Cuda& cuda, const CacheRows<float>& op) { copy_any(cuda, op); }
void run(Cuda& cuda, const CacheRows<bf16>& op) { copy_any(cuda, op); }
void run(Cuda& cuda, const BasicCacheRows<bf16, bf16>& op) { copy_any(cuda, op); }

}  // namespace genossm
