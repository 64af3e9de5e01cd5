// A circular convolution of complex numbers gives the whole linear convolution of real ones of the
// same length when the samples are first turned by exp(i pi n / 2M): what wraps round comes back
// turned by a quarter, in the imaginary part, and the real part is what a causal filter wants. So
// no padding to twice the length and no separation of spectra.
//
// From two levels on, sample n = r N2 + c stands in column c of a matrix [N1, N2]: transforms of
// the columns, a twiddle, transforms of the rows (Bailey's four steps, without the last
// transposition: the order of frequencies does not matter). Memory is passed over three times.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <numbers>
#include <utility>

#include "kernels/long_conv/long_conv.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/long_conv/cpu.cc"
#include "hwy/foreach_target.h"
//
#include "kernels/core/simd-inl.h"
#include "kernels/long_conv/fft-inl.h"

#ifndef GENOSSM_LONG_CONV_SHAPES
#define GENOSSM_LONG_CONV_SHAPES
namespace genossm {

// How a transform of M elements is laid out.
struct LongConvShape {
  Index M = 1, N1 = 1, N2 = 1;
  // Elements from row to row: a power of two would put a column into a few sets of the cache.
  Index row = 1;

  explicit LongConvShape(Index L) : M(long_conv_transform(std::max<Index>(L, 1))) {
    constexpr Index kOneLevel = 2048;
    if (M > kOneLevel) {
      while (N1 * N1 < M && M % (2 * N1) == 0) N1 *= 2;
    }
    N2 = M / N1;
    row = N1 == 1 ? N2 : N2 + 1;
  }
  Index elements() const { return N1 * row; }
};

// exp(-2 pi i e / T) for any e in [0, T), as a product of two entries computed in double.
class Circle {
 public:
  explicit Circle(Index turns) : turns_(turns) {
    while ((Index{1} << (2 * bits_)) < turns) ++bits_;
    const Index low = Index{1} << bits_, high = (turns >> bits_) + 1;
    for (Index i = 0; i < low; ++i) low_.push_back(point(i));
    for (Index i = 0; i < high; ++i) high_.push_back(point(i << bits_));
  }
  void get(Index e, float* out) const {
    const auto [a, b] = high_[static_cast<std::size_t>(e >> bits_)];
    const auto [c, s] = low_[static_cast<std::size_t>(e & ((Index{1} << bits_) - 1))];
    out[0] = static_cast<float>(a * c - b * s);
    out[1] = static_cast<float>(a * s + b * c);
  }
  Index turns() const { return turns_; }

 private:
  std::pair<double, double> point(Index e) const {
    const double angle =
        -2 * std::numbers::pi * static_cast<double>(e) / static_cast<double>(turns_);
    return {std::cos(angle), std::sin(angle)};
  }
  Index turns_;
  int bits_ = 0;
  std::vector<std::pair<double, double>> low_, high_;
};

}  // namespace genossm
#endif

HWY_BEFORE_NAMESPACE();
namespace genossm {
namespace HWY_NAMESPACE {
namespace {

Index lanes_here() { return static_cast<Index>(hn::Lanes(F32())); }

class Convolution {
 public:
  explicit Convolution(const LongConv& op)
      : op_(op),
        L_(op.u.extent[0]),
        shape_(L_),
        columns_(FftPlan::make(shape_.N1)),
        rows_(FftPlan::make(shape_.N2)),
        element_(2 * lanes_here()) {
    // exp(i pi r / 2 N1): the turn of a sample by its row; that by its column is in the twiddles.
    const Index N = shape_.N1 == 1 ? shape_.M : shape_.N1;
    turn_.resize(static_cast<std::size_t>(2 * N));
    for (Index r = 0; r < N; ++r) {
      const double angle = std::numbers::pi * static_cast<double>(r) / static_cast<double>(2 * N);
      turn_[static_cast<std::size_t>(2 * r)] = static_cast<float>(std::cos(angle));
      turn_[static_cast<std::size_t>(2 * r + 1)] = static_cast<float>(std::sin(angle));
    }
  }

