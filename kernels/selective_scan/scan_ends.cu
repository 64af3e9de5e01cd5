// Phase 1: the state that a segment would leave behind had it begun with zeros,
//
//   h[n] = sum_t exp(A[n] * D[t]) * d[t] u[t] B[t, n],     D[t] = d[t+1] + ... + d[last]
//
// from the last token to the first. Written this way round, the inputs from which nothing is left
// at the segment's end are never looked at: once exp(A D) is below 2^-44 for a group of four states
// in all channels of a warp, the group is done, and once it is so for all groups, the segment.
#include "kernels/selective_scan/scan.cuh"

namespace genossm {
namespace {

constexpr float kGone = -44.0f;           // log2 of what counts as nothing beside 1
constexpr int kThreads = kScanWidth / 2;  // of a block: two channels each

template <class T, bool kSoftplus>
struct Ends {
  static constexpr int kGroup = sizeof(T) == 2 ? 8 : 4;  // tokens that are fetched together
  using Pair = Pack<T, 2>;
  float A[2][kScanStates], h[2][kScanStates], bias[2], sum[2];
  Pairs<T> u, dt;  // of the token that is loaded next
  // A thread's own places in shared memory: nothing else waits for them.
  Pair (*fetched)[2][kGroup][kThreads];
  int side = 0;

  // Tokens [first, first + kGroup) of the segment, last first, as far as there are such.
  __device__ __forceinline__ void fetch(int first, int tokens, int to) {
    const int tid = static_cast<int>(threadIdx.x);
#pragma unroll
    for (int i = 0; i < kGroup; ++i) {
      const int t = first + kGroup - 1 - i;
      if (t < 0 || t >= tokens) continue;
      u.fetch(&fetched[to][0][i][tid]), u.next();
      dt.fetch(&fetched[to][1][i][tid]), dt.next();
    }
    fetch_commit();
  }

