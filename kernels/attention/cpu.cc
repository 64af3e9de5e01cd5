// A task takes some rows of queries of the heads that share keys, and goes over the keys block by
// block: the block's keys are turned so that lanes run across keys, all scores are products like
// those of matrices, and so are the sums of the values. Every element of a product is one chain of
// multiply-adds over its terms in order, whatever its neighbours: that is the law.
#include <algorithm>
#include <limits>

#include "kernels/attention/attention.h"
#include "kernels/core/buffer.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention/cpu.cc"
#include "hwy/foreach_target.h"
//
#include "kernels/core/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace genossm {
namespace HWY_NAMESPACE {
namespace {

constexpr Index kKeys = 64;            // of a block
constexpr Index kKeyRow = kKeys + 16;  // floats; a power of two would fill a few sets of the cache
constexpr Index kRows = 128;  // of a task: queries times the heads that share keys, or one query

#if HWY_TARGET <= HWY_AVX3
constexpr int kVectors = 4;  // 24 sums of 32 registers
#else
constexpr int kVectors = 2;  // 12 sums of 16 registers
#endif

using Four = hn::CappedTag<float, 4>;

HWY_INLINE hn::Vec<Four> load_four(const float* p) { return hn::LoadU(Four(), p); }
HWY_INLINE hn::Vec<Four> load_four(const bf16* p) {
  const hn::Rebind<std::uint16_t, Four> d16;
  const hn::Rebind<std::uint32_t, Four> d32;
  const auto bits = hn::LoadU(d16, reinterpret_cast<const std::uint16_t*>(p));
  return hn::BitCast(Four(), hn::ShiftLeft<16>(hn::PromoteTo(d32, bits)));
}
HWY_INLINE float number(float v) { return v; }
HWY_INLINE float number(bf16 v) { return bf16_to_f32(v.bits); }

// Ahead of its time, a row soon after row j: rows of one head lie far apart in a cache of many
// heads, and the processor foresees none of them. Beyond the end it reads nothing.
template <class KV>
HWY_INLINE void fetch_next(View<const KV, 2> v, Index j, Index E) {
  const KV* row = v.row(j + 4);
  constexpr Index kLine = 64 / sizeof(KV);
  for (Index e = 0; e < E; e += kLine) __builtin_prefetch(row + e);
}

// to[e, j] = from[j, e] for n <= kKeys rows; columns from n on are zeros.
template <class KV>
void turn_keys(View<const KV, 2> from, Index n, Index E, float* to) {
  [[maybe_unused]] const Four d;
  for (Index j = 0; j < kKeys; j += 4) {
    Index e = 0;
    for (Index i = j; i < j + 4; ++i) fetch_next(from, i, E);
#if HWY_TARGET != HWY_SCALAR  // which has no four lanes to turn
    if (j + 4 <= n) {
      const KV *a = from.row(j), *b = from.row(j + 1), *c = from.row(j + 2), *f = from.row(j + 3);
      for (; e + 4 <= E; e += 4) {
        const auto r0 = load_four(a + e), r1 = load_four(b + e);
        const auto r2 = load_four(c + e), r3 = load_four(f + e);
        const auto x0 = hn::InterleaveLower(d, r0, r2), x1 = hn::InterleaveUpper(d, r0, r2);
        const auto y0 = hn::InterleaveLower(d, r1, r3), y1 = hn::InterleaveUpper(d, r1, r3);
        float* out = to + e * kKeyRow + j;
        hn::StoreU(hn::InterleaveLower(d, x0, y0), d, out);
        hn::StoreU(hn::InterleaveUpper(d, x0, y0), d, out + kKeyRow);
        hn::StoreU(hn::InterleaveLower(d, x1, y1), d, out + 2 * kKeyRow);
        hn::StoreU(hn::InterleaveUpper(d, x1, y1), d, out + 3 * kKeyRow);
      }
    }
#endif
    for (; e < E; ++e) {
      for (Index i = j; i < j + 4; ++i) {
        to[e * kKeyRow + i] = i < n ? number(from.row(i)[e]) : 0.0f;
      }
    }
  }
}

// to[j, e] = from[j, e] for n rows, `pitch` apart.
template <class KV>
void copy_values(View<const KV, 2> from, Index n, Index E, float* to, Index pitch) {
  const Four d;
  for (Index j = 0; j < n; ++j) {
    fetch_next(from, j, E);
    const KV* row = from.row(j);
    float* out = to + j * pitch;
    Index e = 0;
    const Index four = static_cast<Index>(hn::Lanes(d));
    for (; e + four <= E; e += four) hn::StoreU(load_four(row + e), d, out + e);
    for (; e < E; ++e) out[e] = number(row[e]);
  }
}

// c[r, 0 .. V vectors) += sum over k of a[r, k] b[k, ...], terms in order; from zero if `fresh`.
template <int R, int V>
HWY_INLINE void product(const float* HWY_RESTRICT a, Index a_row, const float* HWY_RESTRICT b,
                        Index b_row, float* HWY_RESTRICT c, Index c_row, Index K, bool fresh) {
  const F32 d;
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  Vec sum[R][V];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) {
      sum[r][v] = fresh ? hn::Zero(d) : hn::Load(d, c + r * c_row + v * lanes);
    }
  }
  for (Index k = 0; k < K; ++k) {
    Vec terms[V];
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) terms[v] = hn::Load(d, b + k * b_row + v * lanes);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const Vec x = hn::Set(d, a[r * a_row + k]);
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) sum[r][v] = hn::MulAdd(x, terms[v], sum[r][v]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) hn::Store(sum[r][v], d, c + r * c_row + v * lanes);
  }
}

