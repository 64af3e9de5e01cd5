// bf16 on tensor cores, heads of 64 channels, 64 or 128 states. A block takes one head of one segment
// and goes through it in chunks of 64 tokens, the state in its registers in float32:
//
//   s[i] = sum of the log decays of the chunk up to token i
//   y[i] = exp(s[i]) C[i] h + sum_{j <= i} (C[i] . B[j]) exp(s[i] - s[j]) d[j] x[j]
//   h    = exp(s[63]) h + sum_j exp(s[63] - s[j]) d[j] B[j] (outer) x[j]
//
// Every warp owns 16 tokens of y and a quarter of the states.
#include "kernels/ssd/ssd.cuh"

namespace genossm {
namespace {

constexpr int kChunk = 64;
constexpr int kWidth = 64;     // channels of a head
constexpr int kThreads = 128;
constexpr int kPad = 8;        // elements between rows, so that ldmatrix meets every bank once
constexpr int kXRow = kWidth + kPad;

__device__ __forceinline__ unsigned shared_address(const void* p) {
  return static_cast<unsigned>(__cvta_generic_to_shared(p));
}
__device__ __forceinline__ void load_matrices(unsigned (&r)[4], const bf16* p) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(p)));
}
__device__ __forceinline__ void load_matrices_turned(unsigned (&r)[4], const bf16* p) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(p)));
}
__device__ __forceinline__ void multiply_add(float (&c)[4], const unsigned (&a)[4], unsigned b0,
                                             unsigned b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
__device__ __forceinline__ unsigned pair_of(float low, float high) {
  const __nv_bfloat162 v = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const unsigned*>(&v);
}
// 16 bytes from memory to shared memory behind the threads' backs; zeros where !valid.
__device__ __forceinline__ void copy_later(void* to, const void* from, bool valid) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from),
               "r"(valid ? 16 : 0));
}
__device__ __forceinline__ void copies_done() {
  asm volatile("cp.async.wait_all;" ::: "memory");
}

template <int N>
struct Tiles {
  static constexpr int kRow = N + kPad;
  bf16 x[kChunk * kXRow];
  bf16 B[kChunk * kRow];
};

// The steps of a whole segment, and their sums: computed once, so that no chunk waits for them.
struct Steps {
  float step[kCudaSegment];
  float sum[kCudaSegment];   // of log2 decays, from the start of each chunk
  bf16 left[kCudaSegment];   // exp(sum of the chunk - sum) step: what is left of an input at its end
};

// What both phases do for a chunk.
template <int N>
struct Chunk {
  const SsdScan<bf16>& scan;
  SsdSegment rows;
  int head;
  Index group;
  Steps& steps;

  template <int kColumns>
  __device__ __forceinline__ void fetch_matrix(bf16* to, const bf16* from, Index stride, int start) const {
    constexpr int kPacks = kColumns / 8, kAtOnce = kThreads / kPacks, kTo = kColumns + kPad;
    const int t = static_cast<int>(threadIdx.x) / kPacks, at = static_cast<int>(threadIdx.x) % kPacks * 8;
    const Index step = rows.step * stride;
    const bf16* p = from + rows.row * stride + (start + t) * step + at;
    bf16* q = to + t * kTo + at;
    if (start + kChunk <= rows.tokens) {
#pragma unroll
      for (int i = 0; i < kChunk; i += kAtOnce) copy_later(q + i * kTo, p + i * step, true);
    } else {
#pragma unroll
      for (int i = 0; i < kChunk; i += kAtOnce) {
        const bool valid = start + t + i < rows.tokens;
        copy_later(q + i * kTo, valid ? p + i * step : from, valid);
      }
    }
  }
  __device__ __forceinline__ void fetch_x(bf16* to, int start) const {
    fetch_matrix<kWidth>(to, scan.op.x.data + head * kWidth, scan.op.x.stride[0], start);
  }
  __device__ __forceinline__ void fetch_states(bf16* to, View<const bf16, 3> from, int start) const {
    fetch_matrix<N>(to, from.data + group * from.stride[1], from.stride[0], start);
  }

