// What a MatmulWeight holds. Private to this folder: reference.cc makes the definition's copy,
// cpu.cc the packed form of oneDNN.
#pragma once

#include <memory>

#include "kernels/core/buffer.h"
#include "kernels/matmul/matmul.h"

namespace genossm {

struct CpuMatmul;   // cpu.cc
struct CudaMatmul;  // cuda.cu

// Weights in panels of kPanel outputs and the product on one thread, for processors on which
// oneDNN's f32 routines repack the weights at every call (all without AVX-512). panels.cc.
inline constexpr Index kPanel = 16;

struct Panels {
  explicit Panels(View<const float, 2> w);  // [N, K]
  void run(const Matmul& op) const;         // any strides, any number of rows
  Buffer<float> weights;                    // [N / kPanel, K, kPanel], zeros above N
};

struct MatmulWeight::Impl {
  Buffer<float> plain;                   // [N, K], rounded if bf16; packed for Reference only
  std::shared_ptr<const CpuMatmul> cpu;  // packed for Cpu only
  std::shared_ptr<const CudaMatmul> cuda;  // packed for Cuda only
};

std::shared_ptr<const CpuMatmul> pack_for_cpu(View<const float, 2> w, Precision precision);
Index bytes_of(const CpuMatmul& packed);
bool rows_independent(const CpuMatmul& packed);

std::shared_ptr<const CudaMatmul> pack_for_cuda(Cuda& cuda, View<const float, 2> w,
                                                Precision precision);
Index bytes_of(const CudaMatmul& packed);

}  // namespace genossm
