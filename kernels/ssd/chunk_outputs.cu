// Phase 3 on tensor cores: the outputs of a segment from the state at its start.
#include "kernels/ssd/chunks.cuh"

namespace genossm {
namespace {

constexpr int kWeightRow = kChunk + kPad;
constexpr int kTiles = kChunk / 8;  // of 8 tokens

template <int N, int kHeads>
struct OutputsMemory {
  bf16 B[2][Chunk<N, kHeads>::kStatesSize];
  bf16 C[Chunk<N, kHeads>::kStatesSize];
  HeadTile x[2][kHeads];                     // y takes the place of x on its way out
  bf16 weight[kHeads][kChunk * kWeightRow];  // [i][j] = (C[i] . B[j]) exp(s[i] - s[j]) d[j]
  // Of the whole segment, computed once; sums from the start of each chunk, in log2.
  float step[kHeads][kCudaSegment], sum[kHeads][kCudaSegment];
  bf16 left[kHeads][kCudaSegment];  // of an input at its chunk's end: exp(later decays) step
};

// An 8 x 8 tile in registers, rows and columns exchanged.
__device__ __forceinline__ unsigned turned(unsigned v) {
  unsigned out;
  asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(out) : "r"(v));
  return out;
}

template <int N, int kHeads>
struct Outputs {
  using Mine = Chunk<N, kHeads>;
  const Mine& chunk;
  OutputsMemory<N, kHeads>& memory;

  __device__ __forceinline__ void prepare() const {
    const int head = chunk.head(), mine = Mine::local_head(), lane = this_lane();
    const float A = chunk.scan.op.A.data[head] * kLog2e;
#pragma unroll
    for (int i = 0; i < kChunks / 4; ++i) {
      const int start = (i * 4 + Mine::warp() % 4) * kChunk, t = start + 2 * lane;
      float d[2], s[2];
      const float whole = chunk.steps(head, A, start, d, s);
      *reinterpret_cast<float2*>(&memory.step[mine][t]) = make_float2(d[0], d[1]);
      *reinterpret_cast<float2*>(&memory.sum[mine][t]) = make_float2(s[0], s[1]);
      *reinterpret_cast<unsigned*>(&memory.left[mine][t]) =
          pair_of(ex2(whole - s[0]) * d[0], ex2(whole - s[1]) * d[1]);
    }
  }

  // Scores of 16 tokens i with 8 kCount tokens j, weighted for each head.
  template <int kCount>
  __device__ __forceinline__ void weigh_tiles(const bf16* B, int start, int i0, int j0) const {
    const int lane = this_lane();
    float score[kCount][4] = {};
    const bf16* c = memory.C + (i0 + lane % 16) * Mine::kRow + lane / 16 * 8;
    const bf16* b = B + (j0 + lane % 8) * Mine::kRow + lane / 8 * 8;
#pragma unroll
    for (int k = 0; k < N; k += 32) {
      unsigned near[4], far[4];
      load_matrices(near, c + k);
      load_matrices(far, c + k + 16);
#pragma unroll
      for (int n = 0; n < kCount; ++n) {
        unsigned both[4];
        load_matrices(both, b + n * 8 * Mine::kRow + k);
        multiply_add(score[n], near, both[0], both[1]);
        multiply_add(score[n], far, both[2], both[3]);
      }
    }
    const int i = i0 + lane / 4;
#pragma unroll
    for (int h = 0; h < kHeads; ++h) {
      const float* sum = memory.sum[h] + start;
      const float own[2] = {sum[i], sum[i + 8]};
#pragma unroll
      for (int n = 0; n < kCount; ++n) {
        const int j = j0 + n * 8 + lane % 4 * 2;
        const float2 d = *reinterpret_cast<const float2*>(&memory.step[h][start + j]);
        const float2 s = *reinterpret_cast<const float2*>(sum + j);
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const int at = i + half * 8;
          // Masked before the exponential, which would overflow above the diagonal.
          const float v0 = j <= at ? ex2(own[half] - s.x) * d.x : 0.0f;
          const float v1 = j + 1 <= at ? ex2(own[half] - s.y) * d.y : 0.0f;
          *reinterpret_cast<unsigned*>(&memory.weight[h][at * kWeightRow + j]) =
              pair_of(score[n][2 * half] * v0, score[n][2 * half + 1] * v1);
        }
      }
    }
  }
  // The tiles on and below the diagonal, 2, 4, 6 and 8 in the four rows of tiles, in eight shares.
  __device__ __forceinline__ void weigh(const bf16* B, int start) const {
#pragma unroll 1
    for (int share = Mine::warp(); share < 8; share += kHeads * 4) {
      const int row = share < 3 ? 3 : share < 5 ? 2 : share < 7 ? 1 : 0;
      const int before = share < 3 ? share * 3 : share < 5 ? share * 3 - 9 : (share - 5) % 2 * 2;
      if (share < 2 || share == 3 || share == 4) {
        weigh_tiles<3>(B, start, row * 16, before * 8);
      } else {
        weigh_tiles<2>(B, start, row * 16, before * 8);
      }
    }
  }