  // All steps; padding tokens have a step of 0. A warp takes two chunks, a lane two tokens of each. A
  // barrier must follow.
  __device__ __forceinline__ void prepare(float A) const {
    const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
#pragma unroll
    for (int c = warp; c < static_cast<int>(kCudaSegment) / kChunk; c += kThreads / 32) {
      const int t = c * kChunk + 2 * lane;
      float d[2], s[2];
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        d[i] = t + i < rows.tokens ? ssd_step(scan.op, rows.row + rows.step * (t + i), head) : 0.0f;
        s[i] = d[i] * A;
      }
      float both = s[0] + s[1];
#pragma unroll
      for (int reach = 1; reach < 32; reach <<= 1) {
        const float before = __shfl_up_sync(0xffffffffu, both, reach);
        if (lane >= reach) both += before;
      }
      const float whole = __shfl_sync(0xffffffffu, both, 31);
      s[0] = both - s[1];
      s[1] = both;
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        steps.step[t + i] = d[i];
        steps.sum[t + i] = s[i];
        steps.left[t + i] = from_float<bf16>(ex2(whole - s[i]) * d[i]);
      }
    }
  }
  __device__ __forceinline__ float whole(int start) const { return steps.sum[start + kChunk - 1]; }

  // h = exp(whole) h + (B left)^T x, the warp's N / 64 tiles of 16 states.
  __device__ __forceinline__ void advance(float (&h)[N / 64][8][4], const bf16* x, const bf16* B,
                                          int start) const {
    const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
    const float decay = ex2(whole(start));
#pragma unroll
    for (int m = 0; m < N / 64; ++m) {
#pragma unroll
      for (int n = 0; n < 8; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) h[m][n][i] *= decay;
      }
    }
#pragma unroll
    for (int k = 0; k < kChunk; k += 16) {
      const auto* left = reinterpret_cast<const __nv_bfloat162*>(steps.left + start + k);
      const __nv_bfloat162 near = left[lane % 4], far = left[lane % 4 + 4];
      unsigned a[N / 64][4];
#pragma unroll
      for (int m = 0; m < N / 64; ++m) {
        // Stored token by token; as A^T tile: matrices (t 0-7, n 0-7), (t 0-7, n 8-15), (t 8-15, ..).
        const int state = (warp * (N / 64) + m) * 16;
        const int t = k + lane % 8 + lane / 16 * 8, n = state + lane / 8 % 2 * 8;
        load_matrices_turned(a[m], B + t * Tiles<N>::kRow + n);
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const __nv_bfloat162 v =
              __hmul2(*reinterpret_cast<const __nv_bfloat162*>(&a[m][i]), i < 2 ? near : far);
          a[m][i] = *reinterpret_cast<const unsigned*>(&v);
        }
      }
#pragma unroll
      for (int n = 0; n < 8; n += 2) {
        unsigned b[4];
        const int t = k + lane % 16, p = n * 8 + lane / 16 * 8;
        load_matrices_turned(b, x + t * kXRow + p);
#pragma unroll
        for (int m = 0; m < N / 64; ++m) {
          multiply_add(h[m][n], a[m], b[0], b[1]);
          multiply_add(h[m][n + 1], a[m], b[2], b[3]);
        }
      }
    }
  }
};

// The state of a block in S: lane's rows and columns of the warp's tiles.
template <int N, class Body>
__device__ __forceinline__ void for_state(Body body) {
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
#pragma unroll
  for (int m = 0; m < N / 64; ++m) {
#pragma unroll
    for (int n = 0; n < 8; ++n) {
#pragma unroll
      for (int i = 0; i < 4; i += 2) {
        body(m, n, i, (warp * (N / 64) + m) * 16 + lane / 4 + i / 2 * 8, n * 8 + lane % 4 * 2);
      }
    }
  }
}

template <int N>
struct EndsMemory {
  Tiles<N> tiles[2];  // the next chunk comes while one is worked on
  Steps steps;
};

