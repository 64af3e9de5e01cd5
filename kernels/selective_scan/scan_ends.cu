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

constexpr float kGone = -44.0f;  // log2 of what counts as nothing beside 1

template <class T, bool kSoftplus, int kChannels>
struct Ends {
  static constexpr int kGroup = sizeof(T) == 2 ? 8 : 4;  // tokens that are fetched together
  using Share = ScanShare<kChannels>;
  using Pair = Pack<T, 2>;
  const Share share;
  float A[kChannels][kScanStates], h[kChannels][kScanStates], bias[kChannels], sum[kChannels];
  Pairs<T> u, dt;  // of the token that is loaded next; one thread a pair has the one, one the other
  // A pair's own places in shared memory: nothing else waits for them.
  Pair (*fetched)[2][kGroup][Share::kPairs];
  int side = 0;

  // Tokens [first, first + kGroup) of the segment, last first, as far as there are such.
  __device__ __forceinline__ void fetch(int first, int tokens, int to) {
    Share::meet();
#pragma unroll
    for (int i = 0; i < kGroup; ++i) {
      const int t = first + kGroup - 1 - i;
      if (t < 0 || t >= tokens) continue;
      u.fetch(&fetched[to][share.part][i][share.pair]), u.next();
      if constexpr (kChannels == 2) dt.fetch(&fetched[to][1][i][share.pair]), dt.next();
    }
    fetch_commit();
  }

  // Tokens [0, count) of the tile, last first, for the first 4 kQuads states.
  template <int kQuads>
  __device__ __forceinline__ void tile(const float (*B)[kScanStates], int start, int count) {
#pragma unroll 1
    for (int first = (count - 1) / kGroup * kGroup; first >= 0; first -= kGroup, side ^= 1) {
      fetch(start + first - kGroup, start + first, side ^ 1);
      fetch_wait_for_all_but_last();
      Share::meet();
#pragma unroll 4
      for (int i = 0; i < kGroup; ++i) {
        const int t = first + kGroup - 1 - i;
        if (t >= count) continue;
        float x[kChannels], d[kChannels], du[kChannels];
        share.read(fetched[side][0][i][share.pair], x);
        share.read(fetched[side][1][i][share.pair], d);
#pragma unroll
        for (int k = 0; k < kChannels; ++k) {
          d[k] += bias[k];
          if constexpr (kSoftplus) d[k] = softplus_of<T>(d[k]);
          du[k] = d[k] * x[k];
        }
#pragma unroll
        for (int q = 0; q < kQuads; ++q) {
          const float4 b = *reinterpret_cast<const float4*>(&B[t][q * 4]);
          const float bs[4] = {b.x, b.y, b.z, b.w};
#pragma unroll
          for (int j = 0; j < 4; ++j) {
#pragma unroll
            for (int k = 0; k < kChannels; ++k) {
              const int n = q * 4 + j;
              h[k][n] = fmaf(ex2(A[k][n] * sum[k]), du[k] * bs[j], h[k][n]);
            }
          }
        }
#pragma unroll
        for (int k = 0; k < kChannels; ++k) sum[k] += d[k];
      }
    }
  }
};