// `rows` rows of V vectors of columns: the columns of b stay in the first-level cache.
template <int V>
void product_rows(Index rows, const float* a, Index a_row, const float* b, Index b_row, float* c,
                  Index c_row, Index K, bool fresh) {
  for (; rows >= 6; rows -= 6, a += 6 * a_row, c += 6 * c_row) {
    product<6, V>(a, a_row, b, b_row, c, c_row, K, fresh);
  }
  switch (rows) {
    case 1:
      return product<1, V>(a, a_row, b, b_row, c, c_row, K, fresh);
    case 2:
      return product<2, V>(a, a_row, b, b_row, c, c_row, K, fresh);
    case 3:
      return product<3, V>(a, a_row, b, b_row, c, c_row, K, fresh);
    case 4:
      return product<4, V>(a, a_row, b, b_row, c, c_row, K, fresh);
    case 5:
      return product<5, V>(a, a_row, b, b_row, c, c_row, K, fresh);
    default:
      return;
  }
}

// The whole product; N is a multiple of the lanes.
void multiply(Index rows, const float* a, Index a_row, const float* b, Index b_row, float* c,
              Index c_row, Index K, Index N, bool fresh) {
  const Index lanes = static_cast<Index>(hn::Lanes(F32()));
  for (Index left = N / lanes; left > 0;) {
    // A single row alone would wait for its sums: more of its columns at once.
    const Index now = rows == 1 && left >= 8 ? 8 : left >= kVectors ? kVectors : 1;
    if (now == 8) {
      product<1, 8>(a, a_row, b, b_row, c, c_row, K, fresh);
    } else if (now == kVectors) {
      product_rows<kVectors>(rows, a, a_row, b, b_row, c, c_row, K, fresh);
    } else {
      product_rows<1>(rows, a, a_row, b, b_row, c, c_row, K, fresh);
    }
    b += now * lanes, c += now * lanes, left -= now;
  }
}

// The keys of a block that a row sees, counted from the block's first: at most two ranges.
struct Seen {
  Index begin[2], end[2];
  bool all() const { return begin[0] == 0 && end[0] == kKeys; }
  bool none() const { return begin[0] >= end[0] && begin[1] >= end[1]; }
};

Seen seen_in(const KeyRanges& ranges, Index block) {
  Seen s;
  const KeyRange both[2] = {ranges.first, ranges.second};
  for (int i = 0; i < 2; ++i) {
    s.begin[i] = std::max<Index>(both[i].begin - block, 0);
    s.end[i] = std::min(both[i].end - block, kKeys);
  }
  // Two ranges that touch are one, so that a row that sees the whole block is known by all().
  if (s.begin[1] < s.end[1] && (s.begin[0] >= s.end[0] || s.end[0] == s.begin[1])) {
    s.begin[0] = s.begin[0] >= s.end[0] ? s.begin[1] : s.begin[0];
    s.end[0] = s.end[1];
    s.begin[1] = s.end[1] = 0;
  }
  return s;
}

