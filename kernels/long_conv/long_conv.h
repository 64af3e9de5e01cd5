// long_conv -- causal convolution with a filter as long as the sequence, skip and gate.
//
//   c[t] = sum_{i=0..min(t, K-1)} h[i] * u[t - i]                     [D]
//   y[t] = (c[t] + skip * u[t]) * gate[t]                             [D]
//
// Tap 0 multiplies the current token (a true convolution, unlike causal_conv).
// Source:   hyenadna.md section 2 (fftconv of the standalone HyenaDNA file).
// Numerics: Reference: the sum in double. Cpu: float32 transforms with twiddles rounded from
//           double; error about 2e-7 (1 + log2 L) of the largest value. A channel's result depends
//           on nothing but its own u and h and on L: not on threads, its neighbours or the block of
//           channels it is computed in.
// Law:      h beyond tap L-1 changes nothing, to the bit. There is no carry: a sequence is one run.
#pragma once

#include "kernels/core/sequences.h"

namespace genossm {

// Y: float; on Cuda also bf16, of which y is then memory of its own.
template <class Y>
struct BasicLongConv {
  // in
  View<const float, 2> u;     // [L, D]
  View<const float, 2> h;     // [K, D]  taps
  View<const float, 1> skip;  // [D]     empty: none
  View<const float, 2> gate;  // [L, D]  empty: none
  // out
  View<Y, 2> y;  // [L, D]  may be the memory of u or of gate
  // scratch of Cpu: at least long_conv_work(L, 1) floats, 64-byte aligned
  View<float, 1> work;
};
using LongConv = BasicLongConv<float>;

// Cuda only: many sequences in the rows of one matrix, all with the same taps. The spectra of the
// taps are computed once for neighbours of equal length.
template <class Y>
struct LongConvSet {
  BasicLongConv<Y> op;  // of all rows
  Sequences sequences;
};

template <class Y>
void check(const BasicLongConv<Y>&);  // throws Error{Fault::shape}
template <class Y>
void check(const LongConvSet<Y>&);
void run(Reference&, const LongConv&);  // the definition, O(L K), double
void run(Cpu&, const LongConv&);        // own FFT, lanes across channels, two levels from 2,049 on
void run(Cuda&, const LongConv&);       // own FFT in shared memory, two levels from 2,049 on
void run(Cuda&, const BasicLongConv<bf16>&);
void run(Cuda&, const LongConvSet<float>&);
void run(Cuda&, const LongConvSet<bf16>&);

// Floats of scratch that keep `threads` threads busy on a sequence of L tokens: short sequences
// take a block of channels a thread, long ones work on one block at a time together.
Index long_conv_work(Index L, int threads);
// The length of the transform for L tokens: the least of 8, 9, 10, 12, 15 times a power of two that
// is not below L.
Index long_conv_transform(Index L);
// Channels that are computed side by side.
Index long_conv_lanes();

// Tokens of a sequence on Cuda, at most.
inline constexpr Index kLongConvCudaLongest = Index{1} << 24;
// Bytes of Cuda::scratch() for sequences of up to `longest` tokens.
Index long_conv_cuda_bytes(Index longest);
// What that grows by with every token, at most: two planes of 16 complex numbers and a twiddle, of
// a transform that is at most a quarter longer than the sequence.
inline constexpr Index kLongConvCudaRowBytes = (2 * 16 + 1) * 8 * 5 / 4;

}  // namespace genossm
