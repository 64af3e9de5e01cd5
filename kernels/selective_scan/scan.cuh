// The parameters that the phases of the scan share. Private to this folder.
#pragma once

#include "kernels/core/cuda/device.cuh"
#include "kernels/core/cuda/impl.h"
#include "kernels/selective_scan/selective_scan.h"

namespace genossm {

// One direction, all rows. Token t of a sequence is row first + t of an upward view (sign 1) or
// last - t of a downward one (sign -1).
template <class T>
struct ScanInput {
  const T *u = nullptr, *dt = nullptr, *B = nullptr, *C = nullptr;
  Index u_stride = 0, dt_stride = 0, B_stride = 0, C_stride = 0, B_group = 0, C_group = 0;
  const float *A = nullptr, *dt_bias = nullptr,
              *skip = nullptr;  // [N, D], [D] or null, [D] or null
  Index A_stride = 0;
  int sign = 1;
};

enum class ScanJoin {
  set,        // y = v * gate
  add,        // y += v * gate
  sum_first,  // y = (y + v) * gate
};

template <class T>
struct Scan {
  ScanInput<T> in;
  const T* z = nullptr;  // null: no gate
  T* y = nullptr;
  Index z_stride = 0, y_stride = 0;
  int D = 0, N = 0, G = 1;
  bool softplus = true;
  bool steps_are_positive = true;  // old inputs may be forgotten for good
  bool aligned_states = false;     // B and C may be read 16 bytes at a time
  // The sequences: a table, or one that owns all rows.
  bool table = false;
  Sequences sequences;
  SequenceRows one;
  Index segments = 0;
  // The carry from outside: that of a table lies at states + sequence.state, [N, D].
  float* states = nullptr;
  Index state_stride = 0;
  // Between the phases: [segment][N][D], first the state at the end of a segment that began with
  // zeros, after the carry the state at its start; and the sum of its steps, [segment][D].
  float *S = nullptr, *sums = nullptr;

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

inline constexpr int kScanWidth = 128;  // channels of a block
inline constexpr int kScanTile = 32;    // tokens whose B and C are in shared memory at once
inline constexpr int kScanStates = 16;  // of the fast kernels

// A segment of one sequence in one direction: where its first token lies and how far apart tokens
// are.
struct SegmentRows {
  Index row = 0, step = 1;
  int tokens = 0;
};

template <class T>
__device__ __forceinline__ SegmentRows segment_rows(const Scan<T>& scan, Index segment) {
  const int sign = scan.in.sign;
  const SequenceRows s = scan.sequence_of(segment);
  const Index L = s.end - s.begin, t0 = (segment - s.first_segment) * kCudaSegment;
  const int tokens = static_cast<int>(L - t0 < kCudaSegment ? L - t0 : kCudaSegment);
  return {sign > 0 ? s.begin + t0 : s.end - 1 - t0, sign, tokens};
}

// A pair of channels of a matrix, token by token. The base is the same for all threads and offsets
// have 32 bits: a segment is never larger than that, and 64-bit addresses would cost registers and
// additions in the innermost loop.
template <class T>
struct Pairs {
  using Value = Pack<T, 2>;
  char* base = nullptr;
  unsigned at = 0, step = 0;

  // From the segment's first token on, or from its last one backwards.
  __device__ __forceinline__ void begin(const T* data, Index stride, const SegmentRows& rows, int c,
                                        bool backwards) {
    const Index first = rows.row * stride, eff = rows.step * stride;
    const Index last = first + (rows.tokens - 1) * eff;
    const Index low = eff < 0 ? last : first, from = backwards ? last : first;
    base = reinterpret_cast<char*>(const_cast<T*>(data + low));
    at = static_cast<unsigned>((from - low + c) * Index{sizeof(T)});
    step = static_cast<unsigned>((backwards ? -eff : eff) * Index{sizeof(T)});
  }
  __device__ __forceinline__ Value get() const {
    return *reinterpret_cast<const Value*>(base + at);
  }
  __device__ __forceinline__ void put(Value v) const { *reinterpret_cast<Value*>(base + at) = v; }
  __device__ __forceinline__ void put(T v, int part) const {
    reinterpret_cast<T*>(base + at)[part] = v;
  }
  // Into shared memory, asynchronously.
  __device__ __forceinline__ void fetch(Value* to) const {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2;" ::"r"(
                     static_cast<unsigned>(__cvta_generic_to_shared(to))),
                 "l"(base + at), "n"(sizeof(Value)));
  }
  __device__ __forceinline__ void next() { at += step; }
};