  void run(Cpu& cpu) const {
    const Index lanes = lanes_here(), D = op_.u.extent[1];
    const Index blocks = (D + lanes - 1) / lanes;
    if (L_ == 0 || D == 0) return;
    if (shape_.N1 == 1) {
      // A block of channels a worker.
      const Index need = 2 * shape_.M * element_;
      const Index workers = std::min({Index{cpu.threads()}, op_.work.size() / need, blocks});
      std::atomic<Index> next{0};
      cpu.for_each(workers, [&](Index w) {
        float* u = op_.work.data + w * need;
        for (Index b; (b = next++) < blocks;) one_level(b * lanes, u, u + shape_.M * element_);
      });
      return;
    }
    for (Index b = 0; b < blocks; ++b) two_levels(cpu, b * lanes);
  }

 private:
  // x[t] turned, from row t of a matrix; zero where the matrix ends.
  HWY_INLINE Complex sample(View<const float, 2> x, Index length, Index t, Index channel,
                            const float* turn) const {
    const F32 d;
    if (t >= length) return {hn::Zero(d), hn::Zero(d)};
    const Vec v = load_lanes(d, x.row(t) + channel, op_.u.extent[1] - channel);
    return {hn::Mul(v, hn::Set(d, turn[0])), hn::Mul(v, hn::Set(d, turn[1]))};
  }

  // The real part of c turned back, with skip and gate, into row t.
  HWY_INLINE void result(Complex c, Index t, Index channel, const float* turn) const {
    const F32 d;
    const Index left = op_.u.extent[1] - channel;
    Vec y = hn::MulAdd(c.im, hn::Set(d, turn[1]), hn::Mul(c.re, hn::Set(d, turn[0])));
    if (!op_.skip.empty()) {
      y = hn::MulAdd(load_lanes(d, op_.skip.data + channel, left),
                     load_lanes(d, op_.u.row(t) + channel, left), y);
    }
    if (!op_.gate.empty()) y = hn::Mul(y, load_lanes(d, op_.gate.row(t) + channel, left));
    store_lanes(d, y, op_.y.row(t) + channel, left);
  }

  // u = inverse(forward(u) forward(k)) / M over one row of N2 elements.
  void multiply_row(float* u, float* k) const {
    const F32 d;
    transform<false>(rows_, 0, u);
    transform<false>(rows_, 0, k);
    const float scale = 1.0f / static_cast<float>(shape_.M);
    for (Index i = 0; i < shape_.N2; ++i) {
      const Complex a = load_complex(d, u + i * element_), b = load_complex(d, k + i * element_);
      store_complex(d, times(d, scale, product(a, b)), u + i * element_);
    }
    transform<true>(rows_, 0, u);
  }

  void one_level(Index channel, float* u, float* k) const {
    const F32 d;
    const Index taps = std::min(L_, op_.h.extent[0]);
    for (Index t = 0; t < shape_.M; ++t) {
      const float* turn = turn_.data() + 2 * t;
      store_complex(d, sample(op_.u, L_, t, channel, turn), u + t * element_);
      store_complex(d, sample(op_.h, taps, t, channel, turn), k + t * element_);
    }
    multiply_row(u, k);
    for (Index t = 0; t < L_; ++t) {
      result(load_complex(d, u + t * element_), t, channel, turn_.data() + 2 * t);
    }
  }

  // Twiddles of column c in the order of the transformed column: exp(-2 pi i c (k - 1/4) / M).
  void twiddles_of(Index c, const Circle& circle, const std::vector<Index>& places,
                   float* out) const {
    Index e = c == 0 ? 0 : circle.turns() - c;
    for (Index k = 0; k < shape_.N1; ++k) {
      circle.get(e, out + 2 * places[static_cast<std::size_t>(k)]);
      e += 4 * c;
      if (e >= circle.turns()) e -= circle.turns();
    }
  }

  void column_in(View<const float, 2> x, Index length, Index c, Index channel, const float* twiddle,
                 float* local, float* to) const {
    const F32 d;
    const Index N1 = shape_.N1, N2 = shape_.N2;
    for (Index r = 0; r < N1; ++r) {
      // Column c + 1 comes next; no two of its samples lie in one page. Beyond the end a prefetch
      // reads nothing.
      __builtin_prefetch(x.row(r * N2 + c + 1) + channel);
      store_complex(d, sample(x, length, r * N2 + c, channel, turn_.data() + 2 * r),
                    local + r * element_);
    }
    transform<false>(columns_, 0, local);
    for (Index r = 0; r < N1; ++r) {
      store_complex(d, turned<false>(d, load_complex(d, local + r * element_), twiddle + 2 * r),
                    to + (r * shape_.row + c) * element_);
    }
  }

