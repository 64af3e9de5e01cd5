// cuBLASLt, opened at run time: a program that links nothing of it starts on machines without it.
#pragma once

#include <cublasLt.h>

#include <memory>
#include <source_location>

#include "kernels/core/cuda/impl.h"

namespace genossm {

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

  ~Blas();
};

// The device's, opened on first use. Throws Fault::device when there is no cuBLASLt.
const Blas& blas_of(Cuda& cuda);

inline constexpr Index kBlasWorkspace = Index{32} << 20;
void* blas_workspace(Cuda& cuda);

void ok(cublasStatus_t status, std::source_location where = std::source_location::current());

}  // namespace genossm
