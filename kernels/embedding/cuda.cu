#include "kernels/core/cuda/device.cuh"
#include "kernels/core/cuda/impl.h"
#include "kernels/embedding/embedding.h"

namespace genossm {
namespace {

constexpr int kWarps = 8;

// One warp a row.
template <int V>
__global__ void __launch_bounds__(kWarps * 32) embedding_kernel(Embedding op) {
  const Index t = static_cast<Index>(blockIdx.x) * kWarps + threadIdx.x / 32;
  if (t >= op.tokens.extent[0]) return;
  const Index D = op.table.extent[1], token = op.tokens.data[t];
  const bool good = token >= 0 && token < op.table.extent[0];
  const float* from = op.table.row(good ? token : 0);
  float* to = op.y.row(t);
  for (Index d = threadIdx.x % 32 * V; d < D; d += 32 * V) {
    float v[V];
    load_pack<float, V>(from + d, v);
#pragma unroll
    for (int i = 0; i < V; ++i) v[i] = good ? v[i] : __int_as_float(0x7fc00000);
    store_pack<float, V>(to + d, v);
  }
}

}  // namespace

void run(Cuda& cuda, const Embedding& op) {
  if (op.y.size() == 0) return;
  const auto blocks = static_cast<unsigned>(div_up(op.y.extent[0], kWarps));
  if (op.y.extent[1] % 4 == 0 && aligned_for(op.table.data, op.table.stride[0], 4) &&
      aligned_for(op.y.data, op.y.stride[0], 4)) {
    embedding_kernel<4><<<blocks, kWarps * 32, 0, stream_of(cuda)>>>(op);
  } else {
    embedding_kernel<1><<<blocks, kWarps * 32, 0, stream_of(cuda)>>>(op);
  }
  ok_launch();
}

}  // namespace genossm
