// A circular convolution of complex numbers gives the whole linear convolution of real ones of the
// same length when the samples are first turned by exp(i pi n / 2M): what wraps round comes back
// turned by a quarter, in the imaginary part, and the real part is what a causal filter wants. So
// no padding to twice the length and no separation of spectra. The turns are part of the twiddles
// of the first stage and of the last.
//
// From two levels on, sample n = r N2 + c stands in column c of a matrix [N1, N2]: transforms of
// the columns, a twiddle, transforms of the rows (Bailey's four steps, without the last
// transposition: the order of frequencies does not matter). Memory is passed over three times.
// Columns are taken a few at a time, so that what is read and written of a row lies side by side.
// Samples are copied in and out by loops that do nothing else: many of their waits then overlap.
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

  explicit LongConvShape(Index L) : M(long_conv_transform(std::max<Index>(L, 8))) {
    // Rows that stay in the first-level cache with those of the filter while columns are short;
    // longer columns cost more than longer rows.
    constexpr Index kOneLevel = 2048, kShortRow = 256, kShortColumn = 64, kGroup = 512;
    const Index longest_row = M > (Index{1} << 19) ? 2048 : 1024;
    if (M > kOneLevel) {
      N1 = 8;  // two stages at least
      while (N1 < kShortColumn && M / N1 > kShortRow) N1 *= 2;
      while (M / N1 > longest_row) N1 *= 2;
    }
    N2 = M / N1;
    if (N1 == 1) {
      row = N2;
    } else {
      row = N2 + 1;
      group = std::clamp<Index>(kGroup / N1, 8, 16);
      column = N1 + 1;
    }
  }
  Index elements() const { return N1 * row; }
  // Floats of the twiddles between the levels: column after column, real parts, imaginary parts.
  Index twiddles() const { return (2 * M + 15) / 16 * 16; }
};