// Who does what in a block of kScanWidth channels. A thread has two of them, which reads B and C
// once for both; where too few blocks would fill the device it has one, and the two threads of a
// pair of channels bring in its values together. Either way the bits are the same.
template <int kChannels>
struct ScanShare {
  static constexpr int kPairs = kScanWidth / 2;
  int pair, part;  // pair of the block; which of its channels, where a thread has one
  __device__ __forceinline__ ScanShare()
      : pair(static_cast<int>(threadIdx.x) * kChannels / 2),
        part(kChannels == 2 ? 0 : static_cast<int>(threadIdx.x) % 2) {}
  // Before what the pair's other thread has read is overwritten, and once all of it is there.
  static __device__ __forceinline__ void meet() {
    if constexpr (kChannels == 1) __syncwarp();
  }
  template <class T>
  __device__ __forceinline__ void read(const Pack<T, 2>& from, float (&out)[kChannels]) const {
    if constexpr (kChannels == 2) {
      const Pack<T, 2> both = from;
      out[0] = to_float(both.v[0]), out[1] = to_float(both.v[1]);
    } else {
      out[0] = to_float(from.v[part]);
    }
  }
  __device__ __forceinline__ void read(const float* from, float (&out)[kChannels]) const {
    if constexpr (kChannels == 2) {
      const float2 both = *reinterpret_cast<const float2*>(from);
      out[0] = both.x, out[1] = both.y;
    } else {
      out[0] = from[part];
    }
  }
};
__device__ __forceinline__ void fetch_commit() { asm volatile("cp.async.commit_group;"); }
__device__ __forceinline__ void fetch_wait_for_all_but_last() {
  asm volatile("cp.async.wait_group 1;" ::: "memory");
}

// Places for blocks of two channels a thread that the device has.
Index scan_places(const Cuda& cuda);

// The phases for 16 states, one group; scan_ends.cu and scan_outputs.cu.
template <class T>
void scan_ends(Cuda& cuda, const Scan<T>& scan);
template <class T>
void scan_outputs(Cuda& cuda, const Scan<T>& scan, ScanJoin join);
// Any states, groups and alignment; scan_any.cu.
template <class T>
void scan_any_ends(Cuda& cuda, const Scan<T>& scan);
template <class T>
void scan_any_outputs(Cuda& cuda, const Scan<T>& scan, ScanJoin join);

// Eight of the sixteen values of B or C of one token, as they come from memory.
template <class T>
struct HalfStates {
  Pack<T, 8 * sizeof(T) <= 16 ? 8 : 4> part[8 * sizeof(T) <= 16 ? 1 : 2];
};

template <class T>
__device__ __forceinline__ HalfStates<T> load_half_states(const T* p, bool aligned) {
  HalfStates<T> out;
  constexpr int kParts = sizeof(out.part) / sizeof(out.part[0]), kEach = 8 / kParts;
  if (aligned) {
#pragma unroll
    for (int i = 0; i < kParts; ++i) out.part[i] = reinterpret_cast<const Pack<T, kEach>*>(p)[i];
  } else {
#pragma unroll
    for (int i = 0; i < 8; ++i) out.part[i / kEach].v[i % kEach] = p[i];
  }
  return out;
}

template <class T>
__device__ __forceinline__ void store_half_states(const HalfStates<T>& in, float* out) {
  constexpr int kParts = sizeof(in.part) / sizeof(in.part[0]), kEach = 8 / kParts;
  float v[8];
#pragma unroll
  for (int i = 0; i < 8; ++i) v[i] = to_float(in.part[i / kEach].v[i % kEach]);
  reinterpret_cast<float4*>(out)[0] = make_float4(v[0], v[1], v[2], v[3]);
  reinterpret_cast<float4*>(out)[1] = make_float4(v[4], v[5], v[6], v[7]);
}

}  // namespace genossm