  // y^T of the warp's channels: what the state gives.
  __device__ __forceinline__ void add_state(float (&y)[kTiles][4], const typename Mine::State& h,
                                            int start) const {
    const int lane = this_lane();
    const bf16* c = memory.C + (lane % 8 + lane / 16 * 8) * Mine::kRow + lane / 8 % 2 * 8;
#pragma unroll
    for (int k = 0; k < N / 16; ++k) {
      const unsigned a[4] = {pair_of(h[2 * k][0], h[2 * k][1]), pair_of(h[2 * k][2], h[2 * k][3]),
                             pair_of(h[2 * k + 1][0], h[2 * k + 1][1]),
                             pair_of(h[2 * k + 1][2], h[2 * k + 1][3])};
#pragma unroll
      for (int n = 0; n < kTiles; n += 2) {
        unsigned b[4];
        load_matrices(b, c + n * 8 * Mine::kRow + k * 16);
        multiply_add(y[n], a, b[0], b[1]);
        multiply_add(y[n + 1], a, b[2], b[3]);
      }
    }
    const float* sum = memory.sum[Mine::local_head()] + start + lane % 4 * 2;
#pragma unroll
    for (int n = 0; n < kTiles; ++n) {
      const float2 s = *reinterpret_cast<const float2*>(sum + n * 8);
      const float e0 = ex2(s.x), e1 = ex2(s.y);
      y[n][0] *= e0, y[n][1] *= e1, y[n][2] *= e0, y[n][3] *= e1;
    }
  }
  // And what the chunk's own inputs give, directly and through the skip.
  __device__ __forceinline__ void add_inputs(float (&y)[kTiles][4], HeadTile& tile) const {
    const int lane = this_lane();
    const auto& op = chunk.scan.op;
    float skip[2] = {};
    if (!op.skip.empty()) {
      skip[0] = op.skip.data[chunk.channel() + lane / 4];
      skip[1] = op.skip.data[chunk.channel() + lane / 4 + 8];
    }
    const bf16* w = memory.weight[Mine::local_head()] + (lane % 8 + lane / 16 * 8) * kWeightRow +
                    lane / 8 % 2 * 8;
#pragma unroll
    for (int j = 0; j < kTiles / 2; ++j) {
      unsigned x[4];
      Mine::load_inputs(x, tile, j * 16);
#pragma unroll
      for (int n = 2 * j; n < kTiles; n += 2) {
        unsigned b[4];
        load_matrices(b, w + n * 8 * kWeightRow + j * 16);
        multiply_add(y[n], x, b[0], b[1]);
        multiply_add(y[n + 1], x, b[2], b[3]);
      }
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        // Tile 2 j + i / 2, the warp's channels of half i % 2.
        const float2 v = floats_of(x[i]);
        float* out = &y[2 * j + i / 2][i % 2 * 2];
        out[0] = fmaf(skip[i % 2], v.x, out[0]), out[1] = fmaf(skip[i % 2], v.y, out[1]);
      }
    }
  }
  // Gate and sum in float32, then rounded; tiles turned, so that a lane has two neighbouring
  // channels of one token: [tile][half of the channels].
  __device__ __forceinline__ void finish(float (&y)[kTiles][4], unsigned (&out)[kTiles][2],
                                         int start) const {
    const auto& op = chunk.scan.op;
    if (!op.z.empty() || op.accumulate) {
      const int lane = this_lane(), c = chunk.channel() + lane % 4 * 2;
#pragma unroll
      for (int n = 0; n < kTiles; ++n) {
        const int t = start + n * 8 + lane / 4;
        const bool valid = t < chunk.rows.tokens;
        const Index row = chunk.rows.row + chunk.rows.step * t;
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const auto get = [&](const auto& view) {
            return floats_of(turned(
                valid ? *reinterpret_cast<const unsigned*>(view.row(row) + c + half * 8) : 0u));
          };
          float &v0 = y[n][2 * half], &v1 = y[n][2 * half + 1];
          if (!op.z.empty()) {
            const float2 gate = get(op.z);
            v0 *= silu_of<bf16>(gate.x), v1 *= silu_of<bf16>(gate.y);
          }
          if (op.accumulate) {
            const float2 before = get(op.y);
            v0 += before.x, v1 += before.y;
          }
        }
      }
    }
