// Lanes run across channels; the sums of a few vectors of channels stay in registers over a block
// of tokens. The order of addition is that of the tokens: the definition, bit for bit.
#include <algorithm>
#include <cstring>

#include "kernels/pool/pool.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/pool/cpu.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace genossm {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using F64 = hn::ScalableTag<double>;
using Half = hn::Rebind<float, F64>;
using Sum = hn::Vec<F64>;

struct Add {
  HWY_INLINE Sum operator()(Sum sum, Sum x) const { return hn::Add(sum, x); }
};
struct Max {
  HWY_INLINE Sum operator()(Sum sum, Sum x) const {
    return hn::IfThenElse(hn::Or(hn::Gt(x, sum), hn::IsNaN(x)), x, sum);
  }
};

// kVectors vectors of channels from `begin` on, over rows [from, to).
template <int kVectors, class Join>
HWY_INLINE void pool_channels(const Pool& op, Index from, Index to, Index begin, Join join) {
  const F64 d;
  const Half half;
  const auto lanes = static_cast<Index>(hn::Lanes(d));
  double* out = op.sum.data + begin;
  Sum sum[kVectors];
  for (Index k = 0; k < kVectors; ++k) sum[k] = hn::LoadU(d, out + k * lanes);
  for (Index t = from; t < to; ++t) {
    const float* x = op.x.row(t) + begin;
    for (Index k = 0; k < kVectors; ++k) {
      sum[k] = join(sum[k], hn::PromoteTo(d, hn::LoadU(half, x + k * lanes)));
    }
  }
  for (Index k = 0; k < kVectors; ++k) hn::StoreU(sum[k], d, out + k * lanes);
}

template <class Join>
HWY_INLINE void pool_block(const Pool& op, Index from, Index to, Join join) {
  const F64 d;
  const Half half;
  const auto lanes = static_cast<Index>(hn::Lanes(d));
  const Index D = op.x.extent[1];
  Index i = 0;
  for (; i + 4 * lanes <= D; i += 4 * lanes) pool_channels<4>(op, from, to, i, join);
  for (; i + lanes <= D; i += lanes) pool_channels<1>(op, from, to, i, join);
  if (i == D) return;
  HWY_ALIGN double sums[HWY_MAX_BYTES / sizeof(double)] = {};
  HWY_ALIGN float tail[HWY_MAX_BYTES / sizeof(double)] = {};
  const auto rest = static_cast<std::size_t>(D - i);
  std::memcpy(sums, op.sum.data + i, rest * sizeof(double));
  Sum sum = hn::Load(d, sums);
  for (Index t = from; t < to; ++t) {
    std::memcpy(tail, op.x.row(t) + i, rest * sizeof(float));
    sum = join(sum, hn::PromoteTo(d, hn::Load(half, tail)));
  }
  hn::Store(sum, d, sums);
  std::memcpy(op.sum.data + i, sums, rest * sizeof(double));
}

// Rows [from, to), few enough to stay in the cache while the channels are gone through.
void pool_rows(const Pool& op, Index from, Index to) {
  if (op.kind == Pool::Kind::mean) {
    pool_block(op, from, to, Add());
  } else {
    pool_block(op, from, to, Max());
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace genossm
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace genossm {

HWY_EXPORT(pool_rows);

void run(Cpu&, const Pool& op) {
  const Index L = op.x.extent[0];
  const auto rows_of = HWY_DYNAMIC_DISPATCH(pool_rows);
  for (Index t = 0; t < L; t += kTile) rows_of(op, t, std::min(L, t + kTile));
}

}  // namespace genossm
#endif  // HWY_ONCE
