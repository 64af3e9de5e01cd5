#include "kernels/core/cuda/device.cuh"
#include "kernels/core/cuda/impl.h"
#include "kernels/pool/pool.h"

namespace genossm {
namespace {

constexpr int kThreads = 32;

// The law wants the additions in token order, so the channels are the only parallel axis; several
// rows are loaded ahead to keep the memory busy.
__global__ void pool_kernel(Pool op) {
  const Index d = static_cast<Index>(blockIdx.x) * kThreads + threadIdx.x;
  const Index L = op.x.extent[0];
  if (d >= op.x.extent[1]) return;
  double sum = op.sum.data[d];
  constexpr int kAhead = 32;
  for (Index begin = 0; begin < L; begin += kAhead) {
    float x[kAhead];
    const Index n = L - begin < kAhead ? L - begin : kAhead;
#pragma unroll
    for (int k = 0; k < kAhead; ++k) x[k] = op.x.row(begin + (k < n ? k : n - 1))[d];
#pragma unroll
    for (int k = 0; k < kAhead; ++k) {
      if (k >= n) break;
      const double v = x[k];
      if (op.kind == Pool::Kind::mean) {
        sum += v;
      } else if (v > sum || v != v) {
        sum = v;
      }
    }
  }
  op.sum.data[d] = sum;
}

}  // namespace

void run(Cuda& cuda, const Pool& op) {
  if (op.x.size() == 0) return;
  pool_kernel<<<static_cast<unsigned>(div_up(op.x.extent[1], kThreads)), kThreads, 0,
                stream_of(cuda)>>>(op);
  ok_launch();
}

}  // namespace genossm
