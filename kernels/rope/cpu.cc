// The angles of a row are formed once for all heads, lanes across frequencies.
#include <algorithm>
#include <cmath>

#include "kernels/core/buffer.h"
#include "kernels/rope/rope.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/rope/cpu.cc"
#include "hwy/foreach_target.h"
//
#include "kernels/core/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace genossm {
namespace HWY_NAMESPACE {
namespace {

using F64 = hn::ScalableTag<double>;
using Narrow = hn::Rebind<float, F64>;  // as many floats as a vector has doubles

// cosine and sine of position * freq[j] for n frequencies, a multiple of the lanes of F64.
void circle(double position, const double* freq, Index n, float* cosine, float* sine) {
  const F64 d;
  const Narrow f;
  const hn::RebindToSigned<Narrow> whole;
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  const auto round = hn::Set(d, 6755399441055744.0);  // 1.5 * 2^52
  for (Index j = 0; j < n; j += lanes) {
    // angle = quarters * pi/2 + rest; pi/2 in two parts, the first product exact in the sum.
    const auto angle = hn::Mul(hn::Set(d, position), hn::Load(d, freq + j));
    const auto shifted = hn::MulAdd(angle, hn::Set(d, 0.63661977236758134308), round);
    const auto quarters = hn::Sub(shifted, round);
    auto rest = hn::NegMulAdd(quarters, hn::Set(d, 1.5707963267948965580), angle);
    rest = hn::NegMulAdd(quarters, hn::Set(d, 6.1232339957367660359e-17), rest);
    const auto x = hn::DemoteTo(f, rest);
    const auto x2 = hn::Mul(x, x);
    // On [-pi/4, pi/4]; the coefficients are those of Cephes' sinf and cosf.
    auto s = hn::MulAdd(hn::Set(f, -1.9515295891e-4f), x2, hn::Set(f, 8.3321608736e-3f));
    s = hn::MulAdd(s, x2, hn::Set(f, -1.6666654611e-1f));
    s = hn::MulAdd(hn::Mul(s, x2), x, x);
    auto c = hn::MulAdd(hn::Set(f, 2.443315711809948e-5f), x2, hn::Set(f, -1.388731625493765e-3f));
    c = hn::MulAdd(c, x2, hn::Set(f, 4.166664568298827e-2f));
    c = hn::MulAdd(hn::Mul(c, x2), x2, hn::MulAdd(x2, hn::Set(f, -0.5f), hn::Set(f, 1.0f)));
    // A quarter turn makes (c, s) into (-s, c).
    const auto fours = hn::Floor(hn::Mul(quarters, hn::Set(d, 0.25)));
    const auto turns =
        hn::DemoteTo(whole, hn::NegMulAdd(fours, hn::Set(d, 4.0), quarters));  // 0 to 3
    const auto odd = hn::And(turns, hn::Set(whole, 1)), half = hn::ShiftRight<1>(turns);
    const auto swap = hn::MaskFromVec(hn::BitCast(f, hn::Neg(odd)));
    const auto sign = hn::BitCast(f, hn::ShiftLeft<31>(half));
    const auto turned_sign = hn::BitCast(f, hn::ShiftLeft<31>(hn::Xor(half, odd)));
    hn::Store(hn::Xor(hn::IfThenElse(swap, s, c), turned_sign), f, cosine + j);
    hn::Store(hn::Xor(hn::IfThenElse(swap, c, s), sign), f, sine + j);
  }
}

void turn_row(float* x, Index heads, Index E, Index half, const float* cosine, const float* sine) {
  const F32 d;
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  for (Index h = 0; h < heads; ++h, x += E) {
    for (Index j = 0; j < half; j += lanes) {
      const Index left = half - j;
      const Vec c = hn::Load(d, cosine + j), s = hn::Load(d, sine + j);
      const Vec x0 = load_lanes(d, x + j, left), x1 = load_lanes(d, x + half + j, left);
      store_lanes(d, hn::NegMulAdd(x1, s, hn::Mul(x0, c)), x + j, left);
      store_lanes(d, hn::MulAdd(x0, s, hn::Mul(x1, c)), x + half + j, left);
    }
  }
}

void rope_cpu(Cpu& cpu, const Rope& op) {
  const auto [L, C] = op.x.extent;
  const Index half = op.inv_freq.extent[0], E = C / op.heads;
  if (L == 0 || half == 0) return;
  const Index lanes = static_cast<Index>(hn::Lanes(F32()));
  const Index padded = (half + lanes - 1) / lanes * lanes;
  const Buffer<double> freq(padded);
  std::fill(freq.begin(), freq.end(), 0.0);
  std::copy_n(op.inv_freq.data, half, freq.begin());
  constexpr Index kRows = 16;
  const auto body = [&](Index block) {
    const Buffer<float> cosine(padded), sine(padded);
    for (Index t = block * kRows; t < std::min(L, (block + 1) * kRows); ++t) {
      circle(static_cast<double>(op.start + t) / op.scale, freq.data(), padded, cosine.data(),
             sine.data());
      turn_row(op.x.row(t), op.heads, E, half, cosine.data(), sine.data());
    }
  };
  const Index blocks = (L + kRows - 1) / kRows;
  // Below this a task costs more than it saves.
  if (L * C < 65'536) {
    for (Index i = 0; i < blocks; ++i) body(i);
  } else {
    cpu.for_each(blocks, body);
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace genossm
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace genossm {

HWY_EXPORT(rope_cpu);

void run(Cpu& cpu, const Rope& op) { HWY_DYNAMIC_DISPATCH(rope_cpu)(cpu, op); }

}  // namespace genossm
#endif
