#include "kernels/core/cuda.h"
#include "kernels/core/cuda/blas.h"
#include "kernels/core/cuda/impl.h"

namespace genossm {

void ok(cudaError_t status, std::source_location where) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // errors that do not stay are not reported again by the next call
  const std::string file = where.file_name();
  const std::string at =
      file.substr(file.rfind('/') == std::string::npos ? 0 : file.rfind('/') + 1);
  if (status == cudaErrorMemoryAllocation) {
    fail(Fault::memory, "cuda: not enough device memory");
  }
  fail(Fault::device, std::string("cuda: ") + cudaGetErrorString(status) + " (" + at + ":" +
                          std::to_string(where.line()) + ")");
}

int cuda_devices() {
  int n = 0;
  if (cudaGetDeviceCount(&n) != cudaSuccess) {
    cudaGetLastError();
    return 0;
  }
  return n;
}

Cuda::Cuda(int index) : impl_(std::make_unique<Impl>()) {
  const int n = cuda_devices();
  if (n == 0) fail(Fault::device, "cuda: no GPU, or no driver for it, on this machine");
  if (index < 0 || index >= n) {
    fail(Fault::device,
         "cuda: GPU " + std::to_string(index) + " does not exist, there are " + std::to_string(n));
  }
  impl_->index = index;
  ok(cudaSetDevice(index));
  ok(cudaStreamCreateWithFlags(&impl_->stream, cudaStreamNonBlocking));
  for (cudaEvent_t& mark : impl_->marks) ok(cudaEventCreate(&mark));
  ok(cudaEventCreateWithFlags(&impl_->reached, cudaEventDisableTiming));
}

Cuda::~Cuda() {
  if (!impl_) return;
  cudaSetDevice(impl_->index);
  cudaStreamSynchronize(impl_->stream);
  for (cudaEvent_t mark : impl_->marks) cudaEventDestroy(mark);
  cudaEventDestroy(impl_->reached);
  cudaStreamDestroy(impl_->stream);
}
Cuda::Cuda(Cuda&&) noexcept = default;
Cuda& Cuda::operator=(Cuda&&) noexcept = default;

int Cuda::index() const { return impl_->index; }

std::string Cuda::name() const {
  cudaDeviceProp properties{};
  ok(cudaGetDeviceProperties(&properties, impl_->index));
  return properties.name;
}

Index Cuda::total_memory() const {
  std::size_t free = 0, total = 0;
  ok(cudaSetDevice(impl_->index));
  ok(cudaMemGetInfo(&free, &total));
  return static_cast<Index>(total);
}

Index Cuda::free_memory() const {
  std::size_t free = 0, total = 0;
  ok(cudaSetDevice(impl_->index));
  ok(cudaMemGetInfo(&free, &total));
  return static_cast<Index>(free);
}

void Cuda::limit_memory(Index bytes) { impl_->allowance->limit = bytes; }
Index Cuda::used_memory() const { return impl_->allowance->used; }

void Cuda::wait() { ok(cudaStreamSynchronize(impl_->stream)); }

void Cuda::copy_in(void* to, const void* from, Index bytes) {
  // Pageable memory is staged by the runtime before the call returns.
  ok(cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), cudaMemcpyHostToDevice,
                     impl_->stream));
}

void Cuda::copy_out(void* to, const void* from, Index bytes) {
  ok(cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), cudaMemcpyDeviceToHost,
                     impl_->stream));
  wait();
}

void Cuda::copy_out_later(void* pinned, const void* from, Index rows, Index row_bytes,
                          Index stride_bytes) {
  if (rows == 0) return;
  if (stride_bytes == row_bytes) {
    ok(cudaMemcpyAsync(pinned, from, static_cast<std::size_t>(rows * row_bytes),
                       cudaMemcpyDeviceToHost, impl_->stream));
    return;
  }
  ok(cudaMemcpy2DAsync(pinned, static_cast<std::size_t>(row_bytes), from,
                       static_cast<std::size_t>(stride_bytes), static_cast<std::size_t>(row_bytes),
                       static_cast<std::size_t>(rows), cudaMemcpyDeviceToHost, impl_->stream));
}

void Cuda::copy_in_later(void* to, const void* pinned, Index bytes) {
  ok(cudaMemcpyAsync(to, pinned, static_cast<std::size_t>(bytes), cudaMemcpyHostToDevice,
                     impl_->stream));
}

void Cuda::fill_zero(void* to, Index bytes) {
  if (bytes > 0) ok(cudaMemsetAsync(to, 0, static_cast<std::size_t>(bytes), impl_->stream));
}

void Cuda::mark(int slot) { ok(cudaEventRecord(impl_->marks[slot], impl_->stream)); }
void Cuda::wait_for(int slot) { ok(cudaEventSynchronize(impl_->marks[slot])); }
double Cuda::milliseconds(int from_slot, int to_slot) {
  float ms = 0;
  ok(cudaEventElapsedTime(&ms, impl_->marks[from_slot], impl_->marks[to_slot]));
  return static_cast<double>(ms);
}

void Cuda::follow(const Cuda& other) {
  ok(cudaEventRecord(other.impl_->reached, other.impl_->stream));
  ok(cudaStreamWaitEvent(impl_->stream, other.impl_->reached, 0));
}

Cuda& Cuda::beside() {
  if (!impl_->beside) {
    impl_->beside = std::make_unique<Cuda>(impl_->index);
    impl_->beside->impl_->allowance = impl_->allowance;
  }
  impl_->beside->impl_->blas = impl_->blas;  // one library with one choice of routines
  return *impl_->beside;
}

void* Cuda::scratch(Index bytes) {
  if (bytes > impl_->scratch_bytes) {
    impl_->scratch.reset();  // waits for the work that uses it
    impl_->scratch_bytes = 0;
    impl_->scratch = cuda_memory(*this, bytes);
    impl_->scratch_bytes = bytes;
  }
  return impl_->scratch.get();
}

Index Cuda::scratch_bytes() const { return impl_->scratch_bytes; }

std::shared_ptr<void> cuda_memory(const Cuda& cuda, Index bytes) {
  const int index = cuda.index();
  const std::shared_ptr<CudaAllowance> allowance = cuda.impl().allowance;
  const Index limit = allowance->limit;
  void* memory = nullptr;
  ok(cudaSetDevice(index));
  if ((limit >= 0 && allowance->used + bytes > limit) ||
      cudaMalloc(&memory, static_cast<std::size_t>(bytes)) != cudaSuccess) {
    cudaGetLastError();
    fail(Fault::memory, "cuda: " + std::to_string(bytes >> 20) +
                            " MiB of device memory are wanted, " +
                            std::to_string(cuda.free_memory() >> 20) + " MiB are free");
  }
  allowance->used += bytes;
  return {memory, [index, allowance, bytes](void* p) {
            cudaSetDevice(index);
            cudaFree(p);
            allowance->used -= bytes;
          }};
}

std::shared_ptr<void> cuda_pinned(const Cuda& cuda, Index bytes) {
  void* memory = nullptr;
  ok(cudaSetDevice(cuda.index()));
  if (cudaMallocHost(&memory, static_cast<std::size_t>(bytes)) != cudaSuccess) {
    cudaGetLastError();
    fail(Fault::memory, "cuda: no " + std::to_string(bytes >> 20) + " MiB of page-locked memory");
  }
  return {memory, [](void* p) { cudaFreeHost(p); }};
}

}  // namespace genossm
