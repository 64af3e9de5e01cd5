// Cuda: one GPU with one stream; all work on it runs in the order in which it was asked for, and
// asynchronously: wait() before its results are read. The header needs no CUDA header and is there
// in every build; builds without CUDA do not link the class.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

#include "kernels/core/dtype.h"
#include "kernels/core/view.h"

namespace genossm {

class Cuda {
 public:
  // Throws Fault::device when there is no driver or no such GPU.
  explicit Cuda(int index = 0);
  ~Cuda();
  Cuda(Cuda&&) noexcept;
  Cuda& operator=(Cuda&&) noexcept;

  int index() const;
  std::string name() const;    // "NVIDIA H200"
  Index total_memory() const;  // bytes
  Index free_memory() const;

  // Allocations that would bring what this Cuda has handed out above `bytes` fail as if the GPU
  // were full; -1: no limit. free_memory() does not know of it. For tests.
  void limit_memory(Index bytes);
  Index used_memory() const;  // handed out and not yet given back

  // Until all work asked for is done; throws Fault::device for whatever went wrong in it.
  void wait();

  // Host memory -> device memory. Returns when `from` may be changed.
  void copy_in(void* to, const void* from, Index bytes);
  // Device memory -> host memory. Returns when the bytes are there.
  void copy_out(void* to, const void* from, Index bytes);
  // rows x row_bytes from strided device memory into dense pinned memory (see CudaPinned), without
  // waiting; mark() after it and wait_for() the mark before reading.
  void copy_out_later(void* pinned, const void* from, Index rows, Index row_bytes,
                      Index stride_bytes);
  void copy_in_later(void* to, const void* pinned, Index bytes);
  void fill_zero(void* to, Index bytes);
  // Points in the order of work, `slot` of 0 to 7.
  void mark(int slot);
  void wait_for(int slot);
  double milliseconds(int from_slot, int to_slot);  // both marks passed

  // What is asked of this one from now on begins after all that `other` was asked for so far.
  void follow(const Cuda& other);
  // A second stream of the same GPU, for work that may run beside this one's; follow() puts the two
  // in order. Its memory counts with this one's.
  Cuda& beside();

  // Memory for one op's intermediate results, valid until the next op; grows when it must.
  // Throws Fault::memory.
  void* scratch(Index bytes);
  Index scratch_bytes() const;

  struct Impl;  // kernels/core/cuda/impl.h, for .cu files
  Impl& impl() const { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

// GPUs that this process may use; 0 without a driver, never an error.
int cuda_devices();

// Raw memory: device memory of one GPU, or page-locked host memory. Throws Fault::memory.
std::shared_ptr<void> cuda_memory(const Cuda& cuda, Index bytes);
std::shared_ptr<void> cuda_pinned(const Cuda& cuda, Index bytes);

// CudaBuffer: owned memory of one GPU. Move only. The owner sees to it that no work on it is under
// way when it is destroyed or assigned to (freeing device memory waits for that).
template <class T>
class CudaBuffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  CudaBuffer() = default;
  CudaBuffer(const Cuda& cuda, Index size) : size_(size > 0 ? size : 0) {
    if (size_ > 0) memory_ = cuda_memory(cuda, size_ * Index{sizeof(T)});
  }
  CudaBuffer(Cuda& cuda, std::span<const T> values)
      : CudaBuffer(cuda, static_cast<Index>(values.size())) {
    if (size_ > 0) cuda.copy_in(data(), values.data(), bytes());
  }
  CudaBuffer(CudaBuffer&& other) noexcept
      : memory_(std::move(other.memory_)), size_(std::exchange(other.size_, 0)) {}
  CudaBuffer& operator=(CudaBuffer&& other) noexcept {
    memory_ = std::move(other.memory_);
    size_ = std::exchange(other.size_, 0);
    return *this;
  }

  T* data() const { return static_cast<T*>(memory_.get()); }
  Index size() const { return size_; }
  Index bytes() const { return size_ * Index{sizeof(T)}; }
  View<T, 1> view() const { return size_ > 0 ? View<T, 1>(data(), {size_}) : View<T, 1>(); }
  View<T, 2> matrix(Index rows, Index columns) const { return {data(), {rows, columns}}; }

 private:
  std::shared_ptr<void> memory_;
  Index size_ = 0;
};

}  // namespace genossm
