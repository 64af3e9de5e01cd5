// long_conv beside the plain use of other libraries' transforms on the same machine: three real
// transforms of twice the length a channel. One thread; not a test.
//
// An opponent is timed twice: over channels that lie contiguous in memory, which is kinder than
// what a model has, and over the columns of the same matrices, sixteen copied out and back at once.
//
//   long_conv_bench [LENGTH [CHANNELS]]
#ifdef GENOSSM_BENCH_FFTW
#include <fftw3.h>
#endif
#ifdef GENOSSM_BENCH_KISSFFT
#include <kiss_fftr.h>
#endif

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <vector>

#include "kernels/core/buffer.h"
#include "kernels/long_conv/long_conv.h"

namespace {

using genossm::Index;

// Processor time, in seconds: other processes then cost only what they do to the caches.
double now() {
  timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

float noise(std::uint32_t& seed) {
  seed = seed * 1664525u + 1013904223u;
  return static_cast<float>(seed >> 8) * 0x1p-23f - 1;
}

// As a user of these libraries would: the next even size without large factors.
Index smooth_size(Index n) {
  const auto smooth = [](Index m) {
    for (const Index p : {2, 3, 5}) {
      while (m % p == 0) m /= p;
    }
    return m == 1;
  };
  while (n % 2 != 0 || !smooth(n)) ++n;
  return n;
}

// y = IFFT(FFT(u) FFT(h)) / size by a library, channel by channel; what it prepares is made before
// the clock starts.
template <class Library>
class Opponent {
 public:
  explicit Opponent(Index length)
      : length_(length), size_(smooth_size(2 * length)), library_(size_) {}
  // u and h are contiguous.
  const float* run(const float* u, const float* h) {
    auto fill = [&](const float* from, float* to) {
      std::copy_n(from, length_, to);
      std::fill(to + length_, to + size_, 0.0f);
    };
    fill(u, library_.u);
    fill(h, library_.h);
    library_.forward();
    const float scale = 1.0f / static_cast<float>(size_);
    float *U = library_.U, *H = library_.H;
    for (Index i = 0; i < 2 * (size_ / 2 + 1); i += 2) {
      const float re = U[i] * H[i] - U[i + 1] * H[i + 1];
      const float im = U[i] * H[i + 1] + U[i + 1] * H[i];
      U[i] = re * scale, U[i + 1] = im * scale;
    }
    library_.backward();
    return library_.u;
  }

 private:
  Index length_, size_;
  Library library_;
};

#ifdef GENOSSM_BENCH_FFTW
struct Fftw {
  static constexpr const char* kName = "FFTW";
  explicit Fftw(Index size) {
    const auto n = static_cast<std::size_t>(size);
    u = fftwf_alloc_real(n);
    h = fftwf_alloc_real(n);
    U = fftwf_alloc_real(n + 2);
    H = fftwf_alloc_real(n + 2);
    const int length = static_cast<int>(size);
    const auto complex = [](float* p) { return reinterpret_cast<fftwf_complex*>(p); };
    forward_u = fftwf_plan_dft_r2c_1d(length, u, complex(U), FFTW_MEASURE);
    forward_h = fftwf_plan_dft_r2c_1d(length, h, complex(H), FFTW_MEASURE);
    backward_u = fftwf_plan_dft_c2r_1d(length, complex(U), u, FFTW_MEASURE);
  }
  void forward() { fftwf_execute(forward_u), fftwf_execute(forward_h); }
  void backward() { fftwf_execute(backward_u); }

  float *u, *h, *U, *H;
  fftwf_plan forward_u, forward_h, backward_u;
};
#endif

#ifdef GENOSSM_BENCH_KISSFFT
struct Kiss {
  static constexpr const char* kName = "KissFFT";
  explicit Kiss(Index size)
      : memory(4 * size + 4),
        u(memory.data()),
        h(u + size),
        U(h + size),
        H(U + size + 2),
        plan(kiss_fftr_alloc(static_cast<int>(size), 0, nullptr, nullptr)),
        inverse(kiss_fftr_alloc(static_cast<int>(size), 1, nullptr, nullptr)) {}
  static kiss_fft_cpx* complex(float* p) { return reinterpret_cast<kiss_fft_cpx*>(p); }
  void forward() { kiss_fftr(plan, u, complex(U)), kiss_fftr(plan, h, complex(H)); }
  void backward() { kiss_fftri(inverse, complex(U), u); }

  genossm::Buffer<float> memory;
  float *u, *h, *U, *H;
  kiss_fftr_cfg plan, inverse;
};
#endif

template <class Library>
void compare(Index L, Index D, std::uint32_t seed) {
  const genossm::Buffer<float> u(L * D), h(L * D), y(L * D);
  for (float& v : u) v = noise(seed);
  for (float& v : h) v = noise(seed);
  const genossm::Buffer<float> work(genossm::long_conv_work(L, 1));
  genossm::Cpu cpu(1);
  const genossm::LongConv op{
      .u = u.matrix(L, D), .h = h.matrix(L, D), .y = y.matrix(L, D), .work = work.view()};
  // Channels that the opponent takes one after the other, each contiguous.
  const Index channels = std::min<Index>(D, 32);
  const genossm::Buffer<float> lines_u(L * channels), lines_h(L * channels);
  for (Index t = 0; t < L; ++t) {
    for (Index c = 0; c < channels; ++c) {
      lines_u[c * L + t] = u[t * D + c], lines_h[c * L + t] = h[t * D + c];
    }
  }
  Opponent<Library> opponent(L);
  double ours = 1e30, theirs = 1e30, columns = 1e30, difference = 0, largest = 0;
  // At least five times, and a second in all.
  const double first = now();
  for (int i = 0; i < 5 || now() - first < 1; ++i) {
    double start = now();
    genossm::run(cpu, op);
    ours = std::min(ours, (now() - start) / static_cast<double>(D));
    start = now();
    for (Index c = 0; c < channels; ++c) {
      opponent.run(lines_u.data() + c * L, lines_h.data() + c * L);
    }
    theirs = std::min(theirs, (now() - start) / static_cast<double>(channels));
    start = now();
    for (Index c = 0; c < channels; c += 16) {
      const Index n = std::min<Index>(16, channels - c);
      for (Index t = 0; t < L; ++t) {
        for (Index j = 0; j < n; ++j) {
          lines_u[(c + j) * L + t] = u[t * D + c + j], lines_h[(c + j) * L + t] = h[t * D + c + j];
        }
      }
      for (Index j = 0; j < n; ++j) {
        float* line = lines_u.data() + (c + j) * L;
        std::copy_n(opponent.run(line, lines_h.data() + (c + j) * L), L, line);
      }
      for (Index t = 0; t < L; ++t) {
        for (Index j = 0; j < n; ++j) y[t * D + c + j] = lines_u[(c + j) * L + t];
      }
    }
    columns = std::min(columns, (now() - start) / static_cast<double>(channels));
    for (Index t = 0; t < L; ++t) lines_u[t] = u[t * D];
    genossm::run(cpu, op);
    const float* other = opponent.run(lines_u.data(), lines_h.data());
    for (Index t = 0; t < L; ++t) {
      difference = std::max(difference, std::abs(static_cast<double>(y[t * D]) - other[t]));
      largest = std::max(largest, std::abs(static_cast<double>(other[t])));
    }
  }
  std::printf(
      "length %lld, %lld channels: genossm %.4f ms a channel; %s %.4f ms, %.2f times; from and to "
      "the "
      "matrix %.4f ms, %.2f times; largest difference %.1e of the largest value\n",
      static_cast<long long>(L), static_cast<long long>(D), 1e3 * ours, Library::kName,
      1e3 * theirs, theirs / ours, 1e3 * columns, columns / ours, difference / largest);
}

}  // namespace

int main(int argc, char** argv) {
  const Index L = argc > 1 ? std::atoll(argv[1]) : 1'000'000;
  const Index D = argc > 2 ? std::atoll(argv[2]) : genossm::long_conv_lanes();
#ifdef GENOSSM_BENCH_FFTW
  compare<Fftw>(L, D, 1);
#endif
#ifdef GENOSSM_BENCH_KISSFFT
  compare<Kiss>(L, D, 1);
#endif
}
