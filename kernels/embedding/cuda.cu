#include "kernels/core/cuda/device.cuh"
#include "kernels/core/cuda/impl.h"
#include "kernels/embedding/embedding.h"

namespace genossm {
namespace {

constexpr int kThreads = 256;

__global__ void embedding_kernel(Embedding op) {
  const Index D = op.table.extent[1], V = op.table.extent[0];
  const Index i = static_cast<Index>(blockIdx.x) * kThreads + threadIdx.x;
  const Index t = i / D, d = i % D;
  if (t >= op.tokens.extent[0]) return;
  const Index token = op.tokens.data[t];
  const bool good = token >= 0 && token < V;
  op.y.row(t)[d] = good ? op.table.row(token)[d] : __int_as_float(0x7fc00000);
}

}  // namespace

void run(Cuda& cuda, const Embedding& op) {
  const Index n = op.y.size();
  if (n == 0) return;
  embedding_kernel<<<static_cast<unsigned>(div_up(n, kThreads)), kThreads, 0, stream_of(cuda)>>>(op);
  ok_launch();
}

}  // namespace genossm