template <class KV>
class Task {
 public:
  // Queries [begin, end) of the heads that share the keys of head g.
  Task(const AttentionOf<KV>& op, Index begin, Index end, Index g)
      : op_(op),
        E_(op.q.extent[1] / op.heads),
        shared_(op.heads / op.kv_heads),
        begin_(begin),
        rows_((end - begin) * shared_),
        g_(g) {
    const Index lanes = static_cast<Index>(hn::Lanes(F32()));
    pitch_ = (E_ + lanes - 1) / lanes * lanes;
    value_row_ = pitch_ + 16;
    memory_ =
        Buffer<float>(rows_ * (2 * pitch_ + kKeys + 2) + kKeyRow * E_ + kKeys * value_row_ + 112);
    float* at = memory_.data();
    const auto take = [&](Index n) {
      float* taken = at;
      at += (n + 15) / 16 * 16;
      return taken;
    };
    q_ = take(rows_ * pitch_), sums_ = take(rows_ * pitch_), scores_ = take(rows_ * kKeys);
    keys_ = take(kKeyRow * E_), values_ = take(kKeys * value_row_);
    largest_ = take(rows_), weight_ = take(rows_);
  }

  void run() {
    const Index L = op_.q.extent[0], S = op_.k.extent[0];
    // Exponentials to the base 2.
    const float scale = op_.scale * 1.44269504f;
    Index low = S, high = 0;
    for (Index r = 0; r < rows_; ++r) {
      const Index i = begin_ + r / shared_;
      const float* from = op_.q.row(i) + (g_ * shared_ + r % shared_) * E_;
      for (Index e = 0; e < E_; ++e) q_[r * pitch_ + e] = from[e] * scale;
      std::fill_n(sums_ + r * pitch_, pitch_, 0.0f);
      largest_[r] = -std::numeric_limits<float>::infinity();
      weight_[r] = 0;
      const KeyRanges seen = visible_keys(op_.mask, op_.window, i, L, S);
      for (const KeyRange range : {seen.first, seen.second}) {
        if (range.begin >= range.end) continue;
        low = std::min(low, range.begin), high = std::max(high, range.end);
      }
    }
    std::fill_n(values_, kKeys * value_row_, 0.0f);  // what stands behind the E columns
    // The first block begins at a multiple of kKeys of the sequence's positions.
    for (Index block = low - (op_.first + low) % kKeys; block < high; block += kKeys) add(block);
    for (Index r = 0; r < rows_; ++r) {
      float* to = op_.y.row(begin_ + r / shared_) + (g_ * shared_ + r % shared_) * E_;
      const KeyRanges seen = visible_keys(op_.mask, op_.window, begin_ + r / shared_, L, S);
      const bool any = seen.first.begin < seen.first.end || seen.second.begin < seen.second.end;
      for (Index e = 0; e < E_; ++e) to[e] = any ? sums_[r * pitch_ + e] / weight_[r] : 0.0f;
    }
  }

 private:
  Seen seen(Index row, Index block) const {
    return seen_in(visible_keys(op_.mask, op_.window, begin_ + row / shared_, op_.q.extent[0],
                                op_.k.extent[0]),
                   block);
  }

  // Rows block .. block + kKeys of k and v; some of them may not be there.
  void add(Index block) {
    Index from = 0, to = rows_;
    while (from < to && seen(from, block).none()) ++from;
    while (to > from && seen(to - 1, block).none()) --to;
    if (from == to) return;
    const Index skipped = std::max<Index>(-block, 0);
    const Index n = std::min(kKeys, op_.k.extent[0] - block) - skipped;
    const Index first = block + skipped;
    const auto part = [&](View<const KV, 2> v) {
      return rows(cols(v, g_ * E_, (g_ + 1) * E_), first, first + n);
    };
    if (skipped == 0) {
      turn_keys(part(op_.k), n, E_, keys_);
    } else {
      // Seldom: a cache whose oldest rows were dropped.
      const View<const KV, 2> k = part(op_.k);
      for (Index e = 0; e < E_; ++e) {
        for (Index j = 0; j < kKeys; ++j) {
          const bool there = j >= skipped && j < skipped + n;
          keys_[e * kKeyRow + j] = there ? number(k.row(j - skipped)[e]) : 0.0f;
        }
      }
    }
    copy_values(part(op_.v), n, E_, values_ + skipped * value_row_, value_row_);
    multiply(to - from, q_ + from * pitch_, pitch_, keys_, kKeyRow, scores_ + from * kKeys, kKeys,
             E_, kKeys, true);
    // Rows that see the whole block go through the product together; the others take the values
    // that they see one by one.
    Index whole = from;
    for (Index r = from; r < to; ++r) {
      const Seen s = seen(r, block);
      weigh(r, s);
      if (s.all()) continue;
      add_values(whole, r);
      whole = r + 1;
      add_seen(r, s);
    }
    add_values(whole, to);
  }

