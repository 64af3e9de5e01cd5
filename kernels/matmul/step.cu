#include "kernels/core/cuda/device.cuh"
#include "kernels/core/cuda/impl.h"
#include "kernels/matmul/cuda_step.h"

namespace genossm {
namespace {

constexpr int kWarps = 4;
constexpr int kRowTiles = 4;              // of 16 rows, a warp
constexpr int kRows = 16 * kRowTiles;     // rows of a warp
constexpr int kColumns = 32;              // columns that a warp finishes at once

__device__ __forceinline__ void mma_16816(float (&c)[4], const unsigned (&a)[4],
                                          const unsigned (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

__device__ __forceinline__ unsigned pair_at(const bf16* p) {
  return *reinterpret_cast<const unsigned*>(p);
}

// The columns of the four products are dealt out so that each lane ends up with eight neighbours of
// one row: 16-byte stores. Column i of product j is column 8 (i / 2) + 2 j + i % 2 of the 32.
template <int kSteps>
__global__ void __launch_bounds__(kWarps * 32)
    step_kernel(View<const bf16, 2> x, const bf16* __restrict__ w, Index ld,
                View<const float, 1> bias, View<bf16, 2> y, int columns_a_block) {
  const int lane = threadIdx.x % 32, g = lane / 4, q = lane % 4;
  const Index first = (static_cast<Index>(blockIdx.x) * kWarps + threadIdx.x / 32) * kRows;
  const Index L = x.extent[0];
  if (first >= L) return;
  unsigned a[kRowTiles][kSteps][4];
#pragma unroll
  for (int r = 0; r < kRowTiles; ++r) {
    const Index top = first + r * 16 + g, low = top + 8;
#pragma unroll
    for (int s = 0; s < kSteps; ++s) {
      const int k = s * 16 + 2 * q;
      a[r][s][0] = top < L ? pair_at(x.row(top) + k) : 0u;
      a[r][s][1] = low < L ? pair_at(x.row(low) + k) : 0u;
      a[r][s][2] = top < L ? pair_at(x.row(top) + k + 8) : 0u;
      a[r][s][3] = low < L ? pair_at(x.row(low) + k + 8) : 0u;
    }
  }
  const int N = static_cast<int>(y.extent[1]);
  const int begin = static_cast<int>(blockIdx.y) * columns_a_block;
  const int end = min(N, begin + columns_a_block);
  for (int n = begin; n < end; n += kColumns) {
    unsigned b[4][kSteps][2];
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const bf16* row = w + static_cast<Index>(n + 8 * (g / 2) + 2 * j + g % 2) * ld;
#pragma unroll
      for (int s = 0; s < kSteps; ++s) {
        b[j][s][0] = pair_at(row + s * 16 + 2 * q);
        b[j][s][1] = pair_at(row + s * 16 + 2 * q + 8);
      }
    }
    float offset[8] = {};
    if (!bias.empty()) load_pack<float, 8>(bias.data + n + 8 * q, offset);
#pragma unroll
    for (int r = 0; r < kRowTiles; ++r) {
      float c[4][4] = {};
#pragma unroll
      for (int s = 0; s < kSteps; ++s) {
#pragma unroll
        for (int j = 0; j < 4; ++j) mma_16816(c[j], a[r][s], b[j][s]);
      }
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const Index row = first + r * 16 + half * 8 + g;
        if (row >= L) continue;
        float out[8];
#pragma unroll
        for (int i = 0; i < 8; ++i) {
          out[i] = softplus_of<bf16>(c[i / 2][2 * half + i % 2] + offset[i]);
        }
        store_pack<bf16, 8>(y.row(row) + n + 8 * q, out);
      }
    }
  }
}

}  // namespace

bool step_fits(View<const bf16, 2> x, View<bf16, 2> y, Index K) {
  return K % 16 == 0 && K <= 64 && y.extent[1] % kColumns == 0 && aligned_for(x.data, x.stride[0], 2) &&
         aligned_for(y.data, y.stride[0], 8);
}

void run_step(Cuda& cuda, View<const bf16, 2> x, const bf16* w, Index ld, View<const float, 1> bias,
              View<bf16, 2> y) {
  const Index L = x.extent[0], N = y.extent[1];
  if (L == 0) return;
  // Enough blocks to fill the device for short inputs too.
  const int columns = N % 128 == 0 ? 128 : kColumns;
  const dim3 grid(static_cast<unsigned>(div_up(L, kWarps * kRows)),
                  static_cast<unsigned>(div_up(N, columns)));
  const auto start = [&](auto steps) {
    step_kernel<decltype(steps)::value>
        <<<grid, kWarps * 32, 0, stream_of(cuda)>>>(x, w, ld, bias, y, columns);
  };
  switch (x.extent[1] / 16) {
    case 1:
      start(std::integral_constant<int, 1>());
      break;
    case 2:
      start(std::integral_constant<int, 2>());
      break;
    case 3:
      start(std::integral_constant<int, 3>());
      break;
    default:
      start(std::integral_constant<int, 4>());
  }
  ok_launch();
}

}  // namespace genossm
