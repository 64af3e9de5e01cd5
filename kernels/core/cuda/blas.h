// cuBLASLt, opened at run time: a program that links nothing of it starts on machines without it.
#pragma once

#include <cublasLt.h>

#include <memory>
#include <mutex>
#include <source_location>
#include <vector>

#include "kernels/core/cuda/impl.h"

namespace genossm {

// A routine, and what it was chosen for: the shape, the row strides, the form (types, bias,
// alignment).
struct BlasRoutine {
  Index outputs = 0, inputs = 0, x_stride = 0, y_stride = 0;
  int form = 0;
  bool found = false;  // the library may have none
  cublasLtMatmulAlgo_t algorithm = {};
};

// The functions in use, under their own names without the prefix.
struct Blas {
  decltype(&cublasLtCreate) Create = nullptr;
  decltype(&cublasLtDestroy) Destroy = nullptr;
  decltype(&cublasLtMatmul) Matmul = nullptr;
  decltype(&cublasLtMatmulDescCreate) MatmulDescCreate = nullptr;
  decltype(&cublasLtMatmulDescDestroy) MatmulDescDestroy = nullptr;
  decltype(&cublasLtMatmulDescSetAttribute) MatmulDescSetAttribute = nullptr;
  decltype(&cublasLtMatrixLayoutCreate) MatrixLayoutCreate = nullptr;
  decltype(&cublasLtMatrixLayoutDestroy) MatrixLayoutDestroy = nullptr;
  decltype(&cublasLtMatmulPreferenceCreate) MatmulPreferenceCreate = nullptr;
  decltype(&cublasLtMatmulPreferenceDestroy) MatmulPreferenceDestroy = nullptr;
  decltype(&cublasLtMatmulPreferenceSetAttribute) MatmulPreferenceSetAttribute = nullptr;
  decltype(&cublasLtMatmulAlgoGetHeuristic) MatmulAlgoGetHeuristic = nullptr;
  decltype(&cublasLtMatmulAlgoConfigGetAttribute) MatmulAlgoConfigGetAttribute = nullptr;

  cublasLtHandle_t handle = nullptr;

  mutable std::mutex mutex;  // of the routines
  mutable std::vector<BlasRoutine> routines;

  ~Blas();
};

// The device's, opened on first use. Throws Fault::device when there is no cuBLASLt.
const Blas& blas_of(Cuda& cuda);

inline constexpr Index kBlasWorkspace = Index{32} << 20;
void* blas_workspace(Cuda& cuda);

void ok(cublasStatus_t status, std::source_location where = std::source_location::current());

}  // namespace genossm
