// Phase 3: the recurrence itself, from the state at the start of each segment, with 16 states of
// one or two channels in a thread's registers.
#include "kernels/selective_scan/scan.cuh"

namespace genossm {
namespace {

template <class T, bool kSoftplus, bool kGate, ScanJoin kJoin, int kChannels>
__global__ void __launch_bounds__(kScanWidth / kChannels, kChannels == 2 ? 8 : 4)
    outputs_kernel(Scan<T> scan, int blocks_a_segment) {
  // Inputs come some tokens ahead into a pair's own places in shared memory, which costs no
  // registers and needs no barrier.
  constexpr int kGroup = sizeof(T) == 2 ? 8 : 4;  // tokens that are fetched together
  constexpr bool kSum = kJoin != ScanJoin::set;
  constexpr int kArrays = 2 + (kGate ? 1 : 0) + (kSum ? 1 : 0);
  using Pair = Pack<T, 2>;
  using Share = ScanShare<kChannels>;
  __shared__ Pair fetched[2][kArrays][kGroup][Share::kPairs];
  __shared__ __align__(16) float B[2][kScanTile][kScanStates], C[2][kScanTile][kScanStates];
  const int tid = static_cast<int>(threadIdx.x);
  const Index segment = blockIdx.x / blocks_a_segment;
  const Share share;
  const int pair = share.pair;
  const int channel = static_cast<int>(blockIdx.x % blocks_a_segment) * kScanWidth + pair * 2;
  const bool mine = channel < scan.D;
  const int c = mine ? channel : scan.D - 2;
  const ScanInput<T>& in = scan.in;
  const SegmentRows rows = segment_rows(scan, segment);

  float A[kChannels][kScanStates], h[kChannels][kScanStates], bias[kChannels], skip[kChannels];
#pragma unroll
  for (int n = 0; n < kScanStates; ++n) {
    float start[kChannels];
    share.read(&scan.S[(segment * kScanStates + n) * scan.D + c], start);
#pragma unroll
    for (int k = 0; k < kChannels; ++k) h[k][n] = start[k];
  }
#pragma unroll
  for (int k = 0; k < kChannels; ++k) {
    const int own = c + share.part + k;
    bias[k] = in.dt_bias != nullptr ? in.dt_bias[own] : 0.0f;
    skip[k] = in.skip != nullptr ? in.skip[own] : 0.0f;
#pragma unroll
    for (int n = 0; n < kScanStates; ++n) A[k][n] = in.A[n * in.A_stride + own] * kLog2e;
  }
  Pairs<T> y;
  y.begin(scan.y, scan.y_stride, rows, c, false);
  // The arrays in order: u, dt, z, y before. A thread with one channel brings every other one.
  Pairs<T> from[kArrays];
  from[0].begin(in.u, in.u_stride, rows, c, false);
  from[1].begin(in.dt, in.dt_stride, rows, c, false);
  if constexpr (kGate) from[2].begin(scan.z, scan.z_stride, rows, c, false);
  if constexpr (kSum) from[kArrays - 1] = y;
  if constexpr (kChannels == 1) {
    if (share.part == 1) {
      from[0] = from[1];
      if constexpr (kArrays == 4) from[2] = from[3];
    }
  }

  const int tile_token = tid / 2, half = tid % 2 * 8;
  HalfStates<T> next_B, next_C;
  const auto load_states = [&](int start) {
    const int t = min(start + tile_token, rows.tokens - 1);
    const Index row = rows.row + rows.step * t;
    next_B = load_half_states(in.B + row * in.B_stride + half, scan.aligned_states);
    next_C = load_half_states(in.C + row * in.C_stride + half, scan.aligned_states);
  };
  const bool brings = tid < 2 * kScanTile;
  const auto fetch = [&](int first, int side) {
    Share::meet();
#pragma unroll
    for (int i = 0; i < kGroup; ++i) {
      if (first + i >= rows.tokens) break;
#pragma unroll
      for (int a = 0; a < kArrays; a += 3 - kChannels) {
        if (a + share.part >= kArrays) continue;
        from[a].fetch(&fetched[side][a + share.part][i][pair]), from[a].next();
      }
    }
    fetch_commit();
  };
  if (brings) load_states(0);
  fetch(0, 0);
  int side = 0;
  int buffer = 0;
  for (int start = 0; start < rows.tokens; start += kScanTile, buffer ^= 1) {
    if (brings) {
      store_half_states(next_B, &B[buffer][tile_token][half]);
      store_half_states(next_C, &C[buffer][tile_token][half]);
    }
    __syncthreads();
    if (brings && start + kScanTile < rows.tokens) load_states(start + kScanTile);
    const int count = min(kScanTile, rows.tokens - start);
#pragma unroll 1
    for (int g = 0; g < count; g += kGroup) {
      fetch(start + g + kGroup, side ^ 1);
      fetch_wait_for_all_but_last();
      Share::meet();
      const auto token = [&](int i) {
        float x[kChannels], d[kChannels], du[kChannels], v[kChannels], z[kChannels],
            before[kChannels];
        share.read(fetched[side][0][i][pair], x);
        share.read(fetched[side][1][i][pair], d);
        if constexpr (kGate) share.read(fetched[side][2][i][pair], z);
        if constexpr (kSum) share.read(fetched[side][kArrays - 1][i][pair], before);
#pragma unroll
        for (int k = 0; k < kChannels; ++k) {
          d[k] += bias[k];
          if constexpr (kSoftplus) d[k] = softplus_of<T>(d[k]);
          du[k] = d[k] * x[k];
          v[k] = skip[k] * x[k];
        }
#pragma unroll
        for (int q = 0; q < 4; ++q) {
          const float4 b = *reinterpret_cast<const float4*>(&B[buffer][g + i][q * 4]);
          const float4 e = *reinterpret_cast<const float4*>(&C[buffer][g + i][q * 4]);
          const float bs[4] = {b.x, b.y, b.z, b.w}, cs[4] = {e.x, e.y, e.z, e.w};
#pragma unroll
          for (int j = 0; j < 4; ++j) {
#pragma unroll
            for (int k = 0; k < kChannels; ++k) {
              const int n = q * 4 + j;
              h[k][n] = fmaf(ex2(d[k] * A[k][n]), h[k][n], du[k] * bs[j]);
              v[k] = fmaf(h[k][n], cs[j], v[k]);
            }
          }
        }
#pragma unroll
        for (int k = 0; k < kChannels; ++k) {
          if constexpr (kJoin == ScanJoin::sum_first) v[k] += before[k];
          if constexpr (kGate) v[k] *= silu_of<T>(z[k]);
          if constexpr (kJoin == ScanJoin::add) v[k] += before[k];
        }
        if (mine) {
          if constexpr (kChannels == 2) {
            y.put(Pair{{from_float<T>(v[0]), from_float<T>(v[1])}});
          } else {
            y.put(from_float<T>(v[0]), share.part);
          }
        }
        y.next();
      };
      // Without a way out between tokens the next one's decays are computed while one adds up.
      if (g + kGroup <= count) {
#pragma unroll
        for (int i = 0; i < kGroup; ++i) token(i);
      } else {
#pragma unroll 4
        for (int i = 0; i < kGroup; ++i) {
          if (g + i >= count) break;
          token(i);
        }
      }
      side ^= 1;
    }
  }
}

template <class T, bool kSoftplus, bool kGate, ScanJoin kJoin>
void start(Cuda& cuda, const Scan<T>& scan) {
  const int blocks = static_cast<int>(div_up(scan.D, kScanWidth));
  const Index all = scan.segments * blocks;
  if (2 * all <= scan_places(cuda)) {
    outputs_kernel<T, kSoftplus, kGate, kJoin, 1>
        <<<static_cast<unsigned>(all), kScanWidth, 0, stream_of(cuda)>>>(scan, blocks);
  } else {
    outputs_kernel<T, kSoftplus, kGate, kJoin, 2>
        <<<static_cast<unsigned>(all), kScanWidth / 2, 0, stream_of(cuda)>>>(scan, blocks);
  }
  ok_launch();
}

template <class T, bool kSoftplus, bool kGate>
void start(Cuda& cuda, const Scan<T>& scan, ScanJoin join) {
  switch (join) {
    case ScanJoin::set:
      return start<T, kSoftplus, kGate, ScanJoin::set>(cuda, scan);
    case ScanJoin::add:
      return start<T, kSoftplus, kGate, ScanJoin::add>(cuda, scan);
    case ScanJoin::sum_first:
      return start<T, kSoftplus, kGate, ScanJoin::sum_first>(cuda, scan);
  }
}

}  // namespace

template <class T>
void scan_outputs(Cuda& cuda, const Scan<T>& scan, ScanJoin join) {
  if (scan.softplus) {
    scan.z != nullptr ? start<T, true, true>(cuda, scan, join)
                      : start<T, true, false>(cuda, scan, join);
  } else {
    scan.z != nullptr ? start<T, false, true>(cuda, scan, join)
                      : start<T, false, false>(cuda, scan, join);
  }
}
template void scan_outputs(Cuda&, const Scan<float>&, ScanJoin);
template void scan_outputs(Cuda&, const Scan<bf16>&, ScanJoin);

}  // namespace genossm
