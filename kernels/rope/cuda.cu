// A block takes a row: sines and cosines of its angles once, then all heads.
#include "kernels/core/cuda/device.cuh"
#include "kernels/core/cuda/impl.h"
#include "kernels/rope/rope.h"

namespace genossm {
namespace {

constexpr int kThreads = 128;
constexpr int kAtOnce = 512;  // frequencies whose sines are held

template <class T>
__global__ void __launch_bounds__(kThreads) rope_kernel(BasicRope<T> op) {
  __shared__ float2 circle[kAtOnce];
  const Index t = blockIdx.x;
  const Index half = op.inv_freq.extent[0], E = op.x.extent[1] / op.heads;
  const double position = static_cast<double>(op.start + t) / op.scale;
  T* row = op.x.row(t);
  for (Index first = 0; first < half; first += kAtOnce) {
    const Index n = half - first < kAtOnce ? half - first : kAtOnce;
    for (Index j = threadIdx.x; j < n; j += kThreads) {
      // angle = quarters * pi/2 + rest; pi/2 in two parts.
      const double angle = position * static_cast<double>(op.inv_freq.data[first + j]);
      const double quarters = rint(angle * 0.63661977236758134308);
      double rest = fma(-quarters, 1.5707963267948965580, angle);
      rest = fma(-quarters, 6.1232339957367660359e-17, rest);
      float s, c;
      sincosf(static_cast<float>(rest), &s, &c);
      switch (static_cast<long long>(quarters) & 3) {
        case 0:
          circle[j] = {c, s};
          break;
        case 1:
          circle[j] = {-s, c};
          break;
        case 2:
          circle[j] = {-c, -s};
          break;
        default:
          circle[j] = {s, -c};
      }
    }
    __syncthreads();
    for (Index i = threadIdx.x; i < op.heads * n; i += kThreads) {
      const float2 cs = circle[i % n];
      T* a = row + i / n * E + first + i % n;
      const float x0 = to_float(a[0]), x1 = to_float(a[half]);
      a[0] = from_float<T>(fmaf(-x1, cs.y, x0 * cs.x));
      a[half] = from_float<T>(fmaf(x0, cs.y, x1 * cs.x));
    }
    __syncthreads();
  }
}

template <class T>
void run_any(Cuda& cuda, const BasicRope<T>& op) {
  if (op.x.size() == 0 || op.inv_freq.extent[0] == 0) return;
  rope_kernel<T><<<static_cast<unsigned>(op.x.extent[0]), kThreads, 0, stream_of(cuda)>>>(op);
  ok_launch();
}

}  // namespace

void run(Cuda& cuda, const Rope& op) { run_any(cuda, op); }
void run(Cuda& cuda, const BasicRope<bf16>& op) { run_any(cuda, op); }

}  // namespace genossm
