// A circular convolution of complex numbers gives the whole linear convolution of real ones of the
// same length when the samples are first turned by exp(i pi n / 2M): what wraps round comes back
// turned by a quarter, in the imaginary part, and the real part is what a causal filter wants. So
// no padding to twice the length and no separation of spectra.
//
// From two levels on, sample n = r N2 + c stands in column c of a matrix [N1, N2]: transforms of
// the columns, a twiddle, transforms of the rows (Bailey's four steps, without the last
// transposition: the order of frequencies does not matter). Memory is passed over three times. Rows
// are as long as the second-level cache allows, and columns are taken a few at a time, so that what
// is read and written of a row lies side by side.
#include <algorithm>
#include <atomic>
#include <tuple>

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
  Index group = 1;   // columns that are taken at once
  Index column = 1;  // elements from one of them to the next

  explicit LongConvShape(Index L) : M(long_conv_transform(std::max<Index>(L, 1))) {
    constexpr Index kOneLevel = 2048, kRow = 1024, kLongRow = 2048, kGroup = 1024;
    if (M > kOneLevel) {
      while (M / N1 > (M > 512 * kRow ? kLongRow : kRow)) N1 *= 2;
    }
    N2 = M / N1;
    if (N1 == 1) {
      row = N2;
    } else {
      row = N2 + 1;
      group = std::clamp<Index>(kGroup / N1, 4, 32);
      column = N1 + 1;
    }
  }
  Index elements() const { return N1 * row; }
};

// Floats of a group of columns and its twiddles.
inline Index long_conv_local(const LongConvShape& shape, Index element) {
  return shape.group * (shape.column * element + (2 * shape.N1 + 15) / 16 * 16);
}

}  // namespace genossm
#endif

