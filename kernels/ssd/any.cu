// Token by token: a thread holds 16 states of one channel of a head; the outputs are summed over the
// states' threads in shared memory.
#include "kernels/ssd/ssd.cuh"

namespace genossm {
namespace {

constexpr int kStates = 16;  // a thread
constexpr int kTokens = 8;   // between two barriers

template <class T, bool kOutputs>
__global__ void any_kernel(SsdScan<T> scan, int channels_a_block, int blocks_a_head) {
  extern __shared__ float partial[];  // [kTokens][states' threads][channels]
  const auto& op = scan.op;
  const int part = static_cast<int>(blockIdx.x % blocks_a_head);
  const int head = static_cast<int>(blockIdx.x / blocks_a_head % scan.H);
  const Index segment = blockIdx.x / blocks_a_head / scan.H;
  const int lane = static_cast<int>(threadIdx.x) % channels_a_block;
  const int slice = static_cast<int>(threadIdx.x) / channels_a_block;
  const int slices = static_cast<int>(blockDim.x) / channels_a_block;
  const int p = part * channels_a_block + lane;
  const bool mine = p < scan.P;
  const int channel = head * scan.P + (mine ? p : 0);
  const SsdSegment rows = ssd_segment(scan, segment);
  const Index group = head / (scan.H / scan.G);
  const float A = op.A.data[head] * kLog2e;
  float* S = scan.S + (segment * scan.H + head) * scan.N * scan.P + (mine ? p : 0);
  float h[kStates];
#pragma unroll
  for (int n = 0; n < kStates; ++n) {
    const int state = slice * kStates + n;
    h[n] = kOutputs && state < scan.N ? S[static_cast<Index>(state) * scan.P] : 0.0f;
  }
  float sum = 0;
  for (int start = 0; start < rows.tokens; start += kTokens) {
    const int count = min(kTokens, rows.tokens - start);
    for (int i = 0; i < count; ++i) {
      const Index row = rows.row + rows.step * (start + i);
      const float d = ssd_step(op, row, head), decay = ex2(d * A);
      const float dx = d * to_float(op.x.row(row)[channel]);
      const T* B = op.B.row(row) + group * op.B.stride[1] + slice * kStates;
      const T* C = op.C.row(row) + group * op.C.stride[1] + slice * kStates;
      float y = 0;
#pragma unroll
      for (int n = 0; n < kStates; ++n) {
        if (slice * kStates + n < scan.N) {
          h[n] = fmaf(decay, h[n], dx * to_float(B[n]));
          if (kOutputs) y = fmaf(to_float(C[n]), h[n], y);
        }
      }
      sum += d * A;
      if (kOutputs) partial[(i * slices + slice) * channels_a_block + lane] = y;
    }
    if (!kOutputs) continue;
    __syncthreads();
    for (int i = slice; i < count; i += slices) {
      if (!mine) break;
      const Index row = rows.row + rows.step * (start + i);
      float y = op.skip.empty() ? 0.0f : op.skip.data[channel] * to_float(op.x.row(row)[channel]);
      for (int k = 0; k < slices; ++k) y += partial[(i * slices + k) * channels_a_block + lane];
      if (!op.z.empty()) y *= silu_of<T>(to_float(op.z.row(row)[channel]));
      T& out = op.y.row(row)[channel];
      out = from_float<T>(op.accumulate ? to_float(out) + y : y);
    }
    __syncthreads();  // before the sums of the next tokens take their place
  }
  if constexpr (!kOutputs) {
    if (mine && slice == 0 && p == 0) scan.sums[segment * scan.H + head] = sum;
#pragma unroll
    for (int n = 0; n < kStates; ++n) {
      const int state = slice * kStates + n;
      if (mine && state < scan.N) S[static_cast<Index>(state) * scan.P] = h[n];
    }
  }
}

template <class T, bool kOutputs>
void start(Cuda& cuda, const SsdScan<T>& scan) {
  const int slices = static_cast<int>(div_up(scan.N, kStates));
  if (slices > 32) {
    fail(Fault::shape, "ssd: " + std::to_string(scan.N) + " states, want at most 512 on Cuda");
  }
  const int most = 512 / slices;  // channels
  const int channels = scan.P < most ? scan.P : most;
  const int blocks = static_cast<int>(div_up(scan.P, channels));
  const Index grid = scan.segments * scan.H * blocks;
  const std::size_t shared = kOutputs ? sizeof(float) * kTokens * slices * channels : 0;
  any_kernel<T, kOutputs><<<static_cast<unsigned>(grid), channels * slices, shared, stream_of(cuda)>>>(
      scan, channels, blocks);
  ok_launch();
}

}  // namespace

template <class T>
void ssd_any_ends(Cuda& cuda, const SsdScan<T>& scan) {
  start<T, false>(cuda, scan);
}
template <class T>
void ssd_any_outputs(Cuda& cuda, const SsdScan<T>& scan) {
  start<T, true>(cuda, scan);
}
template void ssd_any_ends(Cuda&, const SsdScan<float>&);
template void ssd_any_ends(Cuda&, const SsdScan<bf16>&);
template void ssd_any_outputs(Cuda&, const SsdScan<float>&);
template void ssd_any_outputs(Cuda&, const SsdScan<bf16>&);

}  // namespace genossm
