#include "kernels/core/cuda/blas.h"

#include <dlfcn.h>

namespace genossm {
namespace {

void* open_library() {
  for (const char* name : {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"}) {
    if (void* library = dlopen(name, RTLD_NOW | RTLD_LOCAL)) return library;
  }
  fail(Fault::device,
       "cuda: libcublasLt.so.13 is not found. Install the cuBLAS library of CUDA 13 or 12, or put "
       "its folder on the loader's path");
}

template <class Function>
void find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  if (function == nullptr) {
    fail(Fault::device, std::string("cuda: this cuBLASLt has no ") + name + ", want CUDA 12 or 13");
  }
}

// The library stays open as long as the program runs: it does not survive being closed and reopened.
std::shared_ptr<const Blas> open_blas() {
  void* library = open_library();
  auto blas = std::make_shared<Blas>();
  find(library, "cublasLtCreate", blas->Create);
  find(library, "cublasLtDestroy", blas->Destroy);
  find(library, "cublasLtMatmul", blas->Matmul);
  find(library, "cublasLtMatmulDescCreate", blas->MatmulDescCreate);
  find(library, "cublasLtMatmulDescDestroy", blas->MatmulDescDestroy);
  find(library, "cublasLtMatmulDescSetAttribute", blas->MatmulDescSetAttribute);
  find(library, "cublasLtMatrixLayoutCreate", blas->MatrixLayoutCreate);
  find(library, "cublasLtMatrixLayoutDestroy", blas->MatrixLayoutDestroy);
  find(library, "cublasLtMatmulPreferenceCreate", blas->MatmulPreferenceCreate);
  find(library, "cublasLtMatmulPreferenceDestroy", blas->MatmulPreferenceDestroy);
  find(library, "cublasLtMatmulPreferenceSetAttribute", blas->MatmulPreferenceSetAttribute);
  find(library, "cublasLtMatmulAlgoGetHeuristic", blas->MatmulAlgoGetHeuristic);
  find(library, "cublasLtMatmulAlgoConfigGetAttribute", blas->MatmulAlgoConfigGetAttribute);
  ok(blas->Create(&blas->handle));
  return blas;
}

}  // namespace

Blas::~Blas() {
  if (handle != nullptr) Destroy(handle);
}

void ok(cublasStatus_t status, std::source_location where) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  const std::string file = where.file_name();
  const auto slash = file.rfind('/');
  fail(status == CUBLAS_STATUS_ALLOC_FAILED ? Fault::memory : Fault::device,
       "cuda: cuBLASLt answered with status " + std::to_string(static_cast<int>(status)) + " (" +
           file.substr(slash == std::string::npos ? 0 : slash + 1) + ":" +
           std::to_string(where.line()) + ")");
}

const Blas& blas_of(Cuda& cuda) {
  Cuda::Impl& impl = cuda.impl();
  if (!impl.blas) {
    ok(cudaSetDevice(impl.index));
    impl.blas = open_blas();
  }
  return *impl.blas;
}

void* blas_workspace(Cuda& cuda) {
  Cuda::Impl& impl = cuda.impl();
  if (!impl.blas_workspace) impl.blas_workspace = cuda_memory(cuda, kBlasWorkspace);
  return impl.blas_workspace.get();
}

}  // namespace genossm
