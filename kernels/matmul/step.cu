#include "kernels/core/cuda/device.cuh"
#include "kernels/core/cuda/impl.h"
#include "kernels/matmul/cuda_step.h"

namespace genossm {
namespace {

constexpr int kWarps = 4;
constexpr int kRowTiles = 2;           // of 16 rows
constexpr int kRows = 16 * kRowTiles;  // of a block; its warps share out the columns
constexpr int kColumns = 32;           // that a warp finishes at once

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
template <int kSteps, bool kWhole>
__device__ __forceinline__ void step_rows(View<const bf16, 2> x, const bf16* __restrict__ w, Index ld,
                                          View<const float, 1> bias, View<bf16, 2> y, Index first) {
  const int lane = static_cast<int>(threadIdx.x) % 32, g = lane / 4, q = lane % 4;
  const Index L = x.extent[0];
  unsigned a[kRowTiles][kSteps][4];
#pragma unroll
  for (int r = 0; r < kRowTiles; ++r) {
    const Index top = first + r * 16 + g, low = top + 8;
    const bf16 *at_top = x.row(top) + 2 * q, *at_low = x.row(low) + 2 * q;
#pragma unroll
    for (int s = 0; s < kSteps; ++s) {
      a[r][s][0] = kWhole || top < L ? pair_at(at_top + s * 16) : 0u;
      a[r][s][1] = kWhole || low < L ? pair_at(at_low + s * 16) : 0u;
      a[r][s][2] = kWhole || top < L ? pair_at(at_top + s * 16 + 8) : 0u;
      a[r][s][3] = kWhole || low < L ? pair_at(at_low + s * 16 + 8) : 0u;
    }
  }
  const int N = static_cast<int>(y.extent[1]);
  for (int n = static_cast<int>(threadIdx.x) / 32 * kColumns; n < N; n += kWarps * kColumns) {
    unsigned b[4][kSteps][2];
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const bf16* row = w + static_cast<Index>(n + 8 * (g / 2) + 2 * j + g % 2) * ld + 2 * q;
#pragma unroll
      for (int s = 0; s < kSteps; ++s) {
        b[j][s][0] = pair_at(row + s * 16);
        b[j][s][1] = pair_at(row + s * 16 + 8);
      }
    }
    float offset[8] = {};
    if (!bias.empty()) load_pack<float, 8>(bias.data + n + 8 * q, offset);
#pragma unroll
    for (int r = 0; r < kRowTiles; ++r) {
      float c[4][4];
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        c[j][0] = c[j][2] = offset[2 * j];
        c[j][1] = c[j][3] = offset[2 * j + 1];
#pragma unroll
        for (int s = 0; s < kSteps; ++s) mma_16816(c[j], a[r][s], b[j][s]);
      }
      float out[2][8];
#pragma unroll
      for (int i = 0; i < 16; ++i) {
        out[i / 8][i % 8] = softplus_of<bf16>(c[i % 8 / 2][2 * (i / 8) + i % 2]);
      }
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const Index row = first + r * 16 + half * 8 + g;
        if (kWhole || row < L) store_pack<bf16, 8>(y.row(row) + n + 8 * q, out[half]);
      }
    }
  }
}

template <int kSteps>
__global__ void __launch_bounds__(kWarps * 32, kSteps == 1 ? 8 : 4)
    step_kernel(View<const bf16, 2> x, const bf16* __restrict__ w, Index ld,
                View<const float, 1> bias, View<bf16, 2> y) {
  const Index first = static_cast<Index>(blockIdx.x) * kRows;
  if (first + kRows <= x.extent[0]) {
    step_rows<kSteps, true>(x, w, ld, bias, y, first);
  } else {
    step_rows<kSteps, false>(x, w, ld, bias, y, first);
  }
}

}  // namespace

bool step_fits(View<const bf16, 2> x, View<bf16, 2> y, Index K) {
  return K % 16 == 0 && K <= 64 && y.extent[1] % kColumns == 0 && aligned_for(x.data, x.stride[0], 2) &&
         aligned_for(y.data, y.stride[0], 8);
}

void run_step(Cuda& cuda, View<const bf16, 2> x, const bf16* w, Index ld, View<const float, 1> bias,
              View<bf16, 2> y) {
  const Index L = x.extent[0];
  if (L == 0) return;
  const auto grid = static_cast<unsigned>(div_up(L, kRows));
  const auto start = [&](auto steps) {
    step_kernel<decltype(steps)::value>
        <<<grid, kWarps * 32, 0, stream_of(cuda)>>>(x, w, ld, bias, y);
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
