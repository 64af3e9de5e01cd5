#include "kernels/core/peak.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <vector>

#include "kernels/core/buffer.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/core/peak.cc"
#include "hwy/foreach_target.h"
//
#include "kernels/core/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace genossm {
namespace HWY_NAMESPACE {

// Chains side by side: as many as hide the latency of a multiply-add, and the registers hold.
constexpr int kChains = 12;

// `steps` links of every chain. Returns the flop; the sum of the chains goes to `out`, so that
// nothing is left out as unused.
double multiply_adds(Index steps, float* out) {
  const F32 d;
  Vec chain[kChains];
#pragma GCC unroll 16
  for (int i = 0; i < kChains; ++i) chain[i] = hn::Set(d, static_cast<float>(i));
  const Vec a = hn::Set(d, 0.999f), b = hn::Set(d, 1e-3f);
  for (Index s = 0; s < steps; ++s) {
#pragma GCC unroll 16
    for (int i = 0; i < kChains; ++i) chain[i] = hn::MulAdd(chain[i], a, b);
  }
  Vec sum = chain[0];
#pragma GCC unroll 16
  for (int i = 1; i < kChains; ++i) sum = hn::Add(sum, chain[i]);
  *out = hn::GetLane(hn::SumOfLanes(d, sum));
  return 2.0 * kChains * static_cast<double>(hn::Lanes(d)) * static_cast<double>(steps);
}

}  // namespace HWY_NAMESPACE
}  // namespace genossm
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace genossm {
namespace {

HWY_EXPORT(multiply_adds);

constexpr int kRuns = 7;

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double measure_fma(Cpu& cpu) {
  const auto work = HWY_DYNAMIC_DISPATCH(multiply_adds);
  constexpr Index kSteps = 2'000'000;
  std::vector<float> out(static_cast<std::size_t>(cpu.threads()));
  std::vector<double> flop(out.size());
  double best = 0;
  for (int run = 0; run < kRuns; ++run) {
    const double start = now();
    cpu.for_each(cpu.threads(), [&](Index i) {
      const auto thread = static_cast<std::size_t>(i);
      flop[thread] = work(kSteps, &out[thread]);
    });
    const double seconds = now() - start;
    double all = 0;
    for (const double f : flop) all += f;
    best = std::max(best, all / seconds / 1e9);
  }
  return best;
}

double measure_copy(Cpu& cpu) {
  constexpr Index kFloats = 32 << 20;  // 128 MiB each way
  const Buffer<float> from(kFloats), to(kFloats);
  std::fill(from.begin(), from.end(), 1.0f);
  std::fill(to.begin(), to.end(), 0.0f);
  const Index threads = cpu.threads();
  double best = 0;
  for (int run = 0; run < kRuns; ++run) {
    const double start = now();
    cpu.for_each(threads, [&](Index i) {
      const Index begin = kFloats * i / threads, end = kFloats * (i + 1) / threads;
      std::memcpy(to.data() + begin, from.data() + begin,
                  static_cast<std::size_t>(end - begin) * sizeof(float));
    });
    const double bytes = 2.0 * static_cast<double>(kFloats) * sizeof(float);
    best = std::max(best, bytes / (now() - start) / 1e9);
  }
  return best;
}

}  // namespace

MachineSpeed measure_machine(Cpu& cpu) {
  MachineSpeed speed;
  speed.fma_gflops = measure_fma(cpu);
  speed.copy_gbytes_per_s = measure_copy(cpu);
  return speed;
}

}  // namespace genossm
#endif
