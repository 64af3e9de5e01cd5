// CudaBytes: device memory for what outlives the stream of work that fills it, known by its GPU's
// number alone. Any Cuda of that GPU may work on it. Copies wait, before and after, for all work of
// the GPU: they are for what happens seldom. Builds without CUDA do not link the class's functions.
#pragma once

#include <cstddef>
#include <memory>

#include "kernels/core/view.h"

namespace genossm {

class CudaBytes {
 public:
  CudaBytes() = default;
  CudaBytes(int gpu, Index size);  // uninitialised; throws Fault::memory

  std::byte* data() const { return static_cast<std::byte*>(memory_.get()); }

  // The first n bytes.
  void copy_from(const CudaBytes& other, Index n);
  void copy_in(const std::byte* host, Index n);
  void copy_out(std::byte* host, Index n) const;

 private:
  std::shared_ptr<void> memory_;
  int gpu_ = 0;
};

}  // namespace genossm
