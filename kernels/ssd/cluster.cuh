// Clusters of blocks (sm_90): a barrier in two halves, and stores into another block's shared
// memory. On older chips nothing that needs them is started. Private to this folder.
#pragma once

#include "kernels/core/cuda/device.cuh"

namespace genossm {

// All threads of all blocks of a cluster; what was written before arriving is seen after waiting.
__device__ __forceinline__ void arrive_in_cluster() {
#if __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
#endif
}
__device__ __forceinline__ void wait_for_cluster() {
#if __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
#endif
}

// Into the place that `p` is in this block, in the cluster's block `rank`.
__device__ __forceinline__ void store_in_cluster(float* p, int rank, float value) {
#if __CUDA_ARCH__ >= 900
  const auto here = static_cast<unsigned>(__cvta_generic_to_shared(p));
  unsigned there;
  asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"(here), "r"(rank));
  asm volatile("st.shared::cluster.f32 [%0], %1;" ::"r"(there), "f"(value) : "memory");
#endif
}

}  // namespace genossm
