// bf16 on tensor cores, heads of 64 channels, 64 or 128 states. A block takes one segment of one or
// two heads that share B and C; a head belongs to four warps, each with 16 channels and all states.
// Chunks of 64 tokens:
//
//   s[i] = sum of the log decays of the chunk up to token i
//   y[i] = exp(s[i]) C[i] h + sum_{j <= i} (C[i] . B[j]) exp(s[i] - s[j]) d[j] x[j]
//   h    = exp(s[63]) h + sum_j exp(s[63] - s[j]) d[j] B[j] (outer) x[j]
//
// All products are computed with channels as rows (y^T, h^T): what the tensor cores leave of h in
// a warp's registers is then, rounded to bf16, the left side of the next product, and the scores
// C . B are the same for both heads. Private to this folder.
#pragma once

#include <type_traits>

#include "kernels/ssd/ssd.cuh"

namespace genossm {

inline constexpr int kChunk = 64;
inline constexpr int kWidth = 64;  // channels of a head
inline constexpr int kHeadThreads = 128;
inline constexpr int kPad = 8;  // elements between rows, so that ldmatrix meets every bank once
inline constexpr int kChunks = static_cast<int>(kCudaSegment) / kChunk;

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
__device__ __forceinline__ float2 floats_of(unsigned pair) {
  return __bfloat1622float2(*reinterpret_cast<const __nv_bfloat162*>(&pair));
}
__device__ __forceinline__ unsigned multiply_pairs(unsigned a, unsigned b) {
  const __nv_bfloat162 v = __hmul2(*reinterpret_cast<const __nv_bfloat162*>(&a),
                                   *reinterpret_cast<const __nv_bfloat162*>(&b));
  return *reinterpret_cast<const unsigned*>(&v);
}
// 16 bytes from memory to shared memory behind the threads' backs; zeros where !valid. Nothing that
// is read before may be read after it.
__device__ __forceinline__ void copy_later(void* to, const void* from, bool valid) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from),
               "r"(valid ? 16 : 0)
               : "memory");
}
__device__ __forceinline__ void commit_copies() { asm volatile("cp.async.commit_group;"); }
// All but the last kGroups commits.
template <int kGroups>
__device__ __forceinline__ void copies_done() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kGroups) : "memory");
}

// The thread, asked for anew wherever it is needed: addresses that depend on it are then computed
// where they are used instead of being kept in registers, of which the state takes most.
__device__ __forceinline__ int this_thread() {
  int t;
  asm volatile("mov.u32 %0, %%tid.x;" : "=r"(t));
  return t;
}
__device__ __forceinline__ int this_lane() { return this_thread() % 32; }

// The channels of a head, token by token, without gaps: 16-byte units change places from token to
// token, so that ldmatrix meets every bank once.
struct HeadTile {
  bf16 x[kChunk * kWidth];
  __device__ __forceinline__ bf16* at(int t, int unit) {
    return x + t * kWidth + ((unit ^ t) & 7) * 8;
  }
};

// What both phases do. kHeads: of a block.
template <int N, int kHeads>
struct Chunk {
  static constexpr int kThreads = kHeads * kHeadThreads;
  static constexpr int kRow = N + kPad;
  static constexpr int kStatesSize = kChunk * kRow;
  using State = float[N / 8][4];  // h^T: a warp's 16 channels, tiles of 8 states

  const SsdScan<bf16>& scan;
  SsdSegment rows;
  int first_head;
  Index group;

  __device__ __forceinline__ Chunk(const SsdScan<bf16>& the_scan, Index segment, int heads)
      : scan(the_scan),
        rows(ssd_segment(the_scan, segment)),
        first_head(heads * kHeads),
        group(first_head / (the_scan.H / the_scan.G)) {}
  static __device__ __forceinline__ int warp() { return this_thread() / 32; }
  static __device__ __forceinline__ int local_head() { return this_thread() / kHeadThreads; }
  __device__ __forceinline__ int head() const { return first_head + local_head(); }
  // The warp's first, of all.
  __device__ __forceinline__ int channel() const {
    return first_head * kWidth + this_thread() / 32 * 16;
  }

