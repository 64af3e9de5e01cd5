// The same transform as on the Cpu: real samples are turned by exp(i pi n / 2M) and convolved with
// a complex transform of M >= L elements; what wraps round ends up in the imaginary part. A channel
// is one transform, nothing is padded to twice the length, and the spectra are multiplied in
// whatever order they come in.
//
// Up to kOneLevel elements a block of threads does a whole transform in shared memory. Beyond,
// sample n = e N2 + c is element e of column c of a matrix [N1, N2]: transforms of the columns, a
// twiddle, transforms of the rows, the product, and the way back. Between the two, elements lie in
// planes of 16 channels side by side, [N1, N2, 16], a line of the cache each: columns and rows are
// read and written without a transposition, and so are the channels of a token.
//
// Which block does what depends on the length alone, so nothing depends on the batch.
#include <algorithm>
#include <span>
#include <vector>

#include "kernels/core/cuda/impl.h"
#include "kernels/long_conv/fft.cuh"
#include "kernels/long_conv/long_conv.h"

namespace genossm {
namespace {

constexpr int kThreads = 256;
constexpr int kLanes = 16;
constexpr Index kOneLevel = 2048, kLongestLevel = 4096;
constexpr Index kBlockElements = 8192;  // complex numbers in a block's shared memory, 64 KiB
// Complex numbers of the samples, and of the taps, that are in work at once; more only where one
// sequence of 16 channels is longer.
constexpr Index kAtOnce = Index{1} << 22;

struct Shape {
  Index M = 1, N1 = 1, N2 = 1;
  explicit Shape(Index L) : M(long_conv_transform(std::max<Index>(L, 8))) {
    if (M <= kOneLevel) {
      N1 = M;
      return;
    }
    if (L > kLongConvCudaLongest) {
      fail(Fault::shape, "long_conv: " + std::to_string(L) + " tokens, want at most 2^24 on a GPU");
    }
    N1 = 64;
    while (N1 < 512 && M / N1 > 512) N1 *= 2;
    while (M / N1 > kLongestLevel) N1 *= 2;
    N2 = M / N1;
  }
  bool one_level() const { return N2 == 1; }
};

// Lanes of one block.
int log_lanes_of(Index N) {
  int log = 4;
  while (log > 0 && (N << log) > kBlockElements) --log;
  return log;
}

BlockFft plan_of(Index N, const float2* roots, const float2* twist) {
  BlockFft fft;
  fft.N = static_cast<int>(N);
  fft.log_lanes = log_lanes_of(N);
  fft.roots = roots;
  fft.twist = twist;
  Index left = N;
  for (const int odd : {3, 3, 5}) {
    if (left % odd != 0) continue;
    fft.radix[fft.stages++] = odd;
    left /= odd;
  }
  int bits = 0, last = 0;
  while ((Index{1} << bits) < left) ++bits;
  for (int count = (bits + 3) / 4; count > 0; --count) {
    last = (bits + count - 1) / count;
    fft.radix[fft.stages++] = 1 << last;
    bits -= last;
  }
  // With 16 lanes an element is as wide as all banks.
  if (last > 0 && fft.log_lanes < 4) fft.pad = last;
  return fft;
}

struct Part {
  BlockFft columns, rows;  // rows.N == 1: one level
  Index M = 0, D = 0;
  // Between the levels element p of column c, whose frequency is f, is turned by
  // exp(-2 pi i c (f - 1/4) / M): what stands here for every R-th p, R the last radix of a column,
  // and from p to p + 1 by exp(-2 pi i c / N2 R).
  const float2* twiddles = nullptr;  // [N1 / R, N2]
  const float2* step = nullptr;      // [N2]
  const float2* step4 = nullptr;     // [N2] its fourth power
  float2* u = nullptr;               // [sequences, groups, M, kLanes]
  float2* h = nullptr;               // [groups, M, kLanes]
  Index first_channel = 0;
  int groups = 0;
  const SequenceRows* table = nullptr;  // of the sequences in work; null: one, from row 0 on
  int length = 0;                       // of each of them
  float scale = 1;

