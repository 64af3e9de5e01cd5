#include <string>

#include "kernels/core/cuda/impl.h"
#include "kernels/core/cuda_bytes.h"

namespace genossm {
namespace {

// The streams of Cuda do not wait for the one that plain copies use, nor it for them.
void copy(int gpu, void* to, const void* from, Index n) {
  if (n == 0) return;
  ok(cudaSetDevice(gpu));
  ok(cudaDeviceSynchronize());
  ok(cudaMemcpy(to, from, static_cast<std::size_t>(n), cudaMemcpyDefault));
  ok(cudaDeviceSynchronize());
}

}  // namespace

CudaBytes::CudaBytes(int gpu, Index size) : gpu_(gpu) {
  if (size == 0) return;
  ok(cudaSetDevice(gpu));
  void* memory = nullptr;
  if (cudaMalloc(&memory, static_cast<std::size_t>(size)) != cudaSuccess) {
    cudaGetLastError();
    fail(Fault::memory, "cuda: no " + std::to_string(size >> 20) + " MiB of device memory");
  }
  memory_ = {memory, [gpu](void* p) {
               cudaSetDevice(gpu);
               cudaFree(p);
             }};
}

void CudaBytes::copy_from(const CudaBytes& other, Index n) { copy(gpu_, data(), other.data(), n); }
void CudaBytes::copy_in(const std::byte* host, Index n) { copy(gpu_, data(), host, n); }
void CudaBytes::copy_out(std::byte* host, Index n) const { copy(gpu_, host, data(), n); }

}  // namespace genossm