  // B or C of 64 tokens, by the whole block.
  __device__ __forceinline__ void fetch_states(bf16* to, View<const bf16, 3> from,
                                               int start) const {
    constexpr int kPacks = N / 8, kAtOnce = kThreads / kPacks;
    const int thread = this_thread(), t = thread / kPacks, at = thread % kPacks * 8;
    const bf16* base = from.data + group * from.stride[1];
    const Index step = rows.step * from.stride[0];
    const bf16* p = base + rows.row * from.stride[0] + (start + t) * step + at;
    bf16* q = to + t * kRow + at;
#pragma unroll
    for (int i = 0; i < kChunk; i += kAtOnce) {
      const bool valid = start + t + i < rows.tokens;
      copy_later(q + i * kRow, valid ? p + i * step : base, valid);
    }
  }
  // A thread's share of a head's rows: body(token of the chunk, its unit of 8 channels).
  template <class Body>
  static __device__ __forceinline__ void for_rows(Body body) {
    const int thread = this_thread() % kHeadThreads;
#pragma unroll
    for (int i = 0; i < kChunk; i += kHeadThreads / 8) body(i + thread / 8, thread % 8);
  }
  // The head's channels of 64 tokens, by its four warps.
  __device__ __forceinline__ void fetch_inputs(HeadTile& to, int start) const {
    const auto& x = scan.op.x;
    const Index step = rows.step * x.stride[0];
    const bf16* base = x.data + head() * kWidth;
    const bf16* p = base + rows.row * x.stride[0] + start * step;
    for_rows([&](int t, int unit) {
      const bool valid = start + t < rows.tokens;
      copy_later(to.at(t, unit), valid ? p + t * step + unit * 8 : base, valid);
    });
  }
  // x^T of the warp's channels and 16 tokens as the left side of a product.
  static __device__ __forceinline__ void load_inputs(unsigned (&a)[4], HeadTile& from, int k) {
    const int lane = this_lane();
    load_matrices_turned(a, from.at(k + lane % 8 + lane / 16 * 8, warp() % 4 * 2 + lane / 8 % 2));
  }

  // The steps of tokens start + 2 lane and the next of `head`, their log2 decays summed from
  // `start`, and the sum of all 64; by whole warps. Padding tokens have a step of 0.
  __device__ __forceinline__ float steps(int of_head, float A, int start, float (&d)[2],
                                         float (&s)[2]) const {
    const int lane = this_lane(), t = start + 2 * lane;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      d[i] =
          t + i < rows.tokens ? ssd_step(scan.op, rows.row + rows.step * (t + i), of_head) : 0.0f;
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
    return whole;
  }

  // h += (x left)^T B of a chunk; left: bf16 factors of its tokens.
  __device__ __forceinline__ void add_inputs(State& h, HeadTile& tile, const bf16* left,
                                             const bf16* B) const {
    const int lane = this_lane();
    const bf16* p = B + lane % 16 * kRow + lane / 16 * 8;
#pragma unroll
    for (int k = 0; k < kChunk; k += 16) {
      unsigned x[4];
      load_inputs(x, tile, k);
      const auto* pairs = reinterpret_cast<const unsigned*>(left + k);
      const unsigned near = pairs[lane % 4], far = pairs[lane % 4 + 4];
      const unsigned a[4] = {multiply_pairs(x[0], near), multiply_pairs(x[1], near),
                             multiply_pairs(x[2], far), multiply_pairs(x[3], far)};
#pragma unroll
      for (int n = 0; n < N / 8; n += 2) {
        unsigned b[4];
        load_matrices_turned(b, p + k * kRow + n * 8);
        multiply_add(h[n], a, b[0], b[1]);
        multiply_add(h[n + 1], a, b[2], b[3]);
      }
    }
  }

  // Calls body(value of h, place in S) for what the lane holds; S is [N, kWidth].
  template <class Body>
  __device__ __forceinline__ void for_state(State& h, float* S, Body body) const {
    const int lane = this_lane();
    float* p = S + lane % 4 * 2 * kWidth + warp() % 4 * 16 + lane / 4;
#pragma unroll
    for (int n = 0; n < N / 8; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) body(h[n][i], p[(n * 8 + i % 2) * kWidth + i / 2 * 8]);
    }
  }
};

// Two heads a block want up to 113 KiB of shared memory, one 83, which every GPU from sm_80 on has.
// The results are the same bits.
inline constexpr int kSharedForTwo = 116 * 1024;

// Calls body(N, heads of a block) with constants.
template <class Body>
void with_ssd_sizes(const Cuda& cuda, const SsdScan<bf16>& scan, Body body) {
  int shared = 0;
  ok(cudaDeviceGetAttribute(&shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, cuda.index()));
  const bool two = scan.H / scan.G % 2 == 0 && shared >= kSharedForTwo;
  using std::integral_constant;
  if (scan.N == 64) {
    two ? body(integral_constant<int, 64>(), integral_constant<int, 2>())
        : body(integral_constant<int, 64>(), integral_constant<int, 1>());
  } else {
    two ? body(integral_constant<int, 128>(), integral_constant<int, 2>())
        : body(integral_constant<int, 128>(), integral_constant<int, 1>());
  }
}

}  // namespace genossm