  void column_out(Index c, Index channel, const float* from, const float* twiddle,
                  float* local) const {
    const F32 d;
    const Index N1 = shape_.N1, N2 = shape_.N2;
    for (Index r = 0; r < N1; ++r) {
      __builtin_prefetch(from + (r * shape_.row + c + 2) * element_);
      const Complex v = load_complex(d, from + (r * shape_.row + c) * element_);
      store_complex(d, turned<true>(d, v, twiddle + 2 * r), local + r * element_);
    }
    transform<true>(columns_, 0, local);
    for (Index r = 0; r < N1; ++r) {
      const Index t = r * N2 + c;
      if (t >= L_) return;
      if (!op_.skip.empty()) __builtin_prefetch(op_.u.row(t + 1) + channel);
      if (!op_.gate.empty()) __builtin_prefetch(op_.gate.row(t + 1) + channel);
      result(load_complex(d, local + r * element_), t, channel, turn_.data() + 2 * r);
    }
  }

  void two_levels(Cpu& cpu, Index channel) const {
    const Index N1 = shape_.N1, N2 = shape_.N2, taps = std::min(L_, op_.h.extent[0]);
    float* u = op_.work.data;
    float* k = u + shape_.elements() * element_;
    float* local = k + shape_.elements() * element_;
    const Index local_size = N1 * (element_ + 16);  // a column and its twiddles
    const Index workers = std::min(
        Index{cpu.threads()}, (op_.work.size() - 2 * shape_.elements() * element_) / local_size);
    const Circle circle(4 * shape_.M);
    const std::vector<Index> places = columns_.places();
    // Workers take a few columns or rows at a time; each is computed by one of them.
    const auto share = [&](Index n, auto body) {
      constexpr Index kGroup = 4;
      std::atomic<Index> next{0};
      cpu.for_each(workers, [&](Index w) {
        for (Index g; (g = next++) * kGroup < n;) {
          for (Index i = g * kGroup; i < std::min(n, (g + 1) * kGroup); ++i) {
            body(i, local + w * local_size);
          }
        }
      });
    };
    share(N2, [&](Index c, float* column) {
      float* twiddle = column + N1 * element_;
      twiddles_of(c, circle, places, twiddle);
      column_in(op_.u, L_, c, channel, twiddle, column, u);
      column_in(op_.h, taps, c, channel, twiddle, column, k);
    });
    share(N1, [&](Index r, float*) {
      multiply_row(u + r * shape_.row * element_, k + r * shape_.row * element_);
    });
    share(N2, [&](Index c, float* column) {
      float* twiddle = column + N1 * element_;
      twiddles_of(c, circle, places, twiddle);
      column_out(c, channel, u, twiddle, column);
    });
  }

  const LongConv& op_;
  Index L_;
  LongConvShape shape_;
  FftPlan columns_, rows_;
  Index element_;
  std::vector<float> turn_;
};

void long_conv_cpu(Cpu& cpu, const LongConv& op) { Convolution(op).run(cpu); }

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace genossm
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace genossm {

HWY_EXPORT(long_conv_cpu);
HWY_EXPORT(lanes_here);

Index long_conv_lanes() { return HWY_DYNAMIC_DISPATCH(lanes_here)(); }

Index long_conv_work(Index L, int threads) {
  const LongConvShape shape(L);
  const Index element = 2 * long_conv_lanes();
  if (shape.N1 == 1) return threads * 2 * shape.M * element;
  return 2 * shape.elements() * element + threads * shape.N1 * (element + 16);
}

void run(Cpu& cpu, const LongConv& op) {
  const Index need = long_conv_work(op.u.extent[0], 1);
  if (op.work.size() < need) {
    fail(Fault::shape, "long_conv: work has " + std::to_string(op.work.size()) +
                           " floats, want at least " + std::to_string(need));
  }
  HWY_DYNAMIC_DISPATCH(long_conv_cpu)(cpu, op);
}

}  // namespace genossm
#endif
