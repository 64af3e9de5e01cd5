#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/attention/attention.h"
#include "kernels/core/shapes.h"

namespace genossm {

template <class T, class KV>
void check(const BasicAttention<T, KV>& op) {
  const auto [L, C] = op.q.extent;
  const Index S = op.k.extent[0], H = op.heads, G = op.kv_heads;
  if (H < 1 || C % H != 0) {
    fail(Fault::shape, "attention: " + std::to_string(C) + " columns are not " + std::to_string(H) +
                           " heads of one size");
  }
  if (G < 1 || H % G != 0) {
    fail(Fault::shape, "attention: " + std::to_string(H) + " heads cannot share " +
                           std::to_string(G) + " heads of keys");
  }
  if (S < L) {
    fail(Fault::shape, "attention: " + std::to_string(S) + " keys, want at least as many as the " +
                           std::to_string(L) + " queries");
  }
  want_shape("attention", "k", op.k, {S, G * (C / H)});
  want_shape("attention", "v", op.v, {S, G * (C / H)});
  want_shape("attention", "y", op.y, {L, C});
  if (op.mask == AttentionMask::window && op.window < 1) {
    fail(Fault::shape,
         "attention: a window of " + std::to_string(op.window) + " keys, want 1 or more");
  }
  if (op.mask == AttentionMask::janus && S % 2 != 0) {
    fail(Fault::shape, "attention: " + std::to_string(S) +
                           " keys, want as many of the forward as of the reverse direction");
  }
  if (op.first < 0) {
    fail(Fault::shape, "attention: first is " + std::to_string(op.first) + ", want 0 or more");
  }
}
template void check(const BasicAttention<float, float>&);
template void check(const BasicAttention<float, bf16>&);
template void check(const BasicAttention<bf16, bf16>&);
template void check(const BasicAttention<bf16, float>&);

template <class T, class KV>
void check(const BasicCacheRows<T, KV>& op) {
  want_shape("attention: cache", "to", op.to, op.from.extent);
}
template void check(const BasicCacheRows<float, float>&);
template void check(const BasicCacheRows<float, bf16>&);
template void check(const BasicCacheRows<bf16, bf16>&);
template void check(const BasicCacheRows<bf16, float>&);

namespace {

double number(float v) { return v; }
double number(bf16 v) { return bf16_to_f32(v.bits); }

template <class KV>
void attend(const AttentionOf<KV>& op) {
  const auto [L, C] = op.q.extent;
  const Index S = op.k.extent[0], E = C / op.heads, shared = op.heads / op.kv_heads;
  std::vector<double> y(static_cast<std::size_t>(E));
  for (Index i = 0; i < L; ++i) {
    const KeyRanges seen = visible_keys(op.mask, op.window, i, L, S);
    for (Index h = 0; h < op.heads; ++h) {
      const float* q = op.q.row(i) + h * E;
      const Index g = h / shared * E;
      std::vector<std::pair<Index, double>> scores;
      double largest = -std::numeric_limits<double>::infinity(), sum = 0;
      for (const KeyRange range : {seen.first, seen.second}) {
        for (Index j = range.begin; j < range.end; ++j) {
          double s = 0;
          for (Index e = 0; e < E; ++e) s += q[e] * number(op.k.row(j)[g + e]);
          scores.push_back({j, s * op.scale});
          largest = std::max(largest, s * op.scale);
        }
      }
      std::fill(y.begin(), y.end(), 0.0);
      for (const auto& [j, s] : scores) {
        const double p = std::exp(s - largest);
        sum += p;
        for (Index e = 0; e < E; ++e) {
          y[static_cast<std::size_t>(e)] += p * number(op.v.row(j)[g + e]);
        }
      }
      for (Index e = 0; e < E; ++e) {
        op.y.row(i)[h * E + e] =
            scores.empty() ? 0.0f : static_cast<float>(y[static_cast<std::size_t>(e)] / sum);
      }
    }
  }
}

float rounded(float v, float) { return v; }
bf16 rounded(float v, bf16) { return {f32_to_bf16(v)}; }

template <class KV>
void copy(const CacheRows<KV>& op) {
  for (Index t = 0; t < op.from.extent[0]; ++t) {
    for (Index c = 0; c < op.from.extent[1]; ++c) {
      op.to.row(t)[c] = rounded(op.from.row(t)[c], KV{});
    }
  }
}

}  // namespace

void run(Reference&, const AttentionOf<float>& op) { attend(op); }
void run(Reference&, const AttentionOf<bf16>& op) { attend(op); }
void run(Reference&, const CacheRows<float>& op) { copy(op); }
void run(Reference&, const CacheRows<bf16>& op) { copy(op); }

}  // namespace genossm
