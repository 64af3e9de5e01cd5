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

BlockFft plan_of(Index N, const float2* roots) {
  BlockFft fft;
  fft.N = static_cast<int>(N);
  fft.log_lanes = log_lanes_of(N);
  fft.roots = roots;
  fft.stages = 0;
  Index left = N;
  for (const int odd : {3, 3, 5}) {
    if (left % odd != 0) continue;
    fft.radix[fft.stages++] = odd;
    left /= odd;
  }
  int bits = 0;
  while ((Index{1} << bits) < left) ++bits;
  for (int count = (bits + 3) / 4; count > 0; --count) {
    const int these = (bits + count - 1) / count;
    fft.radix[fft.stages++] = 1 << these;
    bits -= these;
  }
  return fft;
}

struct Part {
  BlockFft columns, rows;  // rows.N == 1: one level
  Index M = 0, D = 0;
  const float2* twist = nullptr;     // [N1] exp(i pi e / 2 N1)
  const float2* twiddles = nullptr;  // [N1, N2] between the levels, by place
  float2* u = nullptr;               // [sequences, groups, M, kLanes]
  float2* h = nullptr;               // [groups, M, kLanes]
  Index first_channel = 0;
  int groups = 0;
  const SequenceRows* table = nullptr;  // of the sequences in work; null: one, from row 0 on
  Index length = 0;                     // of each of them
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

__global__ void tables_kernel(Part part, float2* column_roots, float2* row_roots, float2* twist,
                              float2* twiddles) {
  const Index i = static_cast<Index>(blockIdx.x) * blockDim.x + threadIdx.x;
  const int N1 = part.columns.N, N2 = part.rows.N;
  const auto point = [](double half_turns) {
    double s, c;
    sincospi(half_turns, &s, &c);
    return make_float2(static_cast<float>(c), static_cast<float>(s));
  };
  if (i < N1) {
    column_roots[i] = point(-2.0 * static_cast<double>(i) / N1);
    twist[i] = point(0.5 * static_cast<double>(i) / N1);
  }
  if (i < N2) row_roots[i] = point(-2.0 * static_cast<double>(i) / N2);
  if (i < part.M) {
    const Index frequency = part.columns.frequency_of(static_cast<int>(i / N2));
    const Index quarters = i % N2 * (4 * frequency - 1);  // of a turn / M
    twiddles[i] =
        point(-0.5 * static_cast<double>(quarters % (4 * part.M)) / static_cast<double>(part.M));
  }
}

// A column of samples, or of taps, into the planes. With one level: the spectrum.
__global__ void __launch_bounds__(kThreads, 3)
    columns_in_kernel(Part part, View<const float, 2> x, Index length, bool taps) {
  extern __shared__ float2 shared[];
  const Place place(part, part.columns);
  const Index N2 = part.rows.N, column = place.item;
  const float* from = x.data + (taps ? 0 : part.row_of(place.sequence)) * x.stride[0];
  float2* to = (taps ? part.h : part.u) + place.plane * kLanes + place.lane;
  forward(
      part.columns, shared,
      [&](int e, int lane) {
        const Index t = e * N2 + column, channel = place.channel + lane;
        const bool there = t < length && channel < part.D;
        return times(there ? from[t * x.stride[0] + channel] : 0.0f, __ldg(part.twist + e));
      },
      [&](int p, int lane, float2 v) {
        const Index at = p * N2 + column;
        to[at * kLanes + lane] = turned<false>(v, __ldg(part.twiddles + at));
      });
}

__global__ void __launch_bounds__(kThreads, 3) row_spectra_kernel(Part part) {
  extern __shared__ float2 shared[];
  const Place place(part, part.rows);
  float2* row =
      part.h + (place.plane + static_cast<Index>(place.item) * part.rows.N) * kLanes + place.lane;
  forward(
      part.rows, shared,
      [&](int e, int lane) { return row[static_cast<Index>(e) * kLanes + lane]; },
      [&](int e, int lane, float2 v) { row[static_cast<Index>(e) * kLanes + lane] = v; });
}

__global__ void __launch_bounds__(kThreads, 3) row_products_kernel(Part part) {
  extern __shared__ float2 shared[];
  const Place place(part, part.rows);
  const Index at = static_cast<Index>(place.item) * part.rows.N;
  float2* row = part.u + (place.plane + at) * kLanes + place.lane;
  const float2* spectrum =
      part.h + (static_cast<Index>(blockIdx.y) * part.M + at) * kLanes + place.lane;
  convolve(
      part.rows, shared,
      [&](int e, int lane) { return row[static_cast<Index>(e) * kLanes + lane]; },
      [&](int e, int lane) { return spectrum[static_cast<Index>(e) * kLanes + lane]; },
      [&](int e, int lane, float2 v) { row[static_cast<Index>(e) * kLanes + lane] = v; });
}

// Element e of a column on its way out: turned back, with skip and gate, into its token's row.
template <class Y>
struct Result {
  const Part& part;
  const BasicLongConv<Y>& op;
  Index first_row, column, channel;
  __device__ Result(const Part& p, const BasicLongConv<Y>& o, const Place& place)
      : part(p),
        op(o),
        first_row(p.row_of(place.sequence)),
        column(p.rows.N == 1 ? 0 : place.item),
        channel(place.channel) {}
  __device__ __forceinline__ void operator()(int e, int lane, float2 v) const {
    const Index t = static_cast<Index>(e) * part.rows.N + column, d = channel + lane;
    if (t >= part.length || d >= part.D) return;
    const Index row = first_row + t;
    const float2 w = __ldg(part.twist + e);
    float y = fmaf(v.y, w.y, v.x * w.x) * part.scale;
    if (!op.skip.empty()) y = fmaf(op.skip.data[d], op.u.row(row)[d], y);
    if (!op.gate.empty()) y *= op.gate.row(row)[d];
    op.y.row(row)[d] = from_float<Y>(y);
  }
};

template <class Y>
__global__ void __launch_bounds__(kThreads, 3) columns_out_kernel(Part part, BasicLongConv<Y> op) {
  extern __shared__ float2 shared[];
  const Place place(part, part.columns);
  const Index N2 = part.rows.N, column = place.item;
  const float2* from = part.u + place.plane * kLanes + place.lane;
  inverse(
      part.columns, shared,
      [&](int p, int lane) {
        const Index at = p * N2 + column;
        return turned<true>(from[at * kLanes + lane], __ldg(part.twiddles + at));
      },
      Result<Y>(part, op, place));
}

// One level: all of it.
template <class Y>
__global__ void __launch_bounds__(kThreads, 3) whole_kernel(Part part, BasicLongConv<Y> op) {
  extern __shared__ float2 shared[];
  const Place place(part, part.columns);
  const Index first_row = part.row_of(place.sequence);
  const float2* spectrum = part.h + static_cast<Index>(blockIdx.y) * part.M * kLanes + place.lane;
  convolve(
      part.columns, shared,
      [&](int e, int lane) {
        const Index channel = place.channel + lane;
        const bool there = e < part.length && channel < part.D;
        return times(there ? op.u.row(first_row + e)[channel] : 0.0f, __ldg(part.twist + e));
      },
      [&](int e, int lane) { return spectrum[static_cast<Index>(e) * kLanes + lane]; },
      Result<Y>(part, op, place));
}

template <class... P, class... A>
void start(Cuda& cuda, void (*kernel)(P...), const BlockFft& fft, Index items, Index groups,
           Index sequences, const A&... arguments) {
  const Index lanes = Index{1} << fft.log_lanes;
  const auto shared = static_cast<std::size_t>(BlockFft::bytes(fft.N, lanes));
  ok(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                          static_cast<int>(shared)));
  const dim3 grid(static_cast<unsigned>(items * (kLanes / lanes)), static_cast<unsigned>(groups),
                  static_cast<unsigned>(sequences));
  kernel<<<grid, kThreads, shared, stream_of(cuda)>>>(arguments...);
  ok_launch();
}

