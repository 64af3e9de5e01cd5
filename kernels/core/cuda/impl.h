// What a Cuda holds, and the check of every call of the runtime. For .cu files.
#pragma once

#include <cuda_runtime.h>

#include <atomic>
#include <source_location>

#include "kernels/core/cuda.h"
#include "kernels/core/error.h"

namespace genossm {

struct Blas;  // kernels/core/cuda/blas.h

// Device memory in buffers and scratch, and what it may come to (see Cuda::limit_memory()).
struct CudaAllowance {
  std::atomic<Index> used = 0, limit = -1;
};

struct Cuda::Impl {
  int index = 0;
  std::shared_ptr<CudaAllowance> allowance = std::make_shared<CudaAllowance>();
  cudaStream_t stream = nullptr;
  cudaEvent_t marks[8] = {};
  cudaEvent_t reached = nullptr;  // the last point that another stream waited for
  std::unique_ptr<Cuda> beside;
  std::shared_ptr<void> scratch;
  Index scratch_bytes = 0;
  std::shared_ptr<const Blas> blas;  // opened by the first matrix product
  std::shared_ptr<void> blas_workspace;
};

// Throws Fault::device, or Fault::memory for want of device memory, unless the call succeeded.
void ok(cudaError_t status, std::source_location where = std::source_location::current());

// After a launch: whether it was accepted.
inline void ok_launch(std::source_location where = std::source_location::current()) {
  ok(cudaGetLastError(), where);
}

inline cudaStream_t stream_of(Cuda& cuda) { return cuda.impl().stream; }

// The typed form of Cuda::scratch(); parts are 256-byte aligned.
class ScratchParts {
 public:
  template <class T>
  Index add(Index count) {
    const Index at = bytes_;
    bytes_ += (count * Index{sizeof(T)} + 255) / 256 * 256;
    return at;
  }
  void take(Cuda& cuda) { base_ = static_cast<std::byte*>(cuda.scratch(bytes_)); }
  template <class T>
  T* at(Index offset) const {
    return reinterpret_cast<T*>(base_ + offset);
  }

 private:
  Index bytes_ = 0;
  std::byte* base_ = nullptr;
};

constexpr Index div_up(Index a, Index b) { return (a + b - 1) / b; }

}  // namespace genossm
