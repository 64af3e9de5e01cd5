// attention -- softmax attention with grouped heads over a cache of keys and values.
//
//   y[i, h] = sum_j p[j] v[j, g],  p = softmax over the keys j that row i sees of
//             scale * (q[i, h] . k[j, g]),  g = h / (H / G)                       [E]
//
// The L queries are the last L of S positions: k and v hold the S - L earlier tokens of the
// sequence, then those of the queries themselves. Which of them a query sees: mask.h.
// Source:   Vaswani et al. 2017; grouped heads: Ainslie et al. 2023; the softmax in one pass:
//           Milakov & Gimelshein 2018. JanusDNA's mask: hybrid_dna.md section 2.
// Numerics: products and sums in float32, also of bf16 keys and values. Keys are taken in blocks of
//           64 that begin at multiples of 64 of the sequence's own positions; there is never more
//           than a block of scores. A key that is not seen is not touched: NaN in it does not
//           spread. A query that sees no key gives zeros.
// Law:      a row depends on nothing but its own query and the keys it sees at their positions: a
//           sequence may be cut anywhere, into single tokens too, with the same bits (Cpu). With a
//           window, rows of k and v that no query sees any more may be dropped (see `first`).
#pragma once

#include "kernels/attention/mask.h"
#include "kernels/core/device.h"

namespace genossm {

// T: float; on Cuda also bf16. KV, the element of the cache: float or bf16.
template <class T, class KV>
struct BasicAttention {
  using Mask = AttentionMask;
  // in
  View<const T, 2> q;   // [L, H * E]
  View<const KV, 2> k;  // [S, G * E]  S >= L
  View<const KV, 2> v;  // [S, G * E]
  Index heads = 1;      // H, a multiple of G
  Index kv_heads = 1;   // G
  float scale = 1;      // 1 / sqrt(E) in most models
  Mask mask = Mask::causal;
  Index window = 0;  // W >= 1; Mask::window only
  Index first = 0;   // position in the sequence of row 0 of k and v; for the blocks only
  // out
  View<T, 2> y;  // [L, H * E]  may be the memory of q
};
template <class KV>
using AttentionOf = BasicAttention<float, KV>;
using Attention = AttentionOf<float>;

template <class T, class KV>
void check(const BasicAttention<T, KV>&);         // throws Error{Fault::shape}
void run(Reference&, const AttentionOf<float>&);  // the definition, double
void run(Reference&, const AttentionOf<bf16>&);
void run(Cpu&, const AttentionOf<float>&);  // parallel over heads and rows; lanes across keys for
void run(Cpu&, const AttentionOf<bf16>&);   // the scores, across channels for the sums
// A block takes 64 rows of a head over all keys, in blocks of 32; heads of at most 256 columns
// (Fault::shape beyond). The law holds as on Cpu.
void run(Cuda&, const AttentionOf<float>&);
void run(Cuda&, const AttentionOf<bf16>&);
void run(Cuda&, const BasicAttention<bf16, bf16>&);

// Rows of keys or values into a cache: to = from, rounded to the nearest where KV is bf16.
template <class T, class KV>
struct BasicCacheRows {
  View<const T, 2> from;  // [L, G * E]
  View<KV, 2> to;         // [L, G * E]
};
template <class KV>
using CacheRows = BasicCacheRows<float, KV>;

template <class T, class KV>
void check(const BasicCacheRows<T, KV>&);  // throws Error{Fault::shape}
void run(Reference&, const CacheRows<float>&);
void run(Reference&, const CacheRows<bf16>&);
void run(Cpu&, const CacheRows<float>&);
void run(Cpu&, const CacheRows<bf16>&);
void run(Cuda&, const CacheRows<float>&);
void run(Cuda&, const CacheRows<bf16>&);
void run(Cuda&, const BasicCacheRows<bf16, bf16>&);

}  // namespace genossm
