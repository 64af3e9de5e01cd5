// Phase 1 on tensor cores: what a segment leaves behind had it begun with zeros,
//
//   h = sum_t exp(sum of the log decays after t) d[t] B[t] (outer) x[t]
//
// chunk by chunk from the last to the first: once less than 2^-44 is left of a chunk's inputs, it
// and the earlier ones are not looked at.
#include "kernels/ssd/chunks.cuh"

namespace genossm {
namespace {

constexpr float kGone = -44.0f;  // log2 of what counts as nothing beside 1

template <int N, int kHeads>
struct EndsMemory {
  static constexpr int kStages = N == 64 ? 2 : 3;  // chunks that are there or on their way
  bf16 B[kStages][Chunk<N, kHeads>::kStatesSize];
  HeadTile x[kStages][kHeads];
  bf16 left[kHeads][kCudaSegment];  // of an input at the segment's end: exp(later decays) step
  float whole[kHeads][kChunks];     // each chunk's sum of log2 decays
};

template <int N, int kHeads>
__global__ void __launch_bounds__(kHeads* kHeadThreads, (N == 64 ? 6 : 4) / kHeads)
    ends_kernel(SsdScan<bf16> scan) {
  using Mine = Chunk<N, kHeads>;
  using Memory = EndsMemory<N, kHeads>;
  constexpr int kStages = Memory::kStages;
  extern __shared__ __align__(16) unsigned char raw[];
  auto& memory = *reinterpret_cast<Memory*>(raw);
  const int blocks = scan.H / kHeads;
  const Index segment = blockIdx.x / blocks;
  if (!scan.end_is_used(segment)) return;
  const Mine chunk(scan, segment, static_cast<int>(blockIdx.x % blocks));
  const int mine = Mine::local_head();
  const int last = (chunk.rows.tokens - 1) / kChunk;
  const auto fetch = [&](int c, int first) {
    if (c >= first) {
      chunk.fetch_states(memory.B[c % kStages], scan.op.B, c * kChunk);
      chunk.fetch_inputs(memory.x[c % kStages][mine], c * kChunk);
    }
    commit_copies();
  };
#pragma unroll
  for (int i = 0; i < kStages - 1; ++i) fetch(last - i, 0);

  // The head's four warps take two chunks each.
  const int lane = this_lane(), warp = Mine::warp(), head = chunk.head();
  const float A = scan.op.A.data[head] * kLog2e;
  float d[kChunks / 4][2], s[kChunks / 4][2];
#pragma unroll
  for (int i = 0; i < kChunks / 4; ++i) {
    const int c = i * 4 + warp % 4;
    const float whole = chunk.steps(head, A, c * kChunk, d[i], s[i]);
    if (lane == 0) memory.whole[mine][c] = whole;
  }
  __syncthreads();
#pragma unroll
  for (int i = 0; i < kChunks / 4; ++i) {
    const int c = i * 4 + warp % 4;
    float later = 0;
    for (int k = kChunks - 1; k >= c; --k) later += memory.whole[mine][k];
    *reinterpret_cast<unsigned*>(&memory.left[mine][c * kChunk + 2 * lane]) =
        pair_of(ex2(later - s[i][0]) * d[i][0], ex2(later - s[i][1]) * d[i][1]);
  }

  // The first chunk of which something is left, for one of the heads and for the warp's own.
  const bool forgets = scan.op.softplus || scan.op.dt_min >= 0;
  int first = 0, own = 0;
  if (forgets) {
    first = last;
#pragma unroll
    for (int k = 0; k < kHeads; ++k) {
      int c = last;
      // A NaN is not below: it stays.
      for (float later = 0; c > 0; --c) {
        later += memory.whole[k][c];
        if (later <= kGone) break;
      }
      first = min(first, c);
      if (k == mine) own = c;
    }
  }
  typename Mine::State h = {};
  for (int c = last; c >= first; --c) {
    copies_done<kStages - 2>();
    __syncthreads();
    fetch(c - (kStages - 1), first);
    if (c < own) continue;
    chunk.add_inputs(h, memory.x[c % kStages][mine], memory.left[mine] + c * kChunk,
                     memory.B[c % kStages]);
  }
  copies_done<0>();  // a block must not end before what it has asked for is there
  const Index at = segment * scan.H + head;
  if (lane == 0 && warp % 4 == 0) {
    float whole = 0;
    for (int c = 0; c <= last; ++c) whole += memory.whole[mine][c];
    scan.sums[at] = whole;
  }
  chunk.for_state(h, scan.S + at * N * kWidth, [](float value, float& place) { place = value; });
}

}  // namespace

void ssd_chunks_ends(Cuda& cuda, const SsdScan<bf16>& scan) {
  with_ssd_sizes(cuda, scan, [&](auto n, auto heads) {
    constexpr int N = decltype(n)::value, kHeads = decltype(heads)::value;
    constexpr std::size_t bytes = sizeof(EndsMemory<N, kHeads>);
    static_assert(bytes <= (kHeads == 2 ? kSharedForTwo : 96 * 1024));
    ok(cudaFuncSetAttribute(ends_kernel<N, kHeads>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                            static_cast<int>(bytes)));
    ends_kernel<N, kHeads><<<static_cast<unsigned>(scan.segments * (scan.H / kHeads)),
                             kHeads * kHeadThreads, bytes, stream_of(cuda)>>>(scan);
    ok_launch();
  });
}

}  // namespace genossm
