// Three phases: what each segment leaves behind (scan_ends.cu), the carry over the segments (here),
// the outputs (scan_outputs.cu). Decays are computed twice; in exchange every segment of every
// sequence, direction and channel runs at once, and one long sequence fills the device.
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
  const int direction = static_cast<int>(blockIdx.y);
  const SequenceRows sequence = scan.table ? scan.sequences.rows.data[index] : scan.one;
  const int count =
      static_cast<int>((sequence.end - sequence.begin + kCudaSegment - 1) / kCudaSegment);
  const Index first = static_cast<Index>(direction) * scan.segments + sequence.first_segment;
  const float A = scan.input[direction].A[n * scan.input[direction].A_stride + c] * kLog2e;
  float* S = scan.S + first * scan.N * scan.D + i;
  const float* sums = scan.sums + first * scan.D + c;
  const Index S_step = static_cast<Index>(scan.N) * scan.D;
  float* state = nullptr;
  if (scan.states != nullptr && direction == 0 && sequence.state >= 0) {
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
void run_phases(Cuda& cuda, Scan<T>& scan, bool fast, Index sequences, ScanJoin join) {
  const bool forward = scan.input[0].u != nullptr, reverse = scan.input[1].u != nullptr;
  if (!forward) scan.input[0] = scan.input[1];  // the phases count directions from 0
  const int directions = forward && reverse ? 2 : 1;
  ScratchParts parts;
  const Index n = directions * scan.segments * scan.D;
  const Index S = parts.add<float>(n * scan.N), sums = parts.add<float>(n);
  parts.take(cuda);
  scan.S = parts.at<float>(S);
  scan.sums = parts.at<float>(sums);

  fast ? scan_ends(cuda, scan, directions) : scan_any_ends(cuda, scan, directions);
  const int blocks = static_cast<int>(div_up(static_cast<Index>(scan.N) * scan.D, kThreads));
  const dim3 grid(static_cast<unsigned>(sequences * blocks), static_cast<unsigned>(directions));
  carry_kernel<T><<<grid, kThreads, 0, stream_of(cuda)>>>(scan, blocks);
  ok_launch();
  const auto outputs = [&](int direction, ScanJoin how) {
    fast ? scan_outputs(cuda, scan, direction, how) : scan_any_outputs(cuda, scan, direction, how);
  };
  if (directions == 1) {
    outputs(0, join);
    return;
  }
  // The gate belongs to the sum of both.
  const T* z = scan.z;
  scan.z = nullptr;
  outputs(0, ScanJoin::set);
  scan.z = z;
  outputs(1, ScanJoin::sum_first);
}

// The fast kernels read pairs of channels.
template <class T>
bool pairs_fit(View<const T, 2> view) {
  return view.empty() || aligned_for(view.data, view.stride[0], 2);
}

template <class T>
ScanInput<T> input_of(const typename SelectiveScanSet<T>::Direction& d, int sign) {
  ScanInput<T> in;
  in.u = d.u.data, in.u_stride = d.u.stride[0];
  in.dt = d.dt.data, in.dt_stride = d.dt.stride[0];
  in.B = d.B.data, in.B_stride = d.B.stride[0], in.B_group = d.B.stride[1];
  in.C = d.C.data, in.C_stride = d.C.stride[0], in.C_group = d.C.stride[1];
  in.A = d.A.data, in.A_stride = d.A.stride[0];
  in.dt_bias = d.dt_bias.data;
  in.skip = d.skip.data;
  in.sign = sign;
  return in;
}

template <class T>
bool fast_fits(const typename SelectiveScanSet<T>::Direction& d, bool& aligned_states) {
  if (d.u.empty()) return true;
  aligned_states = aligned_states && aligned_for(d.B.data, d.B.stride[0], 8) &&
                   aligned_for(d.C.data, d.C.stride[0], 8);
  return d.A.extent[0] == kScanStates && d.B.extent[1] == 1 && d.u.extent[1] % 2 == 0 &&
         d.B.stride[2] == 1 && pairs_fit(d.u) && pairs_fit(d.dt);
}

template <class T>
void run_set(Cuda& cuda, const SelectiveScanSet<T>& op) {
  const auto& some = op.forward.u.empty() ? op.reverse : op.forward;
  Scan<T> scan;
  scan.D = static_cast<int>(op.y.extent[1]);
  scan.N = static_cast<int>(some.A.extent[0]);
  scan.G = static_cast<int>(some.B.extent[1]);
  scan.segments = op.sequences.segments();
  if (scan.segments == 0 || scan.D == 0) return;
  if (!op.forward.u.empty()) scan.input[0] = input_of<T>(op.forward, 1);
  if (!op.reverse.u.empty()) scan.input[1] = input_of<T>(op.reverse, -1);
  scan.z = op.z.data, scan.z_stride = op.z.stride[0];
  scan.y = op.y.data, scan.y_stride = op.y.stride[0];
  scan.softplus = op.softplus;
  scan.table = true;
  scan.sequences = op.sequences;
  scan.states = op.forward.u.empty() ? nullptr : op.states;
  scan.state_stride = scan.D;
  scan.aligned_states = true;
  const bool fast = fast_fits<T>(op.forward, scan.aligned_states) &&
                    fast_fits<T>(op.reverse, scan.aligned_states) && pairs_fit(op.z) &&
                    pairs_fit<T>(op.y);
  run_phases(cuda, scan, fast, op.sequences.rows.extent[0], ScanJoin::set);
}

template <class T>
void run_one(Cuda& cuda, const BasicSelectiveScan<T>& op) {
  const auto [L, D] = op.u.extent;
  if (L == 0 || D == 0) return;
  typename SelectiveScanSet<T>::Direction all{op.u, op.dt, op.dt_bias, op.A, op.B, op.C, op.skip};
  Scan<T> scan;
  scan.D = static_cast<int>(D);
  scan.N = static_cast<int>(op.A.extent[0]);
  scan.G = static_cast<int>(op.B.extent[1]);
  scan.segments = div_up(L, kCudaSegment);
  scan.input[0] = input_of<T>(all, 1);
  scan.z = op.z.data, scan.z_stride = op.z.stride[0];
  scan.y = op.y.data, scan.y_stride = op.y.stride[0];
  scan.softplus = op.softplus;
  scan.steps_are_positive = op.softplus;
  scan.one = {0, L, 0, false, 0};
  scan.states = op.h.data;
  scan.state_stride = op.h.stride[0];
  scan.aligned_states = true;
  const bool fast = fast_fits<T>(all, scan.aligned_states) && pairs_fit(op.z) && pairs_fit<T>(op.y);
  run_phases(cuda, scan, fast, 1,
             !op.accumulate ? ScanJoin::set
             : op.gate_sum  ? ScanJoin::sum_first
                            : ScanJoin::add);
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