  __device__ Index row_of(Index sequence) const {
    return table == nullptr ? 0 : table[sequence].begin;
  }
};

// Where a block stands: lanes [lane, ...) of a group of channels.
struct Place {
  Index channel, sequence, plane;
  int item, lane;
  __device__ Place(const Part& part, const BlockFft& fft) {
    const int parts = kLanes >> fft.log_lanes;
    item = static_cast<int>(blockIdx.x) / parts;
    lane = static_cast<int>(blockIdx.x) % parts << fft.log_lanes;
    channel = part.first_channel + static_cast<Index>(blockIdx.y) * kLanes + lane;
    sequence = blockIdx.z;
    plane = (sequence * part.groups + static_cast<Index>(blockIdx.y)) * part.M;
  }
};

struct Tables {
  float2 *column_roots, *row_roots, *twist, *twiddles, *step, *step4;
};

__global__ void tables_kernel(Part part, Tables tables) {
  const Index i = static_cast<Index>(blockIdx.x) * blockDim.x + threadIdx.x;
  const int N1 = part.columns.N, N2 = part.rows.N;
  const int R = part.columns.radix[part.columns.stages - 1];
  const auto point = [](double half_turns) {
    double s, c;
    sincospi(half_turns, &s, &c);
    return make_float2(static_cast<float>(c), static_cast<float>(s));
  };
  if (i < N1) {
    tables.column_roots[i] = point(-2.0 * static_cast<double>(i) / N1);
    tables.twist[i] = point(0.5 * static_cast<double>(i) / N1);
  }
  if (i < N2) {
    tables.row_roots[i] = point(-2.0 * static_cast<double>(i) / N2);
    tables.step[i] = point(-2.0 * static_cast<double>(i) / (static_cast<double>(N2) * R));
    tables.step4[i] = point(-8.0 * static_cast<double>(i) / (static_cast<double>(N2) * R));
  }
  if (i < part.M / R) {
    const Index frequency = part.columns.frequency_of(static_cast<int>(i / N2) * R);
    const Index quarters = i % N2 * (4 * frequency - 1);  // of a turn / M
    tables.twiddles[i] =
        point(-0.5 * static_cast<double>(quarters % (4 * part.M)) / static_cast<double>(part.M));
  }
}

// Elements of a row of the planes.
struct Numbers {
  float2* x;
  template <int R>
  __device__ __forceinline__ void load(int first, int q, int lane, float2 (&a)[R]) const {
    const float2* at = x + static_cast<Index>(first) * kLanes + lane;
#pragma unroll
    for (int r = 0; r < R; ++r, at += q * kLanes) a[r] = *at;
  }
  template <int R>
  __device__ __forceinline__ void store(int first, int q, int lane, float2 (&a)[R]) const {
    float2* at = x + static_cast<Index>(first) * kLanes + lane;
#pragma unroll
    for (int r = 0; r < R; ++r, at += q * kLanes) *at = a[r];
  }
};

// A column of the planes on the side of the rows: the last stage of the way there, the first of the
// way back, so that q is 1.
struct PlaneColumn {
  const Part& part;
  float2* x;  // of the plane
  int column;
  template <bool kConjugate, int R>
  __device__ __forceinline__ void turn(int first, float2 (&a)[R]) const {
    if (part.rows.N == 1) return;
    turn_all<kConjugate, true>(a, __ldg(part.twiddles + (first / R * part.rows.N + column)),
                               __ldg(part.step + column), __ldg(part.step4 + column));
  }
  __device__ __forceinline__ float2* at(int first, int lane) const {
    return x + (static_cast<Index>(first) * part.rows.N + column) * kLanes + lane;
  }
  template <int R>
  __device__ __forceinline__ void load(int first, int, int lane, float2 (&a)[R]) const {
    const float2* from = at(first, lane);
#pragma unroll
    for (int r = 0; r < R; ++r, from += part.rows.N * kLanes) a[r] = *from;
    turn<true>(first, a);
  }
  template <int R>
  __device__ __forceinline__ void store(int first, int, int lane, float2 (&a)[R]) const {
    float2* to = at(first, lane);
    turn<false>(first, a);
#pragma unroll
    for (int r = 0; r < R; ++r, to += part.rows.N * kLanes) *to = a[r];
  }
};

// A column of real samples, zeros where they end, on their way in.
struct Samples {
  const float* x;  // the column's first, of lane 0
  Index stride;    // from one to the next
  int count;       // that there are
  int lanes;       // that there are
  template <int R>
  __device__ __forceinline__ void load(int first, int q, int lane, float2 (&a)[R]) const {
    const float* at = x + static_cast<Index>(first) * stride + lane;
    const Index step = q * stride;
    const int left = lane < lanes ? count - first : 0;
    float v[R];
#pragma unroll
    for (int r = 0; r < R; ++r, at += step) v[r] = r * q < left ? *at : 0.0f;
    for_each_of<R>([&](auto r) {
      a[r()] = make_float2(v[r()] * Turn<r(), R>::re, v[r()] * Turn<r(), R>::im);
    });
  }
};

__device__ Samples samples_of(const Part& part, View<const float, 2> x, Index first_row, int length,
                              int column, Index channel) {
  const int N2 = part.rows.N;
  return {x.data + (first_row + column) * x.stride[0] + channel, N2 * x.stride[0],
          length > column ? (length - column + N2 - 1) / N2 : 0,
          static_cast<int>(part.D - channel < kLanes ? part.D - channel : kLanes)};
}

// A column on its way out: turned back, with skip and gate, into its tokens' rows.
template <class Y>
struct Results {
  const Part& part;
  const BasicLongConv<Y>& op;
  Index row;      // of the column's first
  Index channel;  // of lane 0
  int count, lanes;
  __device__ Results(const Part& p, const BasicLongConv<Y>& o, const Place& place)
      : part(p), op(o), channel(place.channel) {
    const int column = p.rows.N == 1 ? 0 : place.item;
    const Samples same = samples_of(p, o.u, p.row_of(place.sequence), p.length, column, channel);
    row = p.row_of(place.sequence) + column;
    count = same.count;
    lanes = same.lanes;
  }
  template <int R>
  __device__ __forceinline__ void store(int first, int q, int lane, float2 (&a)[R]) const {
    if (lane >= lanes) return;
    const Index from = row + static_cast<Index>(first) * part.rows.N, d = channel + lane;
    const Index step = static_cast<Index>(q) * part.rows.N;
    const int left = count - first;
    const float skip = op.skip.empty() ? 0.0f : op.skip.data[d];
    float y[R];
    for_each_of<R>([&](auto r) {
      y[r()] = fmaf(a[r()].y, Turn<r(), R>::im, a[r()].x * Turn<r(), R>::re) * part.scale;
    });
    constexpr int kSome = R < 8 ? R : 8;
#pragma unroll
    for (int some = 0; some < R; some += kSome) {
      float u[kSome], gate[kSome];
      if (!op.skip.empty()) {
#pragma unroll
        for (int k = 0; k < kSome; ++k) {
          const int r = some + k;
          u[k] = r * q < left ? op.u.row(from + r * step)[d] : 0.0f;
        }
      }
      if (!op.gate.empty()) {
#pragma unroll
        for (int k = 0; k < kSome; ++k) {
          const int r = some + k;
          gate[k] = r * q < left ? op.gate.row(from + r * step)[d] : 0.0f;
        }
      }
#pragma unroll
      for (int k = 0; k < kSome; ++k) {
        const int r = some + k;
        if (r * q >= left) continue;
        if (!op.skip.empty()) y[r] = fmaf(skip, u[k], y[r]);
        if (!op.gate.empty()) y[r] *= gate[k];
        op.y.row(from + r * step)[d] = from_float<Y>(y[r]);
      }
    }
  }
};

// A column of samples, or of taps, into the planes. With one level: the spectrum.
__global__ void __launch_bounds__(kThreads, 3)
    columns_in_kernel(Part part, View<const float, 2> x, int length, bool taps) {
  extern __shared__ float2 shared[];
  const Place place(part, part.columns);
  const int column = part.rows.N == 1 ? 0 : place.item;
  forward<true>(
      part.columns, shared,
      samples_of(part, x, taps ? 0 : part.row_of(place.sequence), length, column, place.channel),
      PlaneColumn{part, (taps ? part.h : part.u) + place.plane * kLanes + place.lane, column});
}

__device__ Numbers row_of(const Part& part, float2* planes, Index plane, const Place& place) {
  return {planes + (plane + static_cast<Index>(place.item) * part.rows.N) * kLanes + place.lane};
}

__global__ void __launch_bounds__(kThreads, 3) row_spectra_kernel(Part part) {
  extern __shared__ float2 shared[];
  const Place place(part, part.rows);
  const Numbers row = row_of(part, part.h, place.plane, place);
  forward<false>(part.rows, shared, row, row);
}

__global__ void __launch_bounds__(kThreads, 3) row_products_kernel(Part part) {
  extern __shared__ float2 shared[];
  const Place place(part, part.rows);
  const Numbers row = row_of(part, part.u, place.plane, place);
  convolve<false>(part.rows, shared, row,
                  row_of(part, part.h, static_cast<Index>(blockIdx.y) * part.M, place), row);
}

// Both for one sequence alone: the spectrum stays in registers, kButterflies of R elements a
// thread.
template <int kButterflies, int R>
__global__ void __launch_bounds__(kThreads, 2) row_convolutions_kernel(Part part) {
  extern __shared__ float2 shared[];
  const BlockFft& fft = part.rows;
  const Place place(part, fft);
  const BlockMemory memory{fft, shared};
  const int last = fft.stages - 1;
  const auto there = [&](const Numbers& row) {
    int q = fft.N / fft.radix[0];
    run_stage<false, false>(fft, 0, q, row, memory);
    for (int s = 1; s < last; ++s) {
      __syncthreads();
      q /= fft.radix[s];
      run_stage<false, false>(fft, s, q, memory, memory);
    }
    __syncthreads();
  };
  const int lane = static_cast<int>(threadIdx.x) & ((1 << fft.log_lanes) - 1);
  const int first = (static_cast<int>(threadIdx.x) >> fft.log_lanes) * R;
  const int step = (kThreads >> fft.log_lanes) * R;
  float2 k[kButterflies][R];
  there(row_of(part, part.h, place.plane, place));
#pragma unroll
  for (int i = 0; i < kButterflies; ++i) {
    memory.load<R>(first + i * step, 1, lane, k[i]);
    small_transform<R, false>(k[i]);
  }
  __syncthreads();
  const Numbers row = row_of(part, part.u, place.plane, place);
  there(row);
#pragma unroll
  for (int i = 0; i < kButterflies; ++i) {
    float2 a[R];
    memory.load<R>(first + i * step, 1, lane, a);
    small_transform<R, false>(a);
#pragma unroll
    for (int r = 0; r < R; ++r) a[r] = turned<false>(a[r], k[i][r]);
    small_transform<R, true>(a);
    memory.store<R>(first + i * step, 1, lane, a);
  }
  int q = fft.radix[last];
  for (int s = last - 1; s > 0; --s) {
    __syncthreads();
    run_stage<true, false>(fft, s, q, memory, memory);
    q *= fft.radix[s];
  }
  __syncthreads();
  run_stage<true, false>(fft, 0, q, memory, row);
}

template <class Y>
__global__ void __launch_bounds__(kThreads, 3) columns_out_kernel(Part part, BasicLongConv<Y> op) {
  extern __shared__ float2 shared[];
  const Place place(part, part.columns);
  inverse<true>(part.columns, shared,
                PlaneColumn{part, part.u + place.plane * kLanes + place.lane, place.item},
                Results<Y>(part, op, place));
}

// One level: all of it.
template <class Y>
__global__ void __launch_bounds__(kThreads, 3) whole_kernel(Part part, BasicLongConv<Y> op) {
  extern __shared__ float2 shared[];
  const Place place(part, part.columns);
  convolve<true>(part.columns, shared,
                 samples_of(part, op.u, part.row_of(place.sequence), part.length, 0, place.channel),
                 Numbers{part.h + static_cast<Index>(blockIdx.y) * part.M * kLanes + place.lane},
                 Results<Y>(part, op, place));
}

template <class... P, class... A>
void start(Cuda& cuda, void (*kernel)(P...), const BlockFft& fft, Index items, Index groups,
           Index sequences, const A&... arguments) {
  const Index lanes = Index{1} << fft.log_lanes;
  const auto shared = static_cast<std::size_t>(fft.bytes());
  ok(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                          static_cast<int>(shared)));
  const dim3 grid(static_cast<unsigned>(items * (kLanes / lanes)), static_cast<unsigned>(groups),
                  static_cast<unsigned>(sequences));
  kernel<<<grid, kThreads, shared, stream_of(cuda)>>>(arguments...);
  ok_launch();
}

struct Memory {
  ScratchParts parts;
  Index column_roots, row_roots, twist, step, step4, twiddles, u, h, bytes;
  // For sequences of up to `longest` tokens.
  explicit Memory(Index longest) {
    const Shape shape(longest);
    column_roots = parts.add<float2>(kLongestLevel);
    row_roots = parts.add<float2>(kLongestLevel);
    twist = parts.add<float2>(kLongestLevel);
    step = parts.add<float2>(kLongestLevel);
    step4 = parts.add<float2>(kLongestLevel);
    twiddles = parts.add<float2>(shape.M);
    const Index plane = std::max(kAtOnce, shape.M * kLanes);
    u = parts.add<float2>(plane);
    h = parts.add<float2>(plane);
    bytes = parts.add<std::byte>(0);
  }
};

// Sequences `first` to `last` of a set are equally long.
struct Run {
  Index first, last, length;
};

template <class Y>
class Convolution {
 public:
  Convolution(Cuda& cuda, const BasicLongConv<Y>& op, const SequenceRows* table, Index longest)
      : cuda_(cuda), op_(op), table_(table), memory_(longest) {
    memory_.parts.take(cuda);
  }