  // Tokens [0, count) of the tile, last first, for the first 4 kQuads states.
  template <int kQuads>
  __device__ __forceinline__ void tile(const float (*B)[kScanStates], int start, int count) {
    const int tid = static_cast<int>(threadIdx.x);
#pragma unroll 1
    for (int first = (count - 1) / kGroup * kGroup; first >= 0; first -= kGroup, side ^= 1) {
      fetch(start + first - kGroup, start + first, side ^ 1);
      fetch_wait_for_all_but_last();
      const auto token = [&](int i) {
        const int t = first + kGroup - 1 - i;
        const Pair now_u = fetched[side][0][i][tid], now_dt = fetched[side][1][i][tid];
        float d[2], du[2];
#pragma unroll
        for (int k = 0; k < 2; ++k) {
          d[k] = to_float(now_dt.v[k]) + bias[k];
          if constexpr (kSoftplus) d[k] = softplus_of<T>(d[k]);
          du[k] = d[k] * to_float(now_u.v[k]);
        }
#pragma unroll
        for (int q = 0; q < kQuads; ++q) {
          const float4 b = *reinterpret_cast<const float4*>(&B[t][q * 4]);
          const float bs[4] = {b.x, b.y, b.z, b.w};
#pragma unroll
          for (int j = 0; j < 4; ++j) {
#pragma unroll
            for (int k = 0; k < 2; ++k) {
              const int n = q * 4 + j;
              h[k][n] = fmaf(ex2(A[k][n] * sum[k]), du[k] * bs[j], h[k][n]);
            }
          }
        }
#pragma unroll
        for (int k = 0; k < 2; ++k) sum[k] += d[k];
      };
      // Without a way around any of them the tokens' decays are computed beside each other.
      if (first + kGroup <= count) {
#pragma unroll
        for (int i = 0; i < kGroup; ++i) token(i);
      } else {
#pragma unroll 4
        for (int i = 0; i < kGroup; ++i) {
          if (first + kGroup - 1 - i < count) token(i);
        }
      }
    }
  }
};

template <class T, bool kSoftplus>
__global__ void __launch_bounds__(kThreads, 8) ends_kernel(Scan<T> scan, int blocks_a_segment) {
  using Mine = Ends<T, kSoftplus>;
  __shared__ __align__(16) float B[2][kScanTile][kScanStates];
  __shared__ typename Mine::Pair fetched[2][2][Mine::kGroup][kThreads];
  const int tid = static_cast<int>(threadIdx.x);
  const Index segment = blockIdx.x / blocks_a_segment;
  const int channel = static_cast<int>(blockIdx.x % blocks_a_segment) * kScanWidth + tid * 2;
  const bool mine = channel < scan.D;
  const int c = mine ? channel : scan.D - 2;
  const ScanInput<T>& in = scan.in;
  const SegmentRows rows = segment_rows(scan, segment);
  if (!scan.end_is_used(segment)) return;

  Mine ends;
  ends.fetched = fetched;
#pragma unroll
  for (int k = 0; k < 2; ++k) {
    ends.bias[k] = in.dt_bias != nullptr ? in.dt_bias[c + k] : 0.0f;
    ends.sum[k] = 0;
#pragma unroll
    for (int n = 0; n < kScanStates; ++n) {
      ends.A[k][n] = in.A[n * in.A_stride + c + k] * kLog2e;
      ends.h[k][n] = 0;
    }
  }
  ends.u.begin(in.u, in.u_stride, rows, c, true);
  ends.dt.begin(in.dt, in.dt_stride, rows, c, true);

  // Each pair of threads brings one token's B.
  const int tile_token = tid / 2, half = tid % 2 * 8;
  const auto load_states = [&](int start) {
    const int t = min(start + tile_token, rows.tokens - 1);
    return load_half_states(in.B + (rows.row + rows.step * t) * in.B_stride + half,
                            scan.aligned_states);
  };
  const int last_tile = (rows.tokens - 1) / kScanTile * kScanTile;
  HalfStates<T> next = load_states(last_tile);
  ends.fetch((rows.tokens - 1) / Mine::kGroup * Mine::kGroup, rows.tokens, 0);
  int buffer = 0;
  for (int start = last_tile; start >= 0; start -= kScanTile, buffer ^= 1) {
    store_half_states(next, &B[buffer][tile_token][half]);
    int quads = 4;
    if (scan.steps_are_positive) {
      quads = 0;
#pragma unroll
      for (int q = 0; q < 4; ++q) {
        bool left = false;
#pragma unroll
        for (int k = 0; k < 2; ++k) {
          const float* A = &ends.A[k][q * 4];
          const float slowest = fmaxf(fmaxf(A[0], A[1]), fmaxf(A[2], A[3]));
          left = left || slowest * ends.sum[k] > kGone;
        }
        if (__any_sync(0xffffffffu, left)) quads = q + 1;
      }
    }
    if (!__syncthreads_or(quads)) break;
    if (start > 0) next = load_states(start - kScanTile);
    const int count = min(kScanTile, rows.tokens - start);
    switch (quads) {
      case 4:
        ends.template tile<4>(B[buffer], start, count);
        break;
      case 3:
        ends.template tile<3>(B[buffer], start, count);
        break;
      case 2:
        ends.template tile<2>(B[buffer], start, count);
        break;
      case 1:
        ends.template tile<1>(B[buffer], start, count);
        break;
      default:
        ends.template tile<0>(B[buffer], start, count);
    }
  }
  if (!mine) return;
  *reinterpret_cast<float2*>(&scan.sums[segment * scan.D + c]) =
      make_float2(ends.sum[0], ends.sum[1]);
#pragma unroll
  for (int n = 0; n < kScanStates; ++n) {
    *reinterpret_cast<float2*>(&scan.S[(segment * kScanStates + n) * scan.D + c]) =
        make_float2(ends.h[0][n], ends.h[1][n]);
  }
}

}  // namespace

template <class T>
void scan_ends(Cuda& cuda, const Scan<T>& scan) {
  const int blocks = static_cast<int>(div_up(scan.D, kScanWidth));
  const auto grid = static_cast<unsigned>(scan.segments * blocks);
  if (scan.softplus) {
    ends_kernel<T, true><<<grid, kThreads, 0, stream_of(cuda)>>>(scan, blocks);
  } else {
    ends_kernel<T, false><<<grid, kThreads, 0, stream_of(cuda)>>>(scan, blocks);
  }
  ok_launch();
}
template void scan_ends(Cuda&, const Scan<float>&);
template void scan_ends(Cuda&, const Scan<bf16>&);

}  // namespace genossm