template <int N>
__global__ void __launch_bounds__(kThreads) ends_kernel(SsdScan<bf16> scan) {
  extern __shared__ __align__(16) unsigned char raw[];
  auto& memory = *reinterpret_cast<EndsMemory<N>*>(raw);
  const int head = static_cast<int>(blockIdx.x % scan.H);
  const Index segment = blockIdx.x / scan.H;
  if (!scan.end_is_used(segment)) return;
  const Chunk<N> chunk{scan, ssd_segment(scan, segment), head, head / (scan.H / scan.G), memory.steps};
  const auto fetch = [&](int start, Tiles<N>& to) {
    chunk.fetch_x(to.x, start);
    chunk.fetch_states(to.B, scan.op.B, start);
  };
  fetch(0, memory.tiles[0]);
  chunk.prepare(scan.op.A.data[head] * kLog2e);
  float h[N / 64][8][4] = {};
  float whole = 0;
  int side = 0;
  for (int start = 0; start < chunk.rows.tokens; start += kChunk, side ^= 1) {
    copies_done();
    __syncthreads();
    if (start + kChunk < chunk.rows.tokens) fetch(start + kChunk, memory.tiles[side ^ 1]);
    chunk.advance(h, memory.tiles[side].x, memory.tiles[side].B, start);
    whole += chunk.whole(start);
  }
  const Index at = segment * scan.H + head;
  if (threadIdx.x == 0) scan.sums[at] = whole;
  float* S = scan.S + at * N * kWidth;
  for_state<N>([&](int m, int n, int i, int state, int p) {
    *reinterpret_cast<float2*>(S + state * kWidth + p) = make_float2(h[m][n][i], h[m][n][i + 1]);
  });
}

template <int N>
struct OutputsMemory {
  Tiles<N> tiles;
  bf16 C[kChunk * Tiles<N>::kRow];
  bf16 h[N * kXRow];  // the state at the chunk's start
  Steps steps;
};