struct Memory {
  ScratchParts parts;
  Index column_roots, row_roots, twist, twiddles, u, h, bytes;
  // For sequences of up to `longest` tokens.
  explicit Memory(Index longest) {
    const Shape shape(longest);
    column_roots = parts.add<float2>(kLongestLevel);
    row_roots = parts.add<float2>(kLongestLevel);
    twist = parts.add<float2>(kLongestLevel);
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
      part_.length = run.length;
      const Index groups_at_once = std::clamp<Index>(kAtOnce / (shape.M * kLanes), 1, all_groups);
      const Index sequences_at_once =
          std::clamp<Index>(kAtOnce / (shape.M * kLanes * groups_at_once), 1, run.last - run.first);
      for (Index g = 0; g < all_groups; g += groups_at_once) {
        part_.first_channel = g * kLanes;
        part_.groups = static_cast<int>(std::min(groups_at_once, all_groups - g));
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
    auto* column_roots = memory_.parts.at<float2>(memory_.column_roots);
    auto* row_roots = memory_.parts.at<float2>(memory_.row_roots);
    auto* twist = memory_.parts.at<float2>(memory_.twist);
    auto* twiddles = memory_.parts.at<float2>(memory_.twiddles);
    part_.columns = plan_of(shape.N1, column_roots);
    part_.rows = plan_of(shape.N2, row_roots);
    part_.M = shape.M;
    part_.D = op_.u.extent[1];
    part_.twist = twist;
    part_.twiddles = twiddles;
    part_.u = memory_.parts.at<float2>(memory_.u);
    part_.h = memory_.parts.at<float2>(memory_.h);
    part_.scale = 1.0f / static_cast<float>(shape.M);
    tables_kernel<<<static_cast<unsigned>(div_up(shape.M, kThreads)), kThreads, 0,
                    stream_of(cuda_)>>>(part_, column_roots, row_roots, twist, twiddles);
    ok_launch();
  }

  void take_taps(const Shape& shape) {
    const Index length = std::min(op_.h.extent[0], part_.length);
    start(cuda_, columns_in_kernel, part_.columns, shape.N2, part_.groups, 1, part_, op_.h, length,
          true);
    if (shape.one_level()) return;
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
    start(cuda_, row_products_kernel, part_.rows, shape.N1, groups, sequences, part_);
    start(cuda_, columns_out_kernel<Y>, part_.columns, shape.N2, groups, sequences, part_, op_);
  }

  Cuda& cuda_;
  const BasicLongConv<Y>& op_;
  const SequenceRows* table_;
  Memory memory_;
  Part part_;
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
