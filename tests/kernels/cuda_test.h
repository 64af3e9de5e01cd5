// Runs an op whose views lie in host memory on a GPU: all that the views span goes there, gaps
// included, and the outputs come back the same way, so that a kernel that writes into a gap is
// caught.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "kernels/activation/activation.h"
#include "kernels/attention/attention.h"
#include "kernels/causal_conv/causal_conv.h"
#include "kernels/core/device.h"
#include "kernels/diagonal_scan/diagonal_scan.h"
#include "kernels/embedding/embedding.h"
#include "kernels/fir/fir.h"
#include "kernels/hyena_filter/hyena_filter.h"
#include "kernels/long_conv/long_conv.h"
#include "kernels/matmul/matmul.h"
#include "kernels/norm/norm.h"
#include "kernels/pool/pool.h"
#include "kernels/rope/rope.h"
#include "kernels/selective_scan/selective_scan.h"
#include "kernels/ssd/ssd.h"
#include "kernels/token_scores/token_scores.h"

namespace genossm::testing {

// The GPU; none where there is no GPU or the build has no CUDA.
inline std::optional<Device> open_cuda() {
  if constexpr (build::has_cuda) {
    if (cuda_devices() > 0) return gpu_device(0);
  }
  return std::nullopt;
}
inline constexpr const char* kNoGpu = "no GPU on this machine, or a build without CUDA";

// Copies of host memory on the GPU for the length of one op. T: what float becomes there.
template <class T>
class Mirror {
 public:
  explicit Mirror(Cuda& cuda) : cuda_(cuda) {}

  template <class U, int Rank>
  auto in(View<U, Rank> v) {
    return put(v, false);
  }
  template <class U, int Rank>
  auto out(View<U, Rank> v) {
    return put(v, true);
  }
  void fetch() {
    cuda_.wait();
    for (const auto& copy : copies_) copy();
  }

 private:
  template <class U>
  using Element =
      std::conditional_t<std::is_same_v<std::remove_const_t<U>, float>, T, std::remove_const_t<U>>;

  static bf16 convert(float v, bf16) { return {f32_to_bf16(v)}; }
  static float convert(float v, float) { return v; }
  template <class V>
  static V convert(V v, V) {
    return v;
  }
  static float back(bf16 v) { return bf16_to_f32(v.bits); }
  template <class V>
  static V back(V v) {
    return v;
  }

  template <class U, int Rank>
  auto put(View<U, Rank> v, bool fetched) {
    using E = Element<U>;
    using Out = View<std::conditional_t<std::is_const_v<U>, const E, E>, Rank>;
    Out result;
    result.extent = v.extent;
    result.stride = v.stride;
    if (v.empty()) return result;
    Index low = 0, high = 0;
    for (std::size_t i = 0; i < v.extent.size(); ++i) {
      const Index reach = v.extent[i] > 0 ? (v.extent[i] - 1) * v.stride[i] : 0;
      (reach < 0 ? low : high) += reach;
    }
    const Index n = v.size() > 0 ? high - low + 1 : 1;
    std::vector<E> values(static_cast<std::size_t>(n));
    if (v.size() > 0) {
      for (Index i = 0; i < n; ++i)
        values[static_cast<std::size_t>(i)] = convert(v.data[low + i], E{});
    }
    auto memory = cuda_memory(cuda_, n * Index{sizeof(E)});
    cuda_.copy_in(memory.get(), values.data(), n * Index{sizeof(E)});
    cuda_.wait();
    result.data = static_cast<E*>(memory.get()) - low;
    kept_.push_back(memory);
    if constexpr (!std::is_const_v<U>) {
      if (fetched && v.size() > 0) {
        copies_.push_back([this, v, low, n, memory] {
          std::vector<E> got(static_cast<std::size_t>(n));
          cuda_.copy_out(got.data(), memory.get(), n * Index{sizeof(E)});
          for (Index i = 0; i < n; ++i) v.data[low + i] = back(got[static_cast<std::size_t>(i)]);
        });
      }
    }
    return result;
  }

