// Three phases: what each segment leaves behind, the carry over the segments (here), the outputs.
#include "kernels/ssd/ssd.cuh"

namespace genossm {
namespace {

constexpr int kThreads = 128;
constexpr int kAhead = 32;  // segments loaded ahead

// One thread an element of a head's state; turns ends into starts, in place.
template <class T>
__global__ void __launch_bounds__(kThreads) carry_kernel(SsdScan<T> scan, int blocks_a_sequence) {
  const Index index = blockIdx.x / blocks_a_sequence;
  const int i =
      static_cast<int>(blockIdx.x % blocks_a_sequence) * kThreads + static_cast<int>(threadIdx.x);
  const int of_head = scan.N * scan.P, size = scan.H * of_head;
  if (i >= size) return;
  const int head = i / of_head, n = i % of_head / scan.P, p = i % scan.P;
  const SequenceRows sequence = scan.table ? scan.sequences.rows.data[index] : scan.one;
  const int count =
      static_cast<int>((sequence.end - sequence.begin + kCudaSegment - 1) / kCudaSegment);
  float* S = scan.S + static_cast<Index>(sequence.first_segment) * size + i;
  const float* sums = scan.sums + static_cast<Index>(sequence.first_segment) * scan.H + head;
  float* state = nullptr;
  if (scan.states != nullptr && sequence.state >= 0) {
    state = scan.states + sequence.state + head * scan.state_head + n * scan.state_row + p;
  }
  float h = state != nullptr && !sequence.fresh ? *state : 0.0f;
  for (int begin = 0; begin < count; begin += kAhead) {
    float end[kAhead], sum[kAhead];
#pragma unroll
    for (int k = 0; k < kAhead; ++k) {
      const Index s = min(begin + k, count - 1);
      end[k] = S[s * size];
      sum[k] = sums[s * scan.H];
    }
#pragma unroll
    for (int k = 0; k < kAhead; ++k) {
      if (begin + k >= count) break;
      S[static_cast<Index>(begin + k) * size] = h;
      h = fmaf(ex2(sum[k]), h, end[k]);
    }
  }
  if (state != nullptr) *state = h;
}

// States from outside may have a scale (see ssd.h); it is worked in first, and 1 from then on. A
// block is one head of one sequence.
template <class T>
__global__ void scale_kernel(SsdScan<T> scan) {
  const SequenceRows sequence =
      scan.table ? scan.sequences.rows.data[blockIdx.x / scan.H] : scan.one;
  if (sequence.state < 0) return;
  const int head = static_cast<int>(blockIdx.x % scan.H);
  float& scale = scan.scales[sequence.state + head];
  const float factor = scale;
  __syncthreads();
  if (threadIdx.x == 0) scale = 1.0f;
  if (sequence.fresh) return;
  float* state = scan.states + sequence.state + head * scan.state_head;
  for (int i = static_cast<int>(threadIdx.x); i < scan.N * scan.P; i += kThreads) {
    state[i / scan.P * scan.state_row + i % scan.P] *= factor;
  }
}

template <class T>
void run_phases(Cuda& cuda, SsdScan<T>& scan, Index sequences) {
  scan.H = static_cast<int>(scan.op.A.extent[0]);
  scan.P = static_cast<int>(scan.op.x.extent[1]) / scan.H;
  scan.N = static_cast<int>(scan.op.B.extent[2]);
  scan.G = static_cast<int>(scan.op.B.extent[1]);
  if (scan.segments == 0 || scan.P == 0) return;
  const Index size = static_cast<Index>(scan.H) * scan.N * scan.P;
  ScratchParts parts;
  const Index S = parts.add<float>(scan.segments * size);
  const Index sums = parts.add<float>(scan.segments * scan.H);
  parts.take(cuda);
  scan.S = parts.at<float>(S);
  scan.sums = parts.at<float>(sums);
  bool chunks = false;
  if constexpr (sizeof(T) == 2) chunks = ssd_chunks_fit(scan);
  if constexpr (sizeof(T) == 2) {
    if (chunks) ssd_chunks_ends(cuda, scan);
  }
  if (!chunks) ssd_any_ends(cuda, scan);
  if (scan.scales != nullptr) {
    scale_kernel<T>
        <<<static_cast<unsigned>(sequences * scan.H), kThreads, 0, stream_of(cuda)>>>(scan);
    ok_launch();
  }
  const int blocks = static_cast<int>(div_up(size, kThreads));
  carry_kernel<T>
      <<<static_cast<unsigned>(sequences * blocks), kThreads, 0, stream_of(cuda)>>>(scan, blocks);
  ok_launch();
  if constexpr (sizeof(T) == 2) {
    if (chunks) ssd_chunks_outputs(cuda, scan);
  }
  if (!chunks) ssd_any_outputs(cuda, scan);
}

template <class T>
void run_one(Cuda& cuda, const BasicSsd<T>& op) {
  const Index L = op.x.extent[0];
  SsdScan<T> scan;
  scan.op = op;
  scan.segments = div_up(L, kCudaSegment);
  scan.one = {0, L, 0, false, 0};
  scan.states = op.h.data;
  scan.state_head = op.h.stride[0];
  scan.state_row = op.h.stride[1];
  scan.scales = op.scale.data;
  run_phases(cuda, scan, 1);
}

template <class T>
void run_set(Cuda& cuda, const SsdSet<T>& set) {
  SsdScan<T> scan;
  scan.op = set.op;
  scan.sign = set.reverse ? -1 : 1;
  scan.table = true;
  scan.sequences = set.sequences;
  scan.segments = set.sequences.segments();
  scan.states = set.states;
  const Index H = set.op.A.extent[0], N = set.op.B.extent[2], P = set.op.x.extent[1] / H;
  scan.state_head = N * P;
  scan.state_row = P;
  if (set.states != nullptr) scan.scales = set.states + H * N * P;
  run_phases(cuda, scan, set.sequences.rows.extent[0]);
}

}  // namespace

void run(Cuda& cuda, const Ssd& op) { run_one(cuda, op); }
void run(Cuda& cuda, const BasicSsd<bf16>& op) { run_one(cuda, op); }
void run(Cuda& cuda, const SsdSet<float>& op) { run_set(cuda, op); }
void run(Cuda& cuda, const SsdSet<bf16>& op) { run_set(cuda, op); }

}  // namespace genossm