template <int N>
__global__ void __launch_bounds__(kThreads, N == 64 ? 4 : 3) outputs_kernel(SsdScan<bf16> scan) {
  extern __shared__ __align__(16) unsigned char raw[];
  auto& memory = *reinterpret_cast<OutputsMemory<N>*>(raw);
  auto& tiles = memory.tiles;
  const auto& op = scan.op;
  constexpr int kRow = Tiles<N>::kRow;
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int head = static_cast<int>(blockIdx.x % scan.H);
  const Index segment = blockIdx.x / scan.H;
  const Chunk<N> chunk{scan, ssd_segment(scan, segment), head, head / (scan.H / scan.G), memory.steps};
  chunk.fetch_states(memory.C, op.C, 0);
  chunk.fetch_x(tiles.x, 0);
  chunk.fetch_states(tiles.B, op.B, 0);
  chunk.prepare(op.A.data[head] * kLog2e);
  float h[N / 64][8][4];
  const float* S = scan.S + (segment * scan.H + head) * N * kWidth;
  for_state<N>([&](int m, int n, int i, int state, int p) {
    const float2 v = *reinterpret_cast<const float2*>(S + state * kWidth + p);
    h[m][n][i] = v.x, h[m][n][i + 1] = v.y;
  });
  for (int start = 0; start < chunk.rows.tokens; start += kChunk) {
    for_state<N>([&](int m, int n, int i, int state, int p) {
      *reinterpret_cast<unsigned*>(&memory.h[state * kXRow + p]) = pair_of(h[m][n][i], h[m][n][i + 1]);
    });
    copies_done();
    __syncthreads();
    const float* sum = memory.steps.sum + start;
    const float* step = memory.steps.step + start;

    // The warp's 16 tokens: rows r and r + 8 of a lane.
    const int first = warp * 16, r = first + lane / 4;
    const float s0 = sum[r], s1 = sum[r + 8];
    float y[8][4] = {};
    // exp(s[i]) C[i] h
#pragma unroll
    for (int k = 0; k < N; k += 16) {
      unsigned a[4];
      load_matrices(a, memory.C + (first + lane % 16) * kRow + k + lane / 16 * 8);
#pragma unroll
      for (int n = 0; n < 8; n += 2) {
        unsigned b[4];
        load_matrices_turned(b, memory.h + (k + lane % 16) * kXRow + n * 8 + lane / 16 * 8);
        multiply_add(y[n], a, b[0], b[1]);
        multiply_add(y[n + 1], a, b[2], b[3]);
      }
    }
    // exp(s[i] - s[j]) in two factors around the token before the warp's own, none above 1: one for
    // the earlier tokens, one for the rows.
    const float border = first > 0 ? sum[first - 1] : 0.0f, from_start = ex2(border);
#pragma unroll
    for (int n = 0; n < 8; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) y[n][i] *= from_start;
    }
    const auto scores = [&](int j, float (&score)[2][4]) {
#pragma unroll
      for (int k = 0; k < N; k += 16) {
        unsigned a[4], b[4];
        load_matrices(a, memory.C + (first + lane % 16) * kRow + k + lane / 16 * 8);
        // Two tiles of 8 tokens, each with its two halves of 8 states.
        load_matrices(b, tiles.B + (j + lane % 8 + lane / 16 * 8) * kRow + k + lane / 8 % 2 * 8);
        multiply_add(score[0], a, b[0], b[1]);
        multiply_add(score[1], a, b[2], b[3]);
      }
    };
    const auto add_inputs = [&](int j, const unsigned (&p)[4]) {
#pragma unroll
      for (int n = 0; n < 8; n += 2) {
        unsigned b[4];
        load_matrices_turned(b, tiles.x + (j + lane % 16) * kXRow + n * 8 + lane / 16 * 8);
        multiply_add(y[n], p, b[0], b[1]);
        multiply_add(y[n + 1], p, b[2], b[3]);
      }
    };
#pragma unroll 1
    for (int j = 0; j < first; j += 16) {
      float score[2][4] = {};
      scores(j, score);
      unsigned p[4];
#pragma unroll
      for (int n = 0; n < 2; ++n) {
        const int c = j + n * 8 + lane % 4 * 2;
        const float w0 = ex2(border - sum[c]) * step[c], w1 = ex2(border - sum[c + 1]) * step[c + 1];
        p[2 * n] = pair_of(score[n][0] * w0, score[n][1] * w1);
        p[2 * n + 1] = pair_of(score[n][2] * w0, score[n][3] * w1);
      }
      add_inputs(j, p);
    }
    const float e0 = ex2(s0 - border), e1 = ex2(s1 - border);
#pragma unroll
    for (int n = 0; n < 8; ++n) y[n][0] *= e0, y[n][1] *= e0, y[n][2] *= e1, y[n][3] *= e1;
    {
      // The warp's own tokens, up to the diagonal.
      float score[2][4] = {};
      scores(first, score);
      unsigned p[4];
#pragma unroll
      for (int n = 0; n < 2; ++n) {
        const int c = first + n * 8 + lane % 4 * 2;
        const float d0 = step[c], d1 = step[c + 1], q0 = sum[c], q1 = sum[c + 1];
        // Masked before the exponential, which would overflow above the diagonal.
        const float w00 = c <= r ? ex2(s0 - q0) * d0 : 0.0f, w01 = c + 1 <= r ? ex2(s0 - q1) * d1 : 0.0f;
        const float w10 = c <= r + 8 ? ex2(s1 - q0) * d0 : 0.0f;
        const float w11 = c + 1 <= r + 8 ? ex2(s1 - q1) * d1 : 0.0f;
        p[2 * n] = pair_of(score[n][0] * w00, score[n][1] * w01);
        p[2 * n + 1] = pair_of(score[n][2] * w10, score[n][3] * w11);
      }
      add_inputs(first, p);
    }
    const bool more = start + kChunk < chunk.rows.tokens;
    __syncthreads();  // C and h are no longer read
    if (more) chunk.fetch_states(memory.C, op.C, start + kChunk);
    chunk.advance(h, tiles.x, tiles.B, start);
    const int channel = head * kWidth + lane % 4 * 2;
    const Index top = chunk.rows.row + chunk.rows.step * (start + r), low = top + chunk.rows.step * 8;
    const bool valid[2] = {start + r < chunk.rows.tokens, start + r + 8 < chunk.rows.tokens};
    bf16* out[2] = {op.y.row(top) + channel, op.y.row(low) + channel};
    const bf16* z[2] = {op.z.row(top) + channel, op.z.row(low) + channel};
#pragma unroll
    for (int n = 0; n < 8; ++n) {
      float skip[2] = {};
      if (!op.skip.empty()) load_pack<float, 2>(op.skip.data + channel + n * 8, skip);
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        if (!valid[half]) continue;
        float v[2], x[2];
        load_pack<bf16, 2>(tiles.x + (r + half * 8) * kXRow + n * 8 + lane % 4 * 2, x);
#pragma unroll
        for (int i = 0; i < 2; ++i) v[i] = fmaf(skip[i], x[i], y[n][2 * half + i]);
        if (!op.z.empty()) {
          float gate[2];
          load_pack<bf16, 2>(z[half] + n * 8, gate);
          v[0] *= silu_of<bf16>(gate[0]), v[1] *= silu_of<bf16>(gate[1]);
        }
        if (op.accumulate) {
          float before[2];
          load_pack<bf16, 2>(out[half] + n * 8, before);
          v[0] += before[0], v[1] += before[1];
        }
        store_pack<bf16, 2>(out[half] + n * 8, v);
      }
    }
    __syncthreads();  // nor are x and B
    if (!more) break;
    chunk.fetch_x(tiles.x, start + kChunk);
    chunk.fetch_states(tiles.B, op.B, start + kChunk);
  }
}