  Cuda& cuda_;
  std::vector<std::shared_ptr<void>> kept_;
  std::vector<std::function<void()>> copies_;
};

template <class T>
void run_mirrored(Cuda& cuda, const Activation& op) {
  Mirror<T> m(cuda);
  BasicActivation<T> on{.kind = op.kind, .accumulate = op.accumulate};
  on.x = m.in(op.x), on.gate = m.in(op.gate), on.y = m.out(op.y);
  run(cuda, on);
  m.fetch();
}
template <class T>
void run_mirrored(Cuda& cuda, const CausalConv& op) {
  Mirror<T> m(cuda);
  Mirror<float> f(cuda);
  BasicCausalConv<T> on{.silu = op.silu};
  on.x = m.in(op.x), on.w = f.in(op.w), on.bias = f.in(op.bias);
  on.tail = f.out(op.tail), on.y = m.out(op.y);
  run(cuda, on);
  m.fetch(), f.fetch();
}
template <class T>
void run_mirrored(Cuda& cuda, const Norm& op) {
  Mirror<T> m(cuda);
  Mirror<float> f(cuda);
  BasicNorm<float, T> on{.kind = op.kind, .gate = op.gate, .eps = op.eps, .group = op.group};
  on.accumulate = op.accumulate;
  on.x = f.in(op.x), on.residual = f.out(op.residual), on.weight = f.in(op.weight);
  on.bias = f.in(op.bias), on.z = m.in(op.z), on.y = m.out(op.y);
  run(cuda, on);
  m.fetch(), f.fetch();
}
template <class T>
void run_mirrored(Cuda& cuda, const SelectiveScan& op) {
  Mirror<T> m(cuda);
  Mirror<float> f(cuda);
  BasicSelectiveScan<T> on{
      .softplus = op.softplus, .accumulate = op.accumulate, .gate_sum = op.gate_sum};
  on.u = m.in(op.u), on.dt = m.in(op.dt), on.dt_bias = f.in(op.dt_bias), on.A = f.in(op.A);
  on.B = m.in(op.B), on.C = m.in(op.C), on.skip = f.in(op.skip), on.z = m.in(op.z);
  on.h = f.out(op.h), on.y = m.out(op.y);
  run(cuda, on);
  m.fetch(), f.fetch();
}
template <class T>
void run_mirrored(Cuda& cuda, const Ssd& op) {
  Mirror<T> m(cuda);
  Mirror<float> f(cuda);
  BasicSsd<T> on{.softplus = op.softplus,
                 .dt_min = op.dt_min,
                 .dt_max = op.dt_max,
                 .accumulate = op.accumulate};
  on.x = m.in(op.x), on.dt = m.in(op.dt), on.dt_bias = f.in(op.dt_bias), on.A = f.in(op.A);
  on.B = m.in(op.B), on.C = m.in(op.C), on.skip = f.in(op.skip), on.z = m.in(op.z);
  on.h = f.out(op.h), on.scale = f.out(op.scale), on.y = m.out(op.y);
  run(cuda, on);
  m.fetch(), f.fetch();
}
template <class T>
void run_mirrored(Cuda& cuda, const Rope& op) {
  Mirror<T> m(cuda);
  Mirror<float> f(cuda);
  BasicRope<T> on{.heads = op.heads, .start = op.start, .scale = op.scale};
  on.x = m.out(op.x), on.inv_freq = f.in(op.inv_freq);
  run(cuda, on);
  m.fetch();
}
template <class T>
void run_mirrored(Cuda& cuda, const Fir& op) {
  Mirror<T> m(cuda);
  Mirror<float> f(cuda);
  BasicFir<T> on{.order = op.order};
  on.x = m.in(op.x), on.taps = f.in(op.taps), on.skip = f.in(op.skip), on.gate = m.in(op.gate);
  on.tail = f.out(op.tail), on.y = m.out(op.y);
  run(cuda, on);
  m.fetch(), f.fetch();
}
template <class T>
void run_mirrored(Cuda& cuda, const LongConv& op) {
  Mirror<T> m(cuda);
  Mirror<float> f(cuda);
  BasicLongConv<T> on;
  on.u = f.in(op.u), on.h = f.in(op.h), on.skip = f.in(op.skip), on.gate = f.in(op.gate);
  on.y = m.out(op.y);
  run(cuda, on);
  m.fetch();
}
template <class T>
void run_mirrored(Cuda& cuda, const HyenaTrunk& op) {
  Mirror<float> m(cuda);
  HyenaTrunk on;
  on.z = m.in(op.z), on.w0 = m.in(op.w0), on.b0 = m.in(op.b0), on.w = m.in(op.w);
  on.b = m.in(op.b), on.freq = m.in(op.freq), on.a = m.out(op.a);
  run(cuda, on);
  m.fetch();
}
template <class T>
void run_mirrored(Cuda& cuda, const HyenaTaps& op) {
  Mirror<float> m(cuda);
  HyenaTaps on{.shift = op.shift};
  on.a = m.in(op.a), on.w = m.in(op.w), on.time = m.in(op.time), on.deltas = m.in(op.deltas);
  on.h = m.out(op.h);
  run(cuda, on);
  m.fetch();
}
template <class T>
void run_mirrored(Cuda& cuda, const DiagonalScan& op) {
  Mirror<T> m(cuda);
  Mirror<float> f(cuda);
  BasicDiagonalScan<T> on;
  on.u = m.in(op.u), on.poles = f.in(op.poles), on.poles_low = f.in(op.poles_low);
  on.residues = f.in(op.residues), on.skip = f.in(op.skip), on.gate = m.in(op.gate);
  on.h = f.out(op.h), on.y = m.out(op.y);
  run(cuda, on);
  m.fetch(), f.fetch();
}
// T: of queries, keys and values alike.
template <class T>
void run_mirrored(Cuda& cuda, const Attention& op) {
  Mirror<T> m(cuda);
  BasicAttention<T, T> on{.heads = op.heads,
                          .kv_heads = op.kv_heads,
                          .scale = op.scale,
                          .mask = op.mask,
                          .window = op.window,
                          .first = op.first};
  on.q = m.in(op.q), on.k = m.in(op.k), on.v = m.in(op.v), on.y = m.out(op.y);
  run(cuda, on);
  m.fetch();
}
// Queries in float32, keys and values in bf16.
template <class T>
void run_mirrored(Cuda& cuda, const AttentionOf<bf16>& op) {
  Mirror<float> m(cuda);
  AttentionOf<bf16> on{.heads = op.heads,
                       .kv_heads = op.kv_heads,
                       .scale = op.scale,
                       .mask = op.mask,
                       .window = op.window,
                       .first = op.first};
  on.q = m.in(op.q), on.k = m.in(op.k), on.v = m.in(op.v), on.y = m.out(op.y);
  run(cuda, on);
  m.fetch();
}
template <class T>
void run_mirrored(Cuda& cuda, const Matmul& op) {
  Mirror<T> m(cuda);
  Mirror<float> f(cuda);
  BasicMatmul<T, T> on{.weight = op.weight, .accumulate = op.accumulate};
  on.x = m.in(op.x), on.bias = f.in(op.bias), on.y = m.out(op.y);
  on.softplus = op.softplus;
  run(cuda, on);
  m.fetch(), f.fetch();
}
template <class T>
void run_mirrored(Cuda& cuda, const Embedding& op) {
  Mirror<float> m(cuda);
  Embedding on;
  on.tokens = m.in(op.tokens), on.table = m.in(op.table), on.y = m.out(op.y);
  run(cuda, on);
  m.fetch();
}
template <class T>
void run_mirrored(Cuda& cuda, const Pool& op) {
  Mirror<float> m(cuda);
  Pool on{.kind = op.kind};
  on.x = m.in(op.x), on.sum = m.out(op.sum);
  run(cuda, on);
  m.fetch();
}
template <class T>
void run_mirrored(Cuda& cuda, const TokenScores& op) {
  Mirror<float> m(cuda);
  TokenScores on;
  on.logits = m.in(op.logits), on.alphabet = m.in(op.alphabet), on.target = m.in(op.target);
  on.logp = m.out(op.logp), on.entropy = m.out(op.entropy);
  run(cuda, on);
  m.fetch();
}

// launch() for ops in host memory on any device.
template <class Op>
void launch_anywhere(Device& device, const Op& op) {
  if constexpr (build::has_cuda) {
    if (Cuda* cuda = as_cuda(device)) {
      check(op);
      run_mirrored<float>(*cuda, op);
      return;
    }
  }
  launch(device, op);
}
// The same with activations in bf16, on a GPU.
template <class Op>
void launch_in_bf16(Device& device, const Op& op) {
  check(op);
  if constexpr (build::has_cuda) run_mirrored<bf16>(*as_cuda(device), op);
}

}  // namespace genossm::testing
