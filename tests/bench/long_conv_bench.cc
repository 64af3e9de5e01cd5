// long_conv beside the plain use of FFTW on the same machine: three real transforms of twice the
// length a channel. One thread; not a test.
//
// The opponent is timed twice: over channels that lie contiguous in memory, which is kinder than
// what a model has, and over the columns of the same matrices, sixteen copied out and back at once.
//
//   long_conv_bench [LENGTH [CHANNELS]]
#include <fftw3.h>

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

// The same result by FFTW, channel by channel; plans are made before the clock starts.
class Opponent {
 public:
  explicit Opponent(Index length) : length_(length), size_(2 * length) {
    // As a user of the library would: the next size without large factors.
    for (; !smooth(size_); ++size_) {
    }
    u_ = fftwf_alloc_real(static_cast<std::size_t>(size_));
    h_ = fftwf_alloc_real(static_cast<std::size_t>(size_));
    U_ = fftwf_alloc_complex(static_cast<std::size_t>(size_ / 2 + 1));
    H_ = fftwf_alloc_complex(static_cast<std::size_t>(size_ / 2 + 1));
    const int n = static_cast<int>(size_);
    forward_u_ = fftwf_plan_dft_r2c_1d(n, u_, U_, FFTW_MEASURE);
    forward_h_ = fftwf_plan_dft_r2c_1d(n, h_, H_, FFTW_MEASURE);
    backward_ = fftwf_plan_dft_c2r_1d(n, U_, u_, FFTW_MEASURE);
  }
  // u and h are contiguous here, which is kinder than the program's rows of channels.
  const float* run(const float* u, const float* h) {
    std::copy_n(u, length_, u_);
    std::copy_n(h, length_, h_);
    std::fill(u_ + length_, u_ + size_, 0.0f);
    std::fill(h_ + length_, h_ + size_, 0.0f);
    fftwf_execute(forward_u_);
    fftwf_execute(forward_h_);
    const float scale = 1.0f / static_cast<float>(size_);
    for (Index i = 0; i < size_ / 2 + 1; ++i) {
      const float re = U_[i][0] * H_[i][0] - U_[i][1] * H_[i][1];
      const float im = U_[i][0] * H_[i][1] + U_[i][1] * H_[i][0];
      U_[i][0] = re * scale, U_[i][1] = im * scale;
    }
    fftwf_execute(backward_);
    return u_;
  }

 private:
  static bool smooth(Index n) {
    for (const Index p : {2, 3, 5, 7}) {
      while (n % p == 0) n /= p;
    }
    return n == 1;
  }
  Index length_, size_;
  float *u_, *h_;
  fftwf_complex *U_, *H_;
  fftwf_plan forward_u_, forward_h_, backward_;
};

}  // namespace

int main(int argc, char** argv) {
  const Index L = argc > 1 ? std::atoll(argv[1]) : 1'000'000;
  const Index lanes = genossm::long_conv_lanes();
  const Index D = argc > 2 ? std::atoll(argv[2]) : lanes;
  std::uint32_t seed = 1;
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
  Opponent opponent(L);
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
      "length %lld, %lld channels: genossm %.4f ms a channel; FFTW %.4f ms, %.2f times; FFTW from "
      "and to the matrix %.4f ms, %.2f times; largest difference %.1e of the largest value\n",
      static_cast<long long>(L), static_cast<long long>(D), 1e3 * ours, 1e3 * theirs, theirs / ours,
      1e3 * columns, columns / ours, difference / largest);
}