template <class T, bool kSoftplus, int kChannels>
__global__ void __launch_bounds__(kScanWidth / kChannels, 8)
    ends_kernel(Scan<T> scan, int blocks_a_segment) {
  using Mine = Ends<T, kSoftplus, kChannels>;
  using Share = ScanShare<kChannels>;
  __shared__ __align__(16) float B[2][kScanTile][kScanStates];
  __shared__ typename Mine::Pair fetched[2][2][Mine::kGroup][Share::kPairs];
  const int tid = static_cast<int>(threadIdx.x);
  const Index segment = blockIdx.x / blocks_a_segment;
  const Share share;
  const int channel = static_cast<int>(blockIdx.x % blocks_a_segment) * kScanWidth + share.pair * 2;
  const bool mine = channel < scan.D;
  const int c = mine ? channel : scan.D - 2;
  const ScanInput<T>& in = scan.input[blockIdx.y];
  const SegmentRows rows = segment_rows(scan, segment, in.sign);
  if (!scan.end_is_used(segment, static_cast<int>(blockIdx.y))) return;

  Mine ends;
  ends.fetched = fetched;
#pragma unroll
  for (int k = 0; k < kChannels; ++k) {
    const int own = c + share.part + k;
    ends.bias[k] = in.dt_bias != nullptr ? in.dt_bias[own] : 0.0f;
    ends.sum[k] = 0;
#pragma unroll
    for (int n = 0; n < kScanStates; ++n) {
      ends.A[k][n] = in.A[n * in.A_stride + own] * kLog2e;
      ends.h[k][n] = 0;
    }
  }
  if (kChannels == 2 || share.part == 0) {
    ends.u.begin(in.u, in.u_stride, rows, c, true);
  } else {
    ends.u.begin(in.dt, in.dt_stride, rows, c, true);
  }
  if constexpr (kChannels == 2) ends.dt.begin(in.dt, in.dt_stride, rows, c, true);

  // Each pair of the first 64 threads brings one token's B.
  const int tile_token = tid / 2, half = tid % 2 * 8;
  const bool brings = tid < 2 * kScanTile;
  const auto load_states = [&](int start) {
    const int t = min(start + tile_token, rows.tokens - 1);
    return load_half_states(in.B + (rows.row + rows.step * t) * in.B_stride + half,
                            scan.aligned_states);
  };
  const int last_tile = (rows.tokens - 1) / kScanTile * kScanTile;
  HalfStates<T> next;
  if (brings) next = load_states(last_tile);
  ends.fetch((rows.tokens - 1) / Mine::kGroup * Mine::kGroup, rows.tokens, 0);
  int buffer = 0;
  for (int start = last_tile; start >= 0; start -= kScanTile, buffer ^= 1) {
    if (brings) store_half_states(next, &B[buffer][tile_token][half]);
    int quads = 4;
    if (scan.steps_are_positive) {
      quads = 0;
#pragma unroll
      for (int q = 0; q < 4; ++q) {
        bool left = false;
#pragma unroll
        for (int k = 0; k < kChannels; ++k) {
          const float* A = &ends.A[k][q * 4];
          const float slowest = fmaxf(fmaxf(A[0], A[1]), fmaxf(A[2], A[3]));
          left = left || slowest * ends.sum[k] > kGone;
        }
        if (__any_sync(0xffffffffu, left)) quads = q + 1;
      }
    }
    if constexpr (kChannels == 2) {
      if (!__syncthreads_or(quads)) break;
    } else {
      // The two warps of 64 channels decide together, as the one warp does that has two channels a
      // thread: what is left out must not depend on the share.
      const int shift = tid / 64 * 8;
      const int all = __syncthreads_or(1 << (quads + shift));
      quads = 31 - __clz(all >> shift & 0x1f);
      if ((all & 0x1e1e) == 0) break;
    }
    if (start > 0 && brings) next = load_states(start - kScanTile);
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
  const Index at = static_cast<Index>(blockIdx.y) * scan.segments + segment;
  share.write(&scan.sums[at * scan.D + c], ends.sum[0], ends.sum[kChannels - 1]);
#pragma unroll
  for (int n = 0; n < kScanStates; ++n) {
    share.write(&scan.S[(at * kScanStates + n) * scan.D + c], ends.h[0][n],
                ends.h[kChannels - 1][n]);
  }
}

template <class T, bool kSoftplus, int kChannels>
void start(Cuda& cuda, const Scan<T>& scan, int directions, int blocks) {
  const dim3 grid(static_cast<unsigned>(scan.segments * blocks), static_cast<unsigned>(directions));
  ends_kernel<T, kSoftplus, kChannels>
      <<<grid, kScanWidth / kChannels, 0, stream_of(cuda)>>>(scan, blocks);
  ok_launch();
}

}  // namespace

template <class T>
void scan_ends(Cuda& cuda, const Scan<T>& scan, int directions) {
  const int blocks = static_cast<int>(div_up(scan.D, kScanWidth));
  const bool few = scan.segments * blocks * directions <= scan_places(cuda);
  if (scan.softplus) {
    few ? start<T, true, 1>(cuda, scan, directions, blocks)
        : start<T, true, 2>(cuda, scan, directions, blocks);
  } else {
    few ? start<T, false, 1>(cuda, scan, directions, blocks)
        : start<T, false, 2>(cuda, scan, directions, blocks);
  }
}
template void scan_ends(Cuda&, const Scan<float>&, int);
template void scan_ends(Cuda&, const Scan<bf16>&, int);

}  // namespace genossm
