#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "kernels/core/shapes.h"
#include "kernels/matmul/packed.h"

namespace genossm {
namespace {

void check_rows(const char* name, Index rows, Index columns, Index stride) {
  if (rows > 1 && stride < columns) {
    fail(Fault::shape, std::string("matmul: the row stride of ") + name + " is " +
                           std::to_string(stride) + ", want at least " + std::to_string(columns));
  }
}

// Whether any element of x is one of y. Column ranges of one matrix, as those of a joint
// projection, lie between each other without sharing an element.
template <class X, class Y>
bool overlap(const BasicMatmul<X, Y>& op) {
  const Index L = op.x.extent[0], K = op.x.extent[1], N = op.y.extent[1];
  if (L == 0) return false;
  const auto address = [](const void* p) { return reinterpret_cast<std::intptr_t>(p); };
  if (address(op.x.row(L - 1) + K) <= address(op.y.data) ||
      address(op.y.row(L - 1) + N) <= address(op.x.data)) {
    return false;
  }
  if (sizeof(X) != sizeof(Y)) return true;
  const Index x = 0, y = (address(op.y.data) - address(op.x.data)) / Index{sizeof(X)};
  const Index stride = op.x.stride[0];
  if (L == 1 || stride != op.y.stride[0]) return true;
  const Index offset = ((y - x) % stride + stride) % stride;
  return offset < K || offset + N > stride;
}

double rounded(float value, Precision precision) {
  return precision == Precision::bf16 ? bf16_to_f32(f32_to_bf16(value)) : value;
}

}  // namespace

MatmulWeight MatmulWeight::pack(Device& device, View<const float, 2> w, Precision precision) {
  const auto [N, K] = w.extent;
  if (w.empty() || N < 1 || K < 1) {
    fail(Fault::shape, "matmul: weight is " + shape_of(w.extent) + ", want at least [1, 1]");
  }
  check_rows("weight", N, K, w.stride[0]);
  auto impl = std::make_shared<Impl>();
  if constexpr (build::has_cuda) {
    if (Cuda* cuda = as_cuda(device)) impl->cuda = pack_for_cuda(*cuda, WeightRows(w), precision);
  }
  if (std::holds_alternative<Cpu>(device)) {
    impl->cpu = pack_for_cpu(WeightRows(w), precision, WeightForm::by_precision, {});
  } else if (!impl->cuda) {
    impl->plain = Buffer<float>(N * K);
    for (Index n = 0; n < N; ++n) {
      for (Index k = 0; k < K; ++k) {
        impl->plain[n * K + k] = static_cast<float>(rounded(w.row(n)[k], precision));
      }
    }
  }
  MatmulWeight weight;
  weight.impl_ = std::move(impl);
  weight.outputs_ = N;
  weight.inputs_ = K;
  weight.precision_ = precision;
  return weight;
}

MatmulWeight MatmulWeight::sketch(const StoredMatrix& w, Precision precision, bool fp8) {
  MatmulWeight weight;
  weight.outputs_ = w.rows;
  weight.inputs_ = w.columns;
  weight.precision_ = precision;
  const bool narrow = w.dtype == DType::bf16 || precision == Precision::bf16;
  weight.sketched_ = w.rows * w.columns * (fp8 ? 1 : narrow ? 2 : 4);
  return weight;
}

namespace {

void check_stored(const StoredMatrix& w, std::span<const Index> order) {
  require(w.data != nullptr && w.rows >= 1 && w.columns >= 1, Fault::shape,
          "matmul: a stored weight is empty, want at least [1, 1]");
  require(order.empty() || static_cast<Index>(order.size()) == w.rows, Fault::shape,
          "matmul: the order of the rows is not one of all rows");
}

}  // namespace

MatmulWeight MatmulWeight::pack(Device& device, const StoredMatrix& w, Precision precision,
                                std::span<const Index> order) {
  check_stored(w, order);
  MatmulWeight weight;
  const WeightRows all(w, order);
  auto impl = std::make_shared<Impl>();
  if constexpr (build::has_cuda) {
    if (Cuda* cuda = as_cuda(device)) impl->cuda = pack_for_cuda(*cuda, all, precision);
  }
  if (std::holds_alternative<Cpu>(device)) {
    const bool narrow = w.dtype == DType::bf16;
    impl->cpu =
        pack_for_cpu(all, precision, narrow ? WeightForm::bf16 : WeightForm::by_precision, {});
  } else if (!impl->cuda) {
    impl->plain = Buffer<float>(w.rows * w.columns);
    for (Index n = 0; n < w.rows; ++n) {
      const float* row = all.row(n);
      for (Index k = 0; k < w.columns; ++k) {
        impl->plain[n * w.columns + k] = static_cast<float>(rounded(row[k], precision));
      }
    }
  }
  weight.impl_ = std::move(impl);
  weight.outputs_ = w.rows;
  weight.inputs_ = w.columns;
  weight.precision_ = precision;
  return weight;
}

MatmulWeight MatmulWeight::pack_e4m3(Device& device, const StoredMatrix& w, Fp8Scales scales,
                                     std::span<const Index> order) {
  check_stored(w, order);
  for (const float scale : {scales.input, scales.weight}) {
    require(std::isfinite(scale) && scale > 0, Fault::checkpoint,
            "matmul: an 8-bit scale is " + std::to_string(scale) + ", want a positive number");
  }
  MatmulWeight weight;
  const WeightRows all(w, order);
  auto impl = std::make_shared<Impl>();
  impl->fp8 = scales;
  if constexpr (build::has_cuda) {
    if (Cuda* cuda = as_cuda(device))
      impl->cuda = pack_for_cuda(*cuda, all, Precision::bf16, scales);
  }
  if (std::holds_alternative<Cpu>(device)) {
    impl->cpu = pack_for_cpu(all, Precision::fp32, WeightForm::e4m3, scales);
  } else if (!impl->cuda) {
    impl->plain = Buffer<float>(w.rows * w.columns);
    for (Index n = 0; n < w.rows; ++n) {
      const float* row = all.row(n);
      for (Index k = 0; k < w.columns; ++k) {
        impl->plain[n * w.columns + k] = round_to_e4m3(row[k] * scales.weight);
      }
    }
  }
  weight.impl_ = std::move(impl);
  weight.outputs_ = w.rows;
  weight.inputs_ = w.columns;
  return weight;
}

Index MatmulWeight::bytes() const {
  if (!impl_) return sketched_;
  if constexpr (build::has_cuda) {
    if (impl_->cuda) return bytes_of(*impl_->cuda);
  }
  return impl_->cpu ? bytes_of(*impl_->cpu) : impl_->plain.size() * size_of(DType::f32);
}

bool MatmulWeight::rows_independent() const {
  return !impl_ || !impl_->cpu || genossm::rows_independent(*impl_->cpu);
}

template <class X, class Y>
void check(const BasicMatmul<X, Y>& op) {
  require(op.weight != nullptr && !op.weight->empty(), Fault::shape,
          "matmul: no weight, want a packed one");
  const Index L = op.x.extent[0], K = op.weight->inputs(), N = op.weight->outputs();
  want_shape("matmul", "x", op.x, {L, K});
  want_shape("matmul", "y", op.y, {L, N});
  want_shape_or_empty("matmul", "bias", op.bias, {N});
  check_rows("x", L, K, op.x.stride[0]);
  check_rows("y", L, N, op.y.stride[0]);
  require(!overlap(op), Fault::shape, "matmul: y overlaps x, want memory of its own");
}
template void check(const BasicMatmul<float, float>&);
template void check(const BasicMatmul<bf16, bf16>&);
template void check(const BasicMatmul<bf16, float>&);

void run(Reference&, const Matmul& op) {
  const Buffer<float>& w = op.weight->impl().plain;
  require(w.size() > 0, Fault::internal, "matmul: weight is packed for Cpu, want Reference");
  const Index L = op.x.extent[0], K = op.weight->inputs(), N = op.weight->outputs();
  const std::optional<Fp8Scales>& fp8 = op.weight->impl().fp8;
  const double divisor =
      fp8 ? static_cast<double>(fp8->input) * static_cast<double>(fp8->weight) : 1.0;
  std::vector<double> x(static_cast<std::size_t>(K));
  for (Index t = 0; t < L; ++t) {
    std::transform(op.x.row(t), op.x.row(t) + K, x.begin(), [&](float value) -> double {
      return fp8 ? round_to_e4m3(value * fp8->input) : rounded(value, op.weight->precision());
    });
    for (Index n = 0; n < N; ++n) {
      double sum = 0;
      for (Index k = 0; k < K; ++k) sum += x[static_cast<std::size_t>(k)] * w[n * K + k];
      sum = sum / divisor + (op.bias.empty() ? 0.0 : op.bias.data[n]);
      float& y = op.y.row(t)[n];
      y = static_cast<float>(op.accumulate ? y + sum : sum);
    }
  }
}

}  // namespace genossm
