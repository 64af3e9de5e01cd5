// Phases 1 and 3 for any number of states and groups and any alignment: one channel a thread,
// states in registers up to 16 and in local memory above.
#include "kernels/selective_scan/scan.cuh"

namespace genossm {
namespace {

constexpr int kThreads = 64;

template <class T, int kStates, bool kOutputs>
__global__ void __launch_bounds__(kThreads)
    any_kernel(Scan<T> scan, ScanJoin join, int blocks_a_segment) {
  constexpr int kUnroll = kStates <= 16 ? kStates : 1;
  const Index segment = blockIdx.x / blocks_a_segment;
  const int c =
      static_cast<int>(blockIdx.x % blocks_a_segment) * kThreads + static_cast<int>(threadIdx.x);
  if (c >= scan.D) return;
  const ScanInput<T>& in = scan.in;
  const SegmentRows rows = segment_rows(scan, segment);
  const Index group = c / (scan.D / scan.G);
  float* S = scan.S + segment * scan.N * scan.D + c;
  float A[kStates], h[kStates];
#pragma unroll(kUnroll)
  for (int n = 0; n < kStates; ++n) {
    A[n] = n < scan.N ? in.A[n * in.A_stride + c] * kLog2e : 0.0f;
    h[n] = kOutputs && n < scan.N ? S[static_cast<Index>(n) * scan.D] : 0.0f;
  }
  const float bias = in.dt_bias != nullptr ? in.dt_bias[c] : 0.0f;
  const float skip = in.skip != nullptr ? in.skip[c] : 0.0f;
  float sum = 0;
  for (int t = 0; t < rows.tokens; ++t) {
    const Index row = rows.row + rows.step * t;
    const T* B = in.B + row * in.B_stride + group * in.B_group;
    const T* C = in.C + row * in.C_stride + group * in.C_group;
    const float u = to_float(in.u[row * in.u_stride + c]);
    float d = to_float(in.dt[row * in.dt_stride + c]) + bias;
    if (scan.softplus) d = softplus_of<T>(d);
    const float du = d * u;
    float v = skip * u;
#pragma unroll(kUnroll)
    for (int n = 0; n < kStates; ++n) {
      if (n < scan.N) {
        h[n] = fmaf(ex2(d * A[n]), h[n], du * to_float(B[n]));
        if (kOutputs) v = fmaf(h[n], to_float(C[n]), v);
      }
    }
    sum += d;
    if constexpr (kOutputs) {
      T& y = scan.y[row * scan.y_stride + c];
      if (join == ScanJoin::sum_first) v += to_float(y);
      if (scan.z != nullptr) v *= silu_of<T>(to_float(scan.z[row * scan.z_stride + c]));
      if (join == ScanJoin::add) v += to_float(y);
      y = from_float<T>(v);
    }
  }
  if constexpr (!kOutputs) {
    scan.sums[segment * scan.D + c] = sum;
#pragma unroll(kUnroll)
    for (int n = 0; n < kStates; ++n) {
      if (n < scan.N) S[static_cast<Index>(n) * scan.D] = h[n];
    }
  }
}

template <class T, bool kOutputs>
void start(Cuda& cuda, const Scan<T>& scan, ScanJoin join) {
  const int blocks = static_cast<int>(div_up(scan.D, kThreads));
  const auto grid = static_cast<unsigned>(scan.segments * blocks);
  if (scan.N <= 16) {
    any_kernel<T, 16, kOutputs><<<grid, kThreads, 0, stream_of(cuda)>>>(scan, join, blocks);
  } else if (scan.N <= 64) {
    any_kernel<T, 64, kOutputs><<<grid, kThreads, 0, stream_of(cuda)>>>(scan, join, blocks);
  } else if (scan.N <= 256) {
    any_kernel<T, 256, kOutputs><<<grid, kThreads, 0, stream_of(cuda)>>>(scan, join, blocks);
  } else {
    fail(Fault::shape,
         "selective_scan: " + std::to_string(scan.N) + " states, want at most 256 on Cuda");
  }
  ok_launch();
}

}  // namespace

template <class T>
void scan_any_ends(Cuda& cuda, const Scan<T>& scan) {
  start<T, false>(cuda, scan, ScanJoin::set);
}
template <class T>
void scan_any_outputs(Cuda& cuda, const Scan<T>& scan, ScanJoin join) {
  start<T, true>(cuda, scan, join);
}
template void scan_any_ends(Cuda&, const Scan<float>&);
template void scan_any_ends(Cuda&, const Scan<bf16>&);
template void scan_any_outputs(Cuda&, const Scan<float>&, ScanJoin);
template void scan_any_outputs(Cuda&, const Scan<bf16>&, ScanJoin);

}  // namespace genossm
