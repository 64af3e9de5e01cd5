// Scratch: memory that a stream of work needs between ops, reused from call to call, so that the
// steady state allocates nothing. One stream, one Scratch.
#pragma once

#include <vector>

#include "kernels/core/buffer.h"

namespace genossm {

class Scratch {
 public:
  // A [rows, columns] matrix, uninitialised, valid until the same slot is asked for again. Slots
  // are small numbers chosen by the caller; a slot grows to the largest matrix asked of it.
  View<float, 2> matrix(int slot, Index rows, Index columns) {
    const auto i = static_cast<std::size_t>(slot);
    if (buffers_.size() <= i) buffers_.resize(i + 1);
    if (buffers_[i].size() < rows * columns) buffers_[i] = Buffer<float>(rows * columns);
    return buffers_[i].matrix(rows, columns);
  }
  // The same with rows a little apart where they would lie a multiple of a memory page apart: ops
  // that run down a few columns would meet the same lines of the cache in every row.
  View<float, 2> staggered(int slot, Index rows, Index columns) {
    const Index stride = row_stride(columns);
    return {matrix(slot, rows, stride).data, {rows, columns}, {stride, 1}};
  }
  static constexpr Index row_stride(Index columns) {
    constexpr Index kPage = 4096 / sizeof(float), kLine = 64 / sizeof(float);
    return columns % kPage == 0 ? columns + kLine : columns;
  }
  Index bytes() const {
    Index sum = 0;
    for (const Buffer<float>& buffer : buffers_) sum += buffer.size() * Index{sizeof(float)};
    return sum;
  }

 private:
  std::vector<Buffer<float>> buffers_;
};

// Who uses which slot; a mixer's and its caller's never coincide.
enum Slot : int {
  kSlotNormed,     // [slab, D]
  kSlotProjected,  // [rows, P]
  kSlotMixed,      // [rows, E]
  kSlotMixedBack,  // [slab, E]
  kSlotOut,        // [slab, D]
  kSlotOutBack,    // [slab, D]
  kSlotConv,       // [slab, C]
  kSlotXProj,      // [slab, R + 2N]
  kSlotStep,       // [slab, E]
  kSlotSsd,        // [slab, S]
  kSlotMlp,        // [slab, 2F]
  kSlotMlpGate,    // [slab, F]
  kSlotHidden,     // [slab, D]
  kSlotState,      // one layer's state of each direction
  kSlotKept,       // [rows, K] of a WholeMixer
  kSlotTrunk,      // [longest, H] of the filters
  kSlotTaps,       // [longest, a few channels]
  kSlotFft,        // of long_conv
  kSlotDelta,      // [1, C] step sizes of a token, for a probe
};

}  // namespace genossm