  void run(std::span<const Run> runs) {
    const Index all_groups = div_up(op_.u.extent[1], kLanes);
    for (const Run& run : runs) {
      if (run.length == 0) continue;
      const Shape shape(run.length);
      set_tables(shape);
      part_.length = static_cast<int>(run.length);
      const Index groups_at_once = std::clamp<Index>(kAtOnce / (shape.M * kLanes), 1, all_groups);
      const Index sequences_at_once =
          std::clamp<Index>(kAtOnce / (shape.M * kLanes * groups_at_once), 1, run.last - run.first);
      for (Index g = 0; g < all_groups; g += groups_at_once) {
        part_.first_channel = g * kLanes;
        part_.groups = static_cast<int>(std::min(groups_at_once, all_groups - g));
        const BlockFft& rows = part_.rows;
        together_ = run.last - run.first == 1 && rows.stages > 1 &&
                    rows.radix[rows.stages - 1] == 8 &&
                    rows.N << rows.log_lanes == 4 * 8 * kThreads;
        take_taps(shape);
        for (Index s = run.first; s < run.last; s += sequences_at_once) {
          part_.table = table_ == nullptr ? nullptr : table_ + s;
          take_sequences(shape, std::min(sequences_at_once, run.last - s));
        }
      }
    }
  }

