// The parameters that the phases of ssd share. Private to this folder.
#pragma once

#include "kernels/core/cuda/device.cuh"
#include "kernels/core/cuda/impl.h"
#include "kernels/ssd/ssd.h"

namespace genossm {

template <class T>
struct SsdScan {
  BasicSsd<T> op;  // h is not used
  int sign = 1;    // -1: from the last row of a sequence to its first
  bool table = false;
  Sequences sequences;
  SequenceRows one;
  Index segments = 0;
  float* states = nullptr;  // the carry from outside, [H, N, P] at states + sequence.state
  Index state_head = 0, state_row = 0;
  float* scales = nullptr;  // [H] at scales + sequence.state; null: all 1
  // Between the phases: [segment][H][N][P], first ends, after the carry starts; the sum of log
  // decays, [segment][H], in units of log2.
  float *S = nullptr, *sums = nullptr;
  int H = 0, P = 0, N = 0, G = 1;

  __device__ SequenceRows sequence_of(Index segment) const {
    return table ? sequences.rows.data[sequences.of_segment.data[segment]] : one;
  }
  // What a sequence's last segment leaves behind matters only where the sequence goes on.
  __device__ bool end_is_used(Index segment) const {
    const SequenceRows s = sequence_of(segment);
    const bool last = (segment - s.first_segment + 1) * kCudaSegment >= s.end - s.begin;
    return !last || (states != nullptr && s.state >= 0);
  }
};

struct SsdSegment {
  Index row = 0, step = 1;
  int tokens = 0;
};

template <class T>
__device__ __forceinline__ SsdSegment ssd_segment(const SsdScan<T>& scan, Index segment) {
  const SequenceRows s = scan.sequence_of(segment);
  const Index L = s.end - s.begin, t0 = (segment - s.first_segment) * kCudaSegment;
  const int tokens = static_cast<int>(L - t0 < kCudaSegment ? L - t0 : kCudaSegment);
  return {scan.sign > 0 ? s.begin + t0 : s.end - 1 - t0, scan.sign, tokens};
}

// The step of one head at one row.
template <class T>
__device__ __forceinline__ float ssd_step(const BasicSsd<T>& op, Index row, int head) {
  float d = to_float(op.dt.row(row)[head]);
  if (!op.dt_bias.empty()) d += op.dt_bias.data[head];
  // One value serves a whole head, so it is worth float32's accuracy for bf16 too.
  if (op.softplus) d = softplus_of<float>(d);
  return d != d ? d : fminf(fmaxf(d, op.dt_min), op.dt_max);
}

// Phases 1 and 3. Any sizes and types (any.cu), and tensor cores for bf16 (chunk_*.cu).
template <class T>
void ssd_any_ends(Cuda& cuda, const SsdScan<T>& scan);
template <class T>
void ssd_any_outputs(Cuda& cuda, const SsdScan<T>& scan);
bool ssd_chunks_fit(const SsdScan<bf16>& scan);
void ssd_chunks_ends(Cuda& cuda, const SsdScan<bf16>& scan);
void ssd_chunks_outputs(Cuda& cuda, const SsdScan<bf16>& scan);

}  // namespace genossm
