// Buffer: owned, 64-byte aligned host memory for floats and other plain types. Move only.
#pragma once

#include <cstdlib>
#include <memory>
#include <utility>

#include "kernels/core/view.h"

namespace genossm {

// 64-byte aligned; large pieces on large pages where the system has them to give. Freed by
// std::free. Throws std::bad_alloc.
void* allocate_aligned(std::size_t bytes);

template <class T>
class Buffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  Buffer() = default;
  // `size` elements, uninitialised. Throws std::bad_alloc.
  explicit Buffer(Index size) : size_(size) {
    if (size <= 0) {
      size_ = 0;
      return;
    }
    data_.reset(static_cast<T*>(allocate_aligned(static_cast<std::size_t>(size) * sizeof(T))));
  }
  Buffer(Buffer&& other) noexcept
      : data_(std::move(other.data_)), size_(std::exchange(other.size_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    data_ = std::move(other.data_);
    size_ = std::exchange(other.size_, 0);
    return *this;
  }

  T* data() const { return data_.get(); }
  Index size() const { return size_; }
  T& operator[](Index i) const { return data_.get()[i]; }
  T* begin() const { return data_.get(); }
  T* end() const { return data_.get() + size_; }

  View<T, 1> view() const { return {data_.get(), {size_}}; }
  View<T, 2> matrix(Index rows, Index columns) const { return {data_.get(), {rows, columns}}; }

 private:
  struct Free {
    void operator()(T* p) const { std::free(p); }
  };
  std::unique_ptr<T, Free> data_;
  Index size_ = 0;
};

}  // namespace genossm