  void add_values(Index from, Index to) {
    multiply(to - from, scores_ + from * kKeys, kKeys, values_, value_row_, sums_ + from * pitch_,
             pitch_, kKeys, pitch_, false);
  }

  void add_seen(Index r, const Seen& s) {
    for (int i = 0; i < 2; ++i) {
      if (s.begin[i] >= s.end[i]) continue;
      multiply(1, scores_ + r * kKeys + s.begin[i], kKeys, values_ + s.begin[i] * value_row_,
               value_row_, sums_ + r * pitch_, pitch_, s.end[i] - s.begin[i], pitch_, false);
    }
  }

  // Scores of a row into weights against the largest score so far; what stands there already is
  // brought to the same measure.
  void weigh(Index r, const Seen& seen) {
    const F32 d;
    const Index lanes = static_cast<Index>(hn::Lanes(d));
    float* s = scores_ + r * kKeys;
    if (seen.none()) return;
    if (!seen.all()) {
      for (Index j = 0; j < kKeys; ++j) {
        const bool in =
            (j >= seen.begin[0] && j < seen.end[0]) || (j >= seen.begin[1] && j < seen.end[1]);
        if (!in) s[j] = -std::numeric_limits<float>::infinity();
      }
    }
    Vec top = hn::Load(d, s);
    for (Index j = lanes; j < kKeys; j += lanes) top = hn::Max(top, hn::Load(d, s + j));
    const float before = largest_[r];
    const float largest = std::max(before, hn::GetLane(hn::MaxOfLanes(d, top)));
    // Minus infinity everywhere: the weights are not numbers, as the definition has it.
    Vec sum = hn::Zero(d);
    for (Index j = 0; j < kKeys; j += lanes) {
      const Vec x = hn::Load(d, s + j);
      const Vec p = exp2(d, hn::Sub(x, hn::Set(d, largest)));
      hn::Store(p, d, s + j);
      sum = hn::Add(sum, p);
    }
    const float added = hn::GetLane(hn::SumOfLanes(d, sum));
    if (largest > before && weight_[r] != 0) {
      const Vec shrink = exp2(d, hn::Set(d, before - largest));
      weight_[r] *= hn::GetLane(shrink);
      float* y = sums_ + r * pitch_;
      for (Index e = 0; e < pitch_; e += lanes) {
        hn::Store(hn::Mul(hn::Load(d, y + e), shrink), d, y + e);
      }
    }
    weight_[r] += added;
    largest_[r] = largest;
  }

  const AttentionOf<KV>& op_;
  Index E_, shared_, begin_, rows_, g_, pitch_, value_row_;
  Buffer<float> memory_;
  float *q_, *sums_, *scores_, *keys_, *values_, *largest_, *weight_;
};

template <class KV>
void attend(Cpu& cpu, const AttentionOf<KV>& op) {
  const Index L = op.q.extent[0], G = op.kv_heads;
  if (L == 0 || op.q.extent[1] == 0) return;
  const Index at_once = std::max<Index>(1, kRows / (op.heads / G));
  const Index tiles = (L + at_once - 1) / at_once;
  // The last tiles of causal models have the most keys: they come first.
  const auto body = [&](Index i) {
    const Index begin = (tiles - 1 - i / G) * at_once;
    Task<KV>(op, begin, std::min(L, begin + at_once), i % G).run();
  };
  // Below this a task costs more than it saves.
  if (L * op.k.extent[0] * op.q.extent[1] < 65'536) {
    for (Index i = 0; i < tiles * G; ++i) body(i);
  } else {
    cpu.for_each(tiles * G, body);
  }
}

void attend_f32(Cpu& cpu, const AttentionOf<float>& op) { attend(cpu, op); }
void attend_bf16(Cpu& cpu, const AttentionOf<bf16>& op) { attend(cpu, op); }

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace genossm
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace genossm {

HWY_EXPORT(attend_f32);
HWY_EXPORT(attend_bf16);

void run(Cpu& cpu, const AttentionOf<float>& op) { HWY_DYNAMIC_DISPATCH(attend_f32)(cpu, op); }
void run(Cpu& cpu, const AttentionOf<bf16>& op) { HWY_DYNAMIC_DISPATCH(attend_bf16)(cpu, op); }

// A token's keys and values are few beside the products that made them: the definition will do.
void run(Cpu&, const CacheRows<float>& op) {
  Reference reference;
  run(reference, op);
}
void run(Cpu&, const CacheRows<bf16>& op) {
  Reference reference;
  run(reference, op);
}

}  // namespace genossm
#endif