 private:
  void set_tables(const Shape& shape) {
    if (part_.M == shape.M) return;
    const auto at = [&](Index offset) { return memory_.parts.at<float2>(offset); };
    const Tables tables{at(memory_.column_roots), at(memory_.row_roots), at(memory_.twist),
                        at(memory_.twiddles),     at(memory_.step),      at(memory_.step4)};
    part_.columns = plan_of(shape.N1, tables.column_roots, tables.twist);
    part_.rows = plan_of(shape.N2, tables.row_roots, nullptr);
    part_.M = shape.M;
    part_.D = op_.u.extent[1];
    part_.twiddles = tables.twiddles;
    part_.step = tables.step;
    part_.step4 = tables.step4;
    part_.u = at(memory_.u);
    part_.h = at(memory_.h);
    part_.scale = 1.0f / static_cast<float>(shape.M);
    tables_kernel<<<static_cast<unsigned>(div_up(shape.M, kThreads)), kThreads, 0,
                    stream_of(cuda_)>>>(part_, tables);
    ok_launch();
  }

  void take_taps(const Shape& shape) {
    const int length = static_cast<int>(std::min<Index>(op_.h.extent[0], part_.length));
    start(cuda_, columns_in_kernel, part_.columns, shape.N2, part_.groups, 1, part_, op_.h, length,
          true);
    if (shape.one_level() || together_) return;
    start(cuda_, row_spectra_kernel, part_.rows, shape.N1, part_.groups, 1, part_);
  }

