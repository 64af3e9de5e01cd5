// Three phases: what each segment leaves behind (scan_ends.cu), the carry over the segments (here),
// the outputs (scan_outputs.cu). Decays are computed twice; in exchange every segment of every
// sequence and channel runs at once, and one long sequence fills the device.
#include "kernels/selective_scan/scan.cuh"

namespace genossm {
namespace {

constexpr int kThreads = 32;  // small blocks spread over all multiprocessors
constexpr int kAhead = 64;  // segments loaded ahead: the carry waits for memory, not for arithmetic

// One thread a state of a channel of a sequence; turns ends into starts, in place.
template <class T>
__global__ void __launch_bounds__(kThreads) carry_kernel(Scan<T> scan, int blocks_a_sequence) {
  const Index index = blockIdx.x / blocks_a_sequence;
  const int i =
      static_cast<int>(blockIdx.x % blocks_a_sequence) * kThreads + static_cast<int>(threadIdx.x);
  if (i >= scan.N * scan.D) return;
  const int n = i / scan.D, c = i % scan.D;
  const SequenceRows sequence = scan.table ? scan.sequences.rows.data[index] : scan.one;
  const int count =
      static_cast<int>((sequence.end - sequence.begin + kCudaSegment - 1) / kCudaSegment);
  const Index first = sequence.first_segment;
  const float A = scan.in.A[n * scan.in.A_stride + c] * kLog2e;
  float* S = scan.S + first * scan.N * scan.D + i;
  const float* sums = scan.sums + first * scan.D + c;
  const Index S_step = static_cast<Index>(scan.N) * scan.D;
  float* state = nullptr;
  if (scan.states != nullptr && sequence.state >= 0) {
    state = scan.states + sequence.state + n * scan.state_stride + c;
  }
  float h = state != nullptr && !sequence.fresh ? *state : 0.0f;
  for (int begin = 0; begin < count; begin += kAhead) {
    float end[kAhead], sum[kAhead];
#pragma unroll
    for (int k = 0; k < kAhead; ++k) {
      const int s = min(begin + k, count - 1);
      end[k] = S[s * S_step];
      sum[k] = sums[static_cast<Index>(s) * scan.D];
    }
#pragma unroll
    for (int k = 0; k < kAhead; ++k) {
      if (begin + k >= count) break;
      S[(begin + k) * S_step] = h;
      // After the last segment of a sequence without a state, h is not used and may be anything.
      h = fmaf(ex2(A * sum[k]), h, end[k]);
    }
  }
  if (state != nullptr) *state = h;
}

template <class T>
void run_phases(Cuda& cuda, Scan<T>& scan, bool fast, Index sequences, ScanJoin join,
                const Cuda* after) {
  ScratchParts parts;
  const Index n = scan.segments * scan.D;
  const Index S = parts.add<float>(n * scan.N), sums = parts.add<float>(n);
  parts.take(cuda);
  scan.S = parts.at<float>(S);
  scan.sums = parts.at<float>(sums);

  fast ? scan_ends(cuda, scan) : scan_any_ends(cuda, scan);
  const int blocks = static_cast<int>(div_up(static_cast<Index>(scan.N) * scan.D, kThreads));
  carry_kernel<T>
      <<<static_cast<unsigned>(sequences * blocks), kThreads, 0, stream_of(cuda)>>>(scan, blocks);
  ok_launch();
  if (after != nullptr) cuda.follow(*after);
  fast ? scan_outputs(cuda, scan, join) : scan_any_outputs(cuda, scan, join);
}

// The fast kernels read pairs of channels.
template <class T>
bool pairs_fit(View<const T, 2> view) {
  return view.empty() || aligned_for(view.data, view.stride[0], 2);
}

// All but the sequences and their states. Returns whether the fast kernels may run it.
template <class T>
bool fill(Scan<T>& scan, const BasicSelectiveScan<T>& op) {
  ScanInput<T>& in = scan.in;
  in.u = op.u.data, in.u_stride = op.u.stride[0];
  in.dt = op.dt.data, in.dt_stride = op.dt.stride[0];
  in.B = op.B.data, in.B_stride = op.B.stride[0], in.B_group = op.B.stride[1];
  in.C = op.C.data, in.C_stride = op.C.stride[0], in.C_group = op.C.stride[1];
  in.A = op.A.data, in.A_stride = op.A.stride[0];
  in.dt_bias = op.dt_bias.data;
  in.skip = op.skip.data;
  scan.D = static_cast<int>(op.u.extent[1]);
  scan.N = static_cast<int>(op.A.extent[0]);
  scan.G = static_cast<int>(op.B.extent[1]);
  scan.z = op.z.data, scan.z_stride = op.z.stride[0];
  scan.y = op.y.data, scan.y_stride = op.y.stride[0];
  scan.softplus = op.softplus;
  scan.aligned_states =
      aligned_for(op.B.data, op.B.stride[0], 8) && aligned_for(op.C.data, op.C.stride[0], 8);
  return scan.N == kScanStates && scan.G == 1 && scan.D % 2 == 0 && op.B.stride[2] == 1 &&
         pairs_fit(op.u) && pairs_fit(op.dt) && pairs_fit(op.z) && pairs_fit<T>(op.y);
}

template <class T>
ScanJoin join_of(const BasicSelectiveScan<T>& op) {
  return !op.accumulate ? ScanJoin::set : op.gate_sum ? ScanJoin::sum_first : ScanJoin::add;
}

template <class T>
void run_set(Cuda& cuda, const SelectiveScanSet<T>& set) {
  Scan<T> scan;
  const bool fast = fill(scan, set.op);
  scan.segments = set.sequences.segments();
  if (scan.segments == 0 || scan.D == 0) return;
  scan.in.sign = set.reverse ? -1 : 1;
  scan.table = true;
  scan.sequences = set.sequences;
  scan.states = set.states;
  scan.state_stride = scan.D;
  run_phases(cuda, scan, fast, set.sequences.rows.extent[0], join_of(set.op), set.after);
}

template <class T>
void run_one(Cuda& cuda, const BasicSelectiveScan<T>& op) {
  const auto [L, D] = op.u.extent;
  if (L == 0 || D == 0) return;
  Scan<T> scan;
  const bool fast = fill(scan, op);
  scan.segments = div_up(L, kCudaSegment);
  scan.steps_are_positive = op.softplus;
  scan.one = {0, L, 0, false, 0};
  scan.states = op.h.data;
  scan.state_stride = op.h.stride[0];
  run_phases(cuda, scan, fast, 1, join_of(op), nullptr);
}

}  // namespace

Index scan_places(const Cuda& cuda) {
  int processors = 0;
  ok(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, cuda.index()));
  return Index{8} * processors;
}

void run(Cuda& cuda, const SelectiveScan& op) { run_one(cuda, op); }
void run(Cuda& cuda, const BasicSelectiveScan<bf16>& op) { run_one(cuda, op); }
void run(Cuda& cuda, const SelectiveScanSet<float>& op) { run_set(cuda, op); }
void run(Cuda& cuda, const SelectiveScanSet<bf16>& op) { run_set(cuda, op); }

}  // namespace genossm
