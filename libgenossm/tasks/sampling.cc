#include "libgenossm/tasks/sampling.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "kernels/core/error.h"

namespace genossm {
namespace {

std::uint64_t mixed(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

}  // namespace

void check(const Sampling& s) {
  if (!(s.temperature >= 0) || !std::isfinite(s.temperature)) {
    fail(Fault::usage, "--temperature: want a number from 0 on");
  }
  if (s.top_k < 0 || s.top_k > 4) {
    fail(Fault::usage, "--top-k " + std::to_string(s.top_k) +
                           ": there are four bases; want 1 to 4, or 0 for all");
  }
  if (!(s.top_p > 0 && s.top_p <= 1)) fail(Fault::usage, "--top-p: want a number in (0, 1]");
}

int draw(const std::array<float, 4>& logits, const Sampling& sampling, double u) {
  for (const float v : logits) {
    if (!std::isfinite(v)) fail(Fault::input, "the model gives a non-finite prediction");
  }
  std::array<int, 4> order{0, 1, 2, 3};
  const auto logit = [&](int b) { return logits[static_cast<std::size_t>(b)]; };
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return logit(a) > logit(b); });
  if (sampling.temperature == 0) return order[0];
  const int most = sampling.top_k == 0 ? 4 : sampling.top_k;
  std::array<double, 4> p{};
  double all = 0;
  for (int i = 0; i < most; ++i) {
    const double below = static_cast<double>(logit(order[static_cast<std::size_t>(i)])) -
                         static_cast<double>(logit(order[0]));
    all += p[static_cast<std::size_t>(i)] = std::exp(below / sampling.temperature);
  }
  double kept = 0;
  int n = 0;
  while (n < most && (n == 0 || kept < sampling.top_p * all)) {
    kept += p[static_cast<std::size_t>(n++)];
  }
  double reached = 0;
  for (int i = 0; i < n; ++i) {
    reached += p[static_cast<std::size_t>(i)];
    if (u * kept < reached) return order[static_cast<std::size_t>(i)];
  }
  return order[static_cast<std::size_t>(n - 1)];
}

double uniform(std::uint64_t seed, std::uint64_t sequence, std::uint64_t place) {
  constexpr std::uint64_t kStep = 0x9e3779b97f4a7c15ull;
  std::uint64_t z = mixed(seed + kStep);
  z = mixed(z ^ (sequence + 2 * kStep));
  z = mixed(z ^ (place + 3 * kStep));
  return static_cast<double>(z >> 11) * 0x1p-53;
}

}  // namespace genossm