#pragma unroll
    for (int n = 0; n < kTiles; ++n) {
      out[n][0] = turned(pair_of(y[n][0], y[n][1]));
      out[n][1] = turned(pair_of(y[n][2], y[n][3]));
    }
  }

  // Into the warp's columns of the tile.
  __device__ __forceinline__ void stage(const unsigned (&out)[kTiles][2], HeadTile& tile) const {
    const int lane = this_lane();
#pragma unroll
    for (int n = 0; n < kTiles; ++n) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        bf16* p = tile.at(n * 8 + lane / 4, Mine::warp() % 4 * 2 + half) + lane % 4 * 2;
        *reinterpret_cast<unsigned*>(p) = out[n][half];
      }
    }
  }
  // From there to memory, whole rows of the head.
  __device__ __forceinline__ void put(HeadTile& tile, int start) const {
    const auto& y = chunk.scan.op.y;
    const int channel = chunk.head() * kWidth;
    Mine::for_rows([&](int t, int unit) {
      if (start + t >= chunk.rows.tokens) return;
      *reinterpret_cast<uint4*>(y.row(chunk.rows.row + chunk.rows.step * (start + t)) + channel +
                                unit * 8) = *reinterpret_cast<const uint4*>(tile.at(t, unit));
    });
  }
};

template <int N, int kHeads>
__global__ void __launch_bounds__(kHeads* kHeadThreads, 4 / kHeads)
    outputs_kernel(SsdScan<bf16> scan) {
  using Mine = Chunk<N, kHeads>;
  extern __shared__ __align__(16) unsigned char raw[];
  auto& memory = *reinterpret_cast<OutputsMemory<N, kHeads>*>(raw);
  const int blocks = scan.H / kHeads;
  const Index segment = blockIdx.x / blocks;
  const Mine chunk(scan, segment, static_cast<int>(blockIdx.x % blocks));
  const Outputs<N, kHeads> outputs{chunk, memory};
  const auto& op = scan.op;
  const int tokens = chunk.rows.tokens;
  chunk.fetch_states(memory.C, op.C, 0);
  chunk.fetch_states(memory.B[0], op.B, 0);
  chunk.fetch_inputs(memory.x[0][Mine::local_head()], 0);
  commit_copies();
  outputs.prepare();
  typename Mine::State h;
  chunk.for_state(h, scan.S + (segment * scan.H + chunk.head()) * N * kWidth,
                  [](float& value, float place) { value = place; });
  int side = 0;
  for (int start = 0; start < tokens; start += kChunk, side ^= 1) {
    copies_done<0>();
    __syncthreads();
    HeadTile& other = memory.x[side ^ 1][Mine::local_head()];
    if (start > 0) outputs.put(other, start - kChunk);
    const bool more = start + kChunk < tokens;
    if (more) {
      chunk.fetch_inputs(other, start + kChunk);
      chunk.fetch_states(memory.B[side ^ 1], op.B, start + kChunk);
      commit_copies();
    }
    outputs.weigh(memory.B[side], start);
    float y[kTiles][4] = {};
    outputs.add_state(y, h, start);
    __syncthreads();  // the weights are there, C is no longer read
    if (more) {
      chunk.fetch_states(memory.C, op.C, start + kChunk);
      commit_copies();
    }
    HeadTile& tile = memory.x[side][Mine::local_head()];
    outputs.add_inputs(y, tile);
    unsigned out[kTiles][2];
    outputs.finish(y, out, start);
    if (more) {
      const float decay = ex2(memory.sum[Mine::local_head()][start + kChunk - 1]);
#pragma unroll
      for (int n = 0; n < N / 8; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) h[n][i] *= decay;
      }
      chunk.add_inputs(h, tile, memory.left[Mine::local_head()] + start, memory.B[side]);
    }
    __syncwarp();  // the warp's columns of x are no longer read
    outputs.stage(out, tile);
  }
  __syncthreads();
  outputs.put(memory.x[side ^ 1][Mine::local_head()], (tokens - 1) / kChunk * kChunk);
}

}  // namespace

bool ssd_chunks_fit(const SsdScan<bf16>& scan) {
  const auto& op = scan.op;
  return scan.P == kWidth && (scan.N == 64 || scan.N == 128) && op.B.stride[2] == 1 &&
         op.C.stride[2] == 1 && op.B.stride[1] % 8 == 0 && op.C.stride[1] % 8 == 0 &&
         aligned_for(op.x.data, op.x.stride[0], 8) && aligned_for(op.B.data, op.B.stride[0], 8) &&
         aligned_for(op.C.data, op.C.stride[0], 8) && aligned_for(op.y.data, op.y.stride[0], 8) &&
         (op.z.empty() || aligned_for(op.z.data, op.z.stride[0], 2));
}

void ssd_chunks_outputs(Cuda& cuda, const SsdScan<bf16>& scan) {
  with_ssd_sizes(cuda, scan, [&](auto n, auto heads) {
    constexpr int N = decltype(n)::value, kHeads = decltype(heads)::value;
    constexpr std::size_t bytes = sizeof(OutputsMemory<N, kHeads>);
    static_assert(bytes <= (kHeads == 2 ? kSharedForTwo : 96 * 1024));
    ok(cudaFuncSetAttribute(outputs_kernel<N, kHeads>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                            static_cast<int>(bytes)));
    outputs_kernel<N, kHeads><<<static_cast<unsigned>(scan.segments * (scan.H / kHeads)),
                                kHeads * kHeadThreads, bytes, stream_of(cuda)>>>(scan);
    ok_launch();
  });
}

}  // namespace genossm