  void take_sequences(const Shape& shape, Index sequences) {
    const Index groups = part_.groups;
    if (shape.one_level()) {
      start(cuda_, whole_kernel<Y>, part_.columns, 1, groups, sequences, part_, op_);
      return;
    }
    start(cuda_, columns_in_kernel, part_.columns, shape.N2, groups, sequences, part_, op_.u,
          part_.length, false);
    if (together_) {
      start(cuda_, row_convolutions_kernel<4, 8>, part_.rows, shape.N1, groups, 1, part_);
    } else {
      start(cuda_, row_products_kernel, part_.rows, shape.N1, groups, sequences, part_);
    }
    start(cuda_, columns_out_kernel<Y>, part_.columns, shape.N2, groups, sequences, part_, op_);
  }

  Cuda& cuda_;
  const BasicLongConv<Y>& op_;
  const SequenceRows* table_;
  Memory memory_;
  Part part_;
  // The rows of taps and samples are transformed by one kernel.
  bool together_ = false;
};

template <class Y>
void run_one(Cuda& cuda, const BasicLongConv<Y>& op) {
  const auto [L, D] = op.u.extent;
  if (L == 0 || D == 0) return;
  const Run run{0, 1, L};
  Convolution<Y>(cuda, op, nullptr, L).run(std::span(&run, 1));
}

template <class Y>
void run_set(Cuda& cuda, const LongConvSet<Y>& set) {
  std::vector<Run> runs;
  Index longest = 0;
  const View<const SequenceRows, 1> all = set.sequences.on_host;
  for (Index i = 0; i < all.extent[0]; ++i) {
    const Index length = all.data[i].end - all.data[i].begin;
    longest = std::max(longest, length);
    if (runs.empty() || runs.back().length != length) runs.push_back({i, i, length});
    ++runs.back().last;
  }
  if (longest == 0 || set.op.u.extent[1] == 0) return;
  Convolution<Y>(cuda, set.op, set.sequences.rows.data, longest).run(runs);
}

}  // namespace

Index long_conv_cuda_bytes(Index longest) { return Memory(longest).bytes; }

void run(Cuda& cuda, const LongConv& op) { run_one(cuda, op); }
void run(Cuda& cuda, const BasicLongConv<bf16>& op) { run_one(cuda, op); }
void run(Cuda& cuda, const LongConvSet<float>& set) { run_set(cuda, set); }
void run(Cuda& cuda, const LongConvSet<bf16>& set) { run_set(cuda, set); }

}  // namespace genossm