// Floats of a group of columns, as elements and as real samples.
inline Index long_conv_local(const LongConvShape& shape, Index element) {
  return shape.group * shape.column * element / 2 * 3;
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
        element_(2 * lanes_here()) {}

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
  // Channels of row t of a matrix; zero where it ends.
  HWY_INLINE Vec sample(View<const float, 2> x, Index length, Index t, Index channel) const {
    const F32 d;
    return t < length ? load_lanes(d, x.row(t) + channel, op_.u.extent[1] - channel) : hn::Zero(d);
  }

  // The convolution at t, with skip and gate, into row t.
  HWY_INLINE void result(Vec y, Index t, Index channel) const {
    const F32 d;
    const Index left = op_.u.extent[1] - channel;
    if (!op_.skip.empty()) {
      y = hn::MulAdd(load_lanes(d, op_.skip.data + channel, left),
                     load_lanes(d, op_.u.row(t) + channel, left), y);
    }
    if (!op_.gate.empty()) y = hn::Mul(y, load_lanes(d, op_.gate.row(t) + channel, left));
    store_lanes(d, y, op_.y.row(t) + channel, left);
  }

  void one_level(Index channel, float* u, float* k) const {
    const Index taps = std::min(L_, op_.h.extent[0]);
    with_radix(rows_.stages[0].radix, [&](auto R) {
      first_stage_of<R()>(
          rows_, [&](Index t) { return sample(op_.u, L_, t, channel); }, u);
      first_stage_of<R()>(
          rows_, [&](Index t) { return sample(op_.h, taps, t, channel); }, k);
      const Index part = rows_.stages[0].quotient * element_;
      for (int r = 0; r < R(); ++r) convolve(rows_, 1, u + r * part, k + r * part);
      last_stage_of<R()>(rows_, u, scale_, [&](Index t, Vec y) {
        if (t < L_) result(y, t, channel);
      });
    });
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

  // The sample that will be wanted a row or two of the group after t: the processor does not
  // foresee rows of wide matrices. As they often lie in the same few sets of the first-level cache,
  // this is for the second.
  template <class T>
  HWY_INLINE void fetch_soon(View<T, 2> x, Index t, Index length, Index channel) const {
    constexpr Index kAhead = 16;
    const Index next = t + (kAhead / shape_.group) * shape_.N2;
    if (next < length) __builtin_prefetch(x.row(next) + channel, 0, 2);
  }

  // Columns [c, c + count) of x, transformed, into the matrices `to` of `vectors` vectors of
  // channels.
  void columns_in(View<const float, 2> x, Index length, Index c, Index count, Index channel,
                  Index vectors, const float* twiddles, float* local, float* to) const {
    const F32 d;
    const Index lanes = lanes_here(), N1 = shape_.N1, column = shape_.column * element_;
    float* samples = local + shape_.group * vectors_here() * column;
    for (Index r = 0; r < N1; ++r) {
      const Index t = r * shape_.N2 + c;
      float* out = samples + r * lanes;
      for (Index i = 0; i < count; ++i) {
        fetch_soon(x, t + i, length, channel);
        for (Index v = 0; v < vectors; ++v, out += column / 2) {
          hn::Store(sample(x, length, t + i, channel + v * lanes), d, out);
        }
      }
    }
    const std::size_t last = columns_.stages.size() - 1;
    for (Index i = 0; i < count * vectors; ++i) {
      const float* in = samples + i * column / 2;
      float* out = local + i * column;
      with_radix(columns_.stages[0].radix, [&](auto R) {
        first_stage_of<R()>(
            columns_, [&](Index r) { return hn::Load(d, in + r * lanes); }, out);
      });
      run_stages<false>(columns_, 1, last, out, N1);
    }
    with_radix(columns_.stages[last].radix, [&](auto R) {
      for (Index v = 0; v < vectors; ++v, to += shape_.elements() * element_) {
        for (Index r = 0; r < N1; r += R()) {
          const float* in = local + v * column + r * element_;
          float* out = to + (r * shape_.row + c) * element_;
          const float* w = twiddles + r;
          for (Index i = 0; i < count; ++i) {
            last_of_column<R()>(in, w, out);
            in += vectors * column, out += element_, w += 2 * N1;
          }
        }
      }
    });
  }

  // The last stage of R elements of a column, and their twiddles.
  template <int R>
  HWY_INLINE void last_of_column(const float* in, const float* w, float* out) const {
    const F32 d;
    Complex a[R];
#pragma GCC unroll 5
    for (int r = 0; r < R; ++r) a[r] = load_complex(d, in + r * element_);
    small_transform<R, false>(d, a);
#pragma GCC unroll 5
    for (int r = 0; r < R; ++r) {
      const Complex y = turned<false>(a[r], hn::Set(d, w[r]), hn::Set(d, w[shape_.N1 + r]));
      store_complex(d, y, out + r * shape_.row * element_);
    }
  }

  template <int R>
  HWY_INLINE void first_of_column_back(const float* in, const float* w, float* out) const {
    const F32 d;
    Complex a[R];
#pragma GCC unroll 5
    for (int r = 0; r < R; ++r) {
      const Complex x = load_complex(d, in + r * shape_.row * element_);
      a[r] = turned<true>(x, hn::Set(d, w[r]), hn::Set(d, w[shape_.N1 + r]));
    }
    small_transform<R, true>(d, a);
#pragma GCC unroll 5
    for (int r = 0; r < R; ++r) store_complex(d, a[r], out + r * element_);
  }

  void columns_out(Index c, Index count, Index channel, Index vectors, const float* from,
                   const float* twiddles, float* local) const {
    const F32 d;
    const Index lanes = lanes_here(), N1 = shape_.N1, column = shape_.column * element_;
    float* samples = local + shape_.group * vectors_here() * column;
    const std::size_t last = columns_.stages.size() - 1;
    with_radix(columns_.stages[last].radix, [&](auto R) {
      for (Index v = 0; v < vectors; ++v, from += shape_.elements() * element_) {
        for (Index r = 0; r < N1; r += R()) {
          const float* in = from + (r * shape_.row + c) * element_;
          float* out = local + v * column + r * element_;
          const float* w = twiddles + r;
          for (Index i = 0; i < count; ++i) {
            first_of_column_back<R()>(in, w, out);
            in += element_, out += vectors * column, w += 2 * N1;
          }
        }
      }
    });
    for (Index i = 0; i < count * vectors; ++i) {
      float* x = local + i * column;
      float* out = samples + i * column / 2;
      run_stages<true>(columns_, 1, last, x, N1);
      with_radix(columns_.stages[0].radix, [&](auto R) {
        last_stage_of<R()>(columns_, x, scale_,
                           [&](Index r, Vec y) { hn::Store(y, d, out + r * lanes); });
      });
    }
    for (Index r = 0; r < N1; ++r) {
      const float* in = samples + r * lanes;
      for (Index i = 0; i < count; ++i) {
        const Index t = r * shape_.N2 + c + i;
        if (t >= L_) return;
        if (!op_.skip.empty()) fetch_soon(op_.u, t, L_, channel);
        if (!op_.gate.empty()) fetch_soon(op_.gate, t, L_, channel);
        fetch_soon(op_.y, t, L_, channel);
        for (Index v = 0; v < vectors; ++v, in += column / 2) {
          result(hn::Load(d, in), t, channel + v * lanes);
        }
      }
    }
  }

  void two_levels(Cpu& cpu, Index channel, Index vectors) const {
    const Index N1 = shape_.N1, N2 = shape_.N2, taps = std::min(L_, op_.h.extent[0]);
    const Index matrix = shape_.elements() * element_, all = vectors_here() * matrix;
    float* table = op_.work.data;
    float* u = table + shape_.twiddles();
    float* k = u + all;
    float* local = k + all;
    const Index local_size = long_conv_local(shape_, vectors_here() * element_);
    const Index workers = std::min(Index{cpu.threads()},
                                   (op_.work.size() - shape_.twiddles() - 2 * all) / local_size);
    // Workers take a few columns or rows at a time; each is computed by one of them.
    const auto share = [&](Index n, Index at_once, auto body) {
      std::atomic<Index> next{0};
      cpu.for_each(workers, [&](Index w) {
        for (Index g; (g = next++) * at_once < n;) {
          body(g * at_once, std::min(at_once, n - g * at_once), local + w * local_size);
        }
      });
    };
    const Circle circle(channel == 0 ? 4 * shape_.M : 4);
    share(N2, shape_.group, [&](Index c, Index count, float* columns) {
      float* w = table + 2 * c * N1;
      for (Index i = 0; channel == 0 && i < count; ++i) twiddles_of(c + i, circle, w + 2 * i * N1);
      columns_in(op_.u, L_, c, count, channel, vectors, w, columns, u);
      columns_in(op_.h, taps, c, count, channel, vectors, w, columns, k);
    });
    share(N1, 1, [&](Index r, Index, float*) {
      for (Index v = 0; v < vectors; ++v) {
        const Index at = v * matrix + r * shape_.row * element_;
        convolve(rows_, 0, u + at, k + at);
      }
    });
    share(N2, shape_.group, [&](Index c, Index count, float* columns) {
      columns_out(c, count, channel, vectors, u, table + 2 * c * N1, columns);
    });
  }

  const LongConv& op_;
  Index L_;
  LongConvShape shape_;
  FftPlan columns_, rows_;
  std::vector<Index> frequencies_;  // which frequency stands where in a transformed column
  Index element_;
  float scale_ = 1.0f / static_cast<float>(shape_.M);
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
  return shape.twiddles() + 2 * shape.elements() * elements +
         threads * long_conv_local(shape, elements);
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