template <int N>
void start_ends(Cuda& cuda, const SsdScan<bf16>& scan) {
  constexpr std::size_t bytes = sizeof(EndsMemory<N>);
  ok(cudaFuncSetAttribute(ends_kernel<N>, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)));
  ends_kernel<N><<<static_cast<unsigned>(scan.segments * scan.H), kThreads, bytes, stream_of(cuda)>>>(scan);
  ok_launch();
}

template <int N>
void start_outputs(Cuda& cuda, const SsdScan<bf16>& scan) {
  constexpr std::size_t bytes = sizeof(OutputsMemory<N>);
  ok(cudaFuncSetAttribute(outputs_kernel<N>, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)));
  outputs_kernel<N><<<static_cast<unsigned>(scan.segments * scan.H), kThreads, bytes, stream_of(cuda)>>>(scan);
  ok_launch();
}

}  // namespace

bool ssd_chunks_fit(const SsdScan<bf16>& scan) {
  const auto& op = scan.op;
  return scan.P == kWidth && (scan.N == 64 || scan.N == 128) && op.B.stride[2] == 1 &&
         op.C.stride[2] == 1 && op.B.stride[1] % 8 == 0 && op.C.stride[1] % 8 == 0 &&
         aligned_for(op.x.data, op.x.stride[0], 8) && aligned_for(op.B.data, op.B.stride[0], 8) &&
         aligned_for(op.C.data, op.C.stride[0], 8) &&
         aligned_for(op.skip.data, 0, 2) && aligned_for(op.y.data, op.y.stride[0], 2) &&
         (op.z.empty() || aligned_for(op.z.data, op.z.stride[0], 2));
}
void ssd_chunks_ends(Cuda& cuda, const SsdScan<bf16>& scan) {
  scan.N == 64 ? start_ends<64>(cuda, scan) : start_ends<128>(cuda, scan);
}
void ssd_chunks_outputs(Cuda& cuda, const SsdScan<bf16>& scan) {
  scan.N == 64 ? start_outputs<64>(cuda, scan) : start_outputs<128>(cuda, scan);
}

}  // namespace genossm
