// Phase 3: the recurrence itself, from the state at the start of each segment, with 16 states of two
// channels in a thread's registers. B and C are read from shared memory once for both channels.
#include "kernels/selective_scan/scan.cuh"

namespace genossm {
namespace {

template <class T, bool kSoftplus, bool kGate, ScanJoin kJoin>
__global__ void __launch_bounds__(kScanThreads, 8)
    outputs_kernel(Scan<T> scan, int direction, int blocks_a_segment) {
  // Inputs come some tokens ahead into a thread's own places in shared memory, which costs no
  // registers and needs no barrier.
  constexpr int kGroup = sizeof(T) == 2 ? 8 : 4;  // tokens that are fetched together
  constexpr int kArrays = 2 + (kGate ? 1 : 0) + (kJoin != ScanJoin::set ? 1 : 0);
  using Pair = Pack<T, 2>;
  __shared__ Pair fetched[2][kArrays][kGroup][kScanThreads];
  __shared__ __align__(16) float B[2][kScanTile][kScanStates], C[2][kScanTile][kScanStates];
  const int tid = static_cast<int>(threadIdx.x);
  const Index segment = blockIdx.x / blocks_a_segment;
  const int channel =
      (static_cast<int>(blockIdx.x % blocks_a_segment) * kScanThreads + tid) * kScanChannels;
  const bool mine = channel < scan.D;
  const int c = mine ? channel : scan.D - kScanChannels;
  const ScanInput<T>& in = scan.input[direction];
  const SegmentRows rows = segment_rows(scan, segment, in.sign);

  float A[2][kScanStates], h[2][kScanStates], bias[2], skip[2];
  const Index at = static_cast<Index>(direction) * scan.segments + segment;
#pragma unroll
  for (int n = 0; n < kScanStates; ++n) {
    const float2 start =
        *reinterpret_cast<const float2*>(&scan.S[(at * kScanStates + n) * scan.D + c]);
    h[0][n] = start.x, h[1][n] = start.y;
  }
#pragma unroll
  for (int k = 0; k < 2; ++k) {
    bias[k] = in.dt_bias != nullptr ? in.dt_bias[c + k] : 0.0f;
    skip[k] = in.skip != nullptr ? in.skip[c + k] : 0.0f;
#pragma unroll
    for (int n = 0; n < kScanStates; ++n) A[k][n] = in.A[n * in.A_stride + c + k] * kLog2e;
  }
  Pairs<T> u, dt, z, y, before;
  u.begin(in.u, in.u_stride, rows, c, false);
  dt.begin(in.dt, in.dt_stride, rows, c, false);
  if constexpr (kGate) z.begin(scan.z, scan.z_stride, rows, c, false);
  y.begin(scan.y, scan.y_stride, rows, c, false);
  before = y;

  const int tile_token = tid / 2, half = tid % 2 * 8;
  HalfStates<T> next_B, next_C;
  const auto load_states = [&](int start) {
    const int t = min(start + tile_token, rows.tokens - 1);
    const Index row = rows.row + rows.step * t;
    next_B = load_half_states(in.B + row * in.B_stride + half, scan.aligned_states);
    next_C = load_half_states(in.C + row * in.C_stride + half, scan.aligned_states);
  };
  const auto fetch = [&](int first, int side) {
#pragma unroll
    for (int i = 0; i < kGroup; ++i) {
      if (first + i >= rows.tokens) break;
      int array = 0;
      u.fetch(&fetched[side][array++][i][tid]), u.next();
      dt.fetch(&fetched[side][array++][i][tid]), dt.next();
      if constexpr (kGate) z.fetch(&fetched[side][array++][i][tid]), z.next();
      if constexpr (kJoin != ScanJoin::set) before.fetch(&fetched[side][array][i][tid]), before.next();
    }
    fetch_commit();
  };
  load_states(0);
  fetch(0, 0);
  int side = 0;
  int buffer = 0;
  for (int start = 0; start < rows.tokens; start += kScanTile, buffer ^= 1) {
    store_half_states(next_B, &B[buffer][tile_token][half]);
    store_half_states(next_C, &C[buffer][tile_token][half]);
    __syncthreads();
    if (start + kScanTile < rows.tokens) load_states(start + kScanTile);
    const int count = min(kScanTile, rows.tokens - start);
#pragma unroll 1
    for (int g = 0; g < count; g += kGroup) {
      fetch(start + g + kGroup, side ^ 1);
      fetch_wait_for_all_but_last();
#pragma unroll 4
      for (int i = 0; i < kGroup; ++i) {
        if (g + i >= count) break;
        const Pair now_u = fetched[side][0][i][tid], now_dt = fetched[side][1][i][tid];
        Pair now_z, now_y;
        if constexpr (kGate) now_z = fetched[side][2][i][tid];
        if constexpr (kJoin != ScanJoin::set) now_y = fetched[side][kArrays - 1][i][tid];
        float d[2], du[2], v[2];
#pragma unroll
        for (int k = 0; k < 2; ++k) {
          const float x = to_float(now_u.v[k]);
          d[k] = to_float(now_dt.v[k]) + bias[k];
          if constexpr (kSoftplus) d[k] = softplus_of<T>(d[k]);
          du[k] = d[k] * x;
          v[k] = skip[k] * x;
        }
#pragma unroll
        for (int q = 0; q < 4; ++q) {
          const float4 b = *reinterpret_cast<const float4*>(&B[buffer][g + i][q * 4]);
          const float4 e = *reinterpret_cast<const float4*>(&C[buffer][g + i][q * 4]);
          const float bs[4] = {b.x, b.y, b.z, b.w}, cs[4] = {e.x, e.y, e.z, e.w};
#pragma unroll
          for (int j = 0; j < 4; ++j) {
#pragma unroll
            for (int k = 0; k < 2; ++k) {
              const int n = q * 4 + j;
              h[k][n] = fmaf(ex2(d[k] * A[k][n]), h[k][n], du[k] * bs[j]);
              v[k] = fmaf(h[k][n], cs[j], v[k]);
            }
          }
        }
        Pair out;
#pragma unroll
        for (int k = 0; k < 2; ++k) {
          if constexpr (kJoin == ScanJoin::sum_first) v[k] += to_float(now_y.v[k]);
          if constexpr (kGate) v[k] *= silu_of<T>(to_float(now_z.v[k]));
          if constexpr (kJoin == ScanJoin::add) v[k] += to_float(now_y.v[k]);
          out.v[k] = from_float<T>(v[k]);
        }
        if (mine) y.put(out);
        y.next();
      }
      side ^= 1;
    }
  }
}

template <class T, bool kSoftplus, bool kGate, ScanJoin kJoin>
void start(Cuda& cuda, const Scan<T>& scan, int direction) {
  const int blocks = static_cast<int>(div_up(scan.D, kScanThreads * kScanChannels));
  outputs_kernel<T, kSoftplus, kGate, kJoin>
      <<<static_cast<unsigned>(scan.segments * blocks), kScanThreads, 0, stream_of(cuda)>>>(
          scan, direction, blocks);
  ok_launch();
}

template <class T, bool kSoftplus, bool kGate>
void start(Cuda& cuda, const Scan<T>& scan, int direction, ScanJoin join) {
  switch (join) {
    case ScanJoin::set:
      return start<T, kSoftplus, kGate, ScanJoin::set>(cuda, scan, direction);
    case ScanJoin::add:
      return start<T, kSoftplus, kGate, ScanJoin::add>(cuda, scan, direction);
    case ScanJoin::sum_first:
      return start<T, kSoftplus, kGate, ScanJoin::sum_first>(cuda, scan, direction);
  }
}

}  // namespace

template <class T>
void scan_outputs(Cuda& cuda, const Scan<T>& scan, int direction, ScanJoin join) {
  if (scan.softplus) {
    scan.z != nullptr ? start<T, true, true>(cuda, scan, direction, join)
                      : start<T, true, false>(cuda, scan, direction, join);
  } else {
    scan.z != nullptr ? start<T, false, true>(cuda, scan, direction, join)
                      : start<T, false, false>(cuda, scan, direction, join);
  }
}
template void scan_outputs(Cuda&, const Scan<float>&, int, ScanJoin);
template void scan_outputs(Cuda&, const Scan<bf16>&, int, ScanJoin);

}  // namespace genossm