HWY_BEFORE_NAMESPACE();
namespace genossm {
namespace HWY_NAMESPACE {
namespace {

constexpr Index kLowPlaces = 16;

Index lanes_here() { return static_cast<Index>(hn::Lanes(F32())); }

// Vectors of channels that go through two levels together: a line of the cache holds sixteen floats
// of a row, and is worth fetching once.
Index vectors_here() { return std::max<Index>(1, 16 / lanes_here()); }

class Convolution {
 public:
  explicit Convolution(const LongConv& op)
      : op_(op),
        L_(op.u.extent[0]),
        shape_(L_),
        columns_(FftPlan::make(shape_.N1)),
        rows_(FftPlan::make(shape_.N2)),
        frequencies_(columns_.frequencies()),
        element_(2 * lanes_here()) {
    // exp(i pi r / 2 N1): the turn of a sample by its row; that by its column is in the twiddles.
    const Index N = shape_.N1 == 1 ? shape_.M : shape_.N1;
    const Circle circle(4 * N);
    turn_.reserve(static_cast<std::size_t>(2 * N));
    for (Index r = 0; r < N; ++r) {
      const auto [c, s] = circle.point(r);
      turn_.push_back(static_cast<float>(c));
      turn_.push_back(static_cast<float>(-s));
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
    for (Index b = 0; b < blocks; b += vectors_here()) {
      two_levels(cpu, b * lanes, std::min(vectors_here(), blocks - b));
    }
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

  // Twiddles of column c at the places of the transformed column, real parts, then imaginary ones:
  // exp(-2 pi i c (k - 1/4) / M). Where the column's places end alike their frequencies differ by
  // the same number, so that they are products of a few.
  void twiddles_of(Index c, const Circle& circle, float* out) const {
    const Index N1 = shape_.N1, low = std::min<Index>(kLowPlaces, N1), turns = circle.turns();
    const auto power = [&](Index k) { return circle.point(4 * (c * k % shape_.M)); };
    double low_re[kLowPlaces], low_im[kLowPlaces];
    for (Index i = 0; i < low; ++i) {
      std::tie(low_re[i], low_im[i]) = power(frequencies_[static_cast<std::size_t>(i)]);
    }
    const auto [quarter_re, quarter_im] = circle.point(c == 0 ? 0 : turns - c);
    for (Index at = 0; at < N1; at += low) {
      const auto [re, im] = power(frequencies_[static_cast<std::size_t>(at)]);
      const double a = re * quarter_re - im * quarter_im, b = re * quarter_im + im * quarter_re;
      for (Index i = 0; i < low; ++i) {
        out[at + i] = static_cast<float>(a * low_re[i] - b * low_im[i]);
        out[N1 + at + i] = static_cast<float>(a * low_im[i] + b * low_re[i]);
      }
    }
  }

  // The sample that will be wanted a little after that of row r, column c + i: the processor does
  // not foresee rows of wide matrices, and as they often lie in the same few sets of the caches,
  // much ahead would be too much. Beyond the end a prefetch reads nothing.
  template <class T>
  HWY_INLINE void fetch_soon(View<T, 2> x, Index r, Index c, Index count, Index i,
                             Index channel) const {
    constexpr Index kAhead = 16;
    const Index at = i + kAhead,
                next = at < count ? r * shape_.N2 + at : (r + 1) * shape_.N2 + at - count;
    __builtin_prefetch(x.row(c + next) + channel);
  }

  // Columns [c, c + count) of x, transformed, into the matrices `to` of `vectors` vectors of
  // channels.
  void columns_in(View<const float, 2> x, Index length, Index c, Index count, Index channel,
                  Index vectors, const float* twiddles, float* local, float* to) const {
    const F32 d;
    const Index lanes = lanes_here();
    const Index N1 = shape_.N1, N2 = shape_.N2, column = shape_.column * element_;
    for (Index r = 0; r < N1; ++r) {
      const Index t = r * N2 + c;
      float* out = local + r * element_;
      for (Index i = 0; i < count; ++i) {
        fetch_soon(x, r, c, count, i, channel);
        for (Index v = 0; v < vectors; ++v, out += column) {
          store_complex(d, sample(x, length, t + i, channel + v * lanes, turn_.data() + 2 * r),
                        out);
        }
      }
    }
    for (Index i = 0; i < count * vectors; ++i) transform<false>(columns_, 0, local + i * column);
    for (Index v = 0; v < vectors; ++v, to += shape_.elements() * element_) {
      for (Index r = 0; r < N1; ++r) {
        float* out = to + (r * shape_.row + c) * element_;
        for (Index i = 0; i < count; ++i) {
          const float* w = twiddles + 2 * i * N1 + r;
          const Complex x1 = load_complex(d, local + (i * vectors + v) * column + r * element_);
          store_complex(d, product(x1, {hn::Set(d, w[0]), hn::Set(d, w[N1])}), out + i * element_);
        }
      }
    }
  }

  void columns_out(Index c, Index count, Index channel, Index vectors, const float* from,
                   const float* twiddles, float* local) const {
    const F32 d;
    const Index lanes = lanes_here();
    const Index N1 = shape_.N1, N2 = shape_.N2, column = shape_.column * element_;
    for (Index v = 0; v < vectors; ++v, from += shape_.elements() * element_) {
      for (Index r = 0; r < N1; ++r) {
        const float* in = from + (r * shape_.row + c) * element_;
        for (Index i = 0; i < count; ++i) {
          __builtin_prefetch(in + (count + i) * element_);
          const float* w = twiddles + 2 * i * N1 + r;
          const Complex x = load_complex(d, in + i * element_);
          store_complex(d, product(x, {hn::Set(d, w[0]), hn::Set(d, -w[N1])}),
                        local + (i * vectors + v) * column + r * element_);
        }
      }
    }
    for (Index i = 0; i < count * vectors; ++i) transform<true>(columns_, 0, local + i * column);
    for (Index r = 0; r < N1; ++r) {
      const float* in = local + r * element_;
      for (Index i = 0; i < count; ++i) {
        const Index t = r * N2 + c + i;
        if (t >= L_) return;
        if (!op_.skip.empty()) fetch_soon(op_.u, r, c, count, i, channel);
        if (!op_.gate.empty()) fetch_soon(op_.gate, r, c, count, i, channel);
        fetch_soon(op_.y, r, c, count, i, channel);
        for (Index v = 0; v < vectors; ++v, in += column) {
          result(load_complex(d, in), t, channel + v * lanes, turn_.data() + 2 * r);
        }
      }
    }
  }

  void two_levels(Cpu& cpu, Index channel, Index vectors) const {
    const Index N1 = shape_.N1, N2 = shape_.N2, taps = std::min(L_, op_.h.extent[0]);
    const Index matrix = shape_.elements() * element_, all = vectors_here() * matrix;
    float* u = op_.work.data;
    float* k = u + all;
    float* local = k + all;
    const Index local_size = long_conv_local(shape_, vectors_here() * element_);
    const Index workers = std::min(Index{cpu.threads()}, (op_.work.size() - 2 * all) / local_size);
    const Circle circle(4 * shape_.M);
    // Workers take a few columns or rows at a time; each is computed by one of them.
    const auto share = [&](Index n, Index at_once, auto body) {
      std::atomic<Index> next{0};
      cpu.for_each(workers, [&](Index w) {
        for (Index g; (g = next++) * at_once < n;) {
          body(g * at_once, std::min(at_once, n - g * at_once), local + w * local_size);
        }
      });
    };
    const auto twiddles = [&](Index c, Index count, float* columns) {
      float* out = columns + shape_.group * shape_.column * vectors_here() * element_;
      for (Index i = 0; i < count; ++i) twiddles_of(c + i, circle, out + 2 * i * N1);
      return out;
    };
    share(N2, shape_.group, [&](Index c, Index count, float* columns) {
      const float* w = twiddles(c, count, columns);
      columns_in(op_.u, L_, c, count, channel, vectors, w, columns, u);
      columns_in(op_.h, taps, c, count, channel, vectors, w, columns, k);
    });
    share(N1, 1, [&](Index r, Index, float*) {
      for (Index v = 0; v < vectors; ++v) {
        const Index at = v * matrix + r * shape_.row * element_;
        multiply_row(u + at, k + at);
      }
    });
    share(N2, shape_.group, [&](Index c, Index count, float* columns) {
      columns_out(c, count, channel, vectors, u, twiddles(c, count, columns), columns);
    });
  }

  const LongConv& op_;
  Index L_;
  LongConvShape shape_;
  FftPlan columns_, rows_;
  std::vector<Index> frequencies_;  // which frequency stands where in a transformed column
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

HWY_EXPORT(vectors_here);

Index long_conv_lanes() {
  return HWY_DYNAMIC_DISPATCH(lanes_here)() * HWY_DYNAMIC_DISPATCH(vectors_here)();
}

Index long_conv_work(Index L, int threads) {
  const LongConvShape shape(L);
  if (shape.N1 == 1) {
    return threads * 2 * shape.M * 2 * HWY_DYNAMIC_DISPATCH(lanes_here)();
  }
  const Index elements = 2 * long_conv_lanes();
  return 2 * shape.elements() * elements + threads * long_conv_local(shape, elements);
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
