// What a MatmulWeight holds. Private to this folder: reference.cc makes the definition's copy,
// cpu.cc the packed form of oneDNN.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <span>

#include "kernels/core/buffer.h"
#include "kernels/matmul/matmul.h"

namespace genossm {

struct CpuMatmul;   // cpu.cc
struct CudaMatmul;  // cuda.cu

// Weights in panels of kPanel outputs and the product on one thread, for processors on which
// oneDNN's f32 routines repack the weights at every call (all without AVX-512). panels.cc.
inline constexpr Index kPanel = 16;

// The rows of a weight one after the other, wherever they lie.
class WeightRows {
 public:
  explicit WeightRows(View<const float, 2> w) : dense_(w), N_(w.extent[0]), K_(w.extent[1]) {}
  WeightRows(const StoredMatrix& w, std::span<const Index> order)
      : stored_(w), order_(order), N_(w.rows), K_(w.columns), one_(w.columns) {}
  Index outputs() const { return N_; }
  Index inputs() const { return K_; }
  // Valid until the next call.
  const float* row(Index n) const {
    if (!dense_.empty()) return dense_.row(n);
    stored_.read_row(order_.empty() ? n : order_[static_cast<std::size_t>(n)], one_.data());
    return one_.data();
  }

 private:
  View<const float, 2> dense_;
  StoredMatrix stored_;
  std::span<const Index> order_;
  Index N_, K_;
  Buffer<float> one_;
};

// How a weight is held.
enum class WeightForm {
  by_precision,  // float32 or bf16
  bf16,          // bf16 whatever the precision of the products
  e4m3
};

struct Panels {
  Panels(const WeightRows& w, WeightForm form, const Fp8Scales& scales);
  void run(const Matmul& op) const;  // any strides, any number of rows
  Index bytes() const { return 4 * weights.size() + 2 * halves.size() + codes.size(); }
  // One of them, [N / kPanel, K, kPanel], zeros above N.
  Buffer<float> weights;
  Buffer<std::uint16_t> halves;
  Buffer<std::uint8_t> codes;
  std::array<float, 256> table{};  // of the codes: their values, divided by both scales
};

struct MatmulWeight::Impl {
  Buffer<float> plain;  // [N, K], rounded; packed for Reference only
  std::optional<Fp8Scales> fp8;
  std::shared_ptr<const CpuMatmul> cpu;    // packed for Cpu only
  std::shared_ptr<const CudaMatmul> cuda;  // packed for Cuda only
};

std::shared_ptr<const CpuMatmul> pack_for_cpu(const WeightRows& w, Precision precision,
                                              WeightForm form, const Fp8Scales& scales);
Index bytes_of(const CpuMatmul& packed);
bool rows_independent(const CpuMatmul& packed);

// With scales: as values of e4m3, whatever the precision.
std::shared_ptr<const CudaMatmul> pack_for_cuda(Cuda& cuda, const WeightRows& w,
                                                Precision precision,
                                                const std::optional<Fp8Scales>& fp8 = {});
Index bytes_of(const CudaMatmul& packed);

}  // namespace genossm
