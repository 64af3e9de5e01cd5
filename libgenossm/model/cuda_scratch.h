// CudaScratch: Scratch in device memory. Slots only grow, so the steady state allocates nothing.
#pragma once

#include <algorithm>
#include <vector>

#include "kernels/core/cuda.h"

namespace genossm {

class CudaScratch {
 public:
  // A [rows, columns] matrix, uninitialised, whose rows begin at multiples of 16 bytes; valid until
  // the same slot is asked for more. Throws Fault::memory.
  template <class T>
  View<T, 2> matrix(Cuda& cuda, int slot, Index rows, Index columns) {
    constexpr Index kStep = 16 / sizeof(T);
    const Index stride = (columns + kStep - 1) / kStep * kStep;
    return {reinterpret_cast<T*>(bytes(cuda, slot, rows * stride * Index{sizeof(T)})),
            {rows, columns},
            {stride, 1}};
  }
  std::byte* bytes(Cuda& cuda, int slot, Index size) {
    const auto i = static_cast<std::size_t>(slot);
    if (buffers_.size() <= i) buffers_.resize(i + 1);
    if (buffers_[i].size() < size) {
      cuda.wait();
      buffers_[i] = {};  // before the larger one is asked for
      buffers_[i] = CudaBuffer<std::byte>(cuda, size);
    }
    return buffers_[i].data();
  }
  Index size() const {
    Index sum = 0;
    for (const auto& buffer : buffers_) sum += buffer.bytes();
    return sum;
  }
  void clear() { buffers_.clear(); }

 private:
  std::vector<CudaBuffer<std::byte>> buffers_;
};

// Who uses which slot. A slot's matrices of different lives never overlap in time.
enum CudaSlot : int {
  kCudaNormedThenConv,  // [rows, D], then the convolution's result of the forward direction [rows,
                        // C]
  kCudaConvBack,        // [rows, C]
  kCudaProjected,       // [rows, P]
  kCudaProjectedBack,   // [rows, P]
  kCudaLow,             // [rows, R + 2N]
  kCudaLowBack,
  kCudaStep,      // [rows, E]
  kCudaStepBack,  // [rows, E]
  kCudaMixed,     // [rows, E]
  kCudaMixedBack,
  kCudaOut,      // [rows, D] float
  kCudaOutBack,  // [rows, D] float
  kCudaMlp,      // [rows, 2F]
  kCudaMlpGate,  // [rows, F]
  kCudaHead,     // [rows, D]
  kCudaNoState,  // float, a layer's state of a sequence that carries none
};

}  // namespace genossm
