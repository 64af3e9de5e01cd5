#include "libgenossm/tasks/variant_effect.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace genossm {
namespace {

constexpr std::array<std::string_view, 14> kNames{
    "OK",      "REF_MISMATCH", "SYMBOLIC", "BND",      "STAR",    "MISSING", "AMBIGUOUS",
    "NOT_DNA", "NO_CONTIG",    "EDGE",     "TOO_LONG", "NOT_SNV", "SAME",    "NOT_FINITE"};

}  // namespace

std::string_view name_of(AlleleStatus status) { return kNames[static_cast<std::size_t>(status)]; }

std::string status_list() {
  std::string out;
  for (const std::string_view name : kNames) {
    out += out.empty() ? "" : ", ";
    out += name;
  }
  return out;
}

Extent reuse_extent(const ReuseGeometry& geometry, Index at, Index contig) {
  const Index begin = at + geometry.suffix - geometry.window;
  return {begin <= 0 ? 0 : begin / geometry.grid * geometry.grid,
          std::min(contig, at + geometry.suffix)};
}

ScoredBases scored_bases(LengthRule rule, Index suffix, Index at, Index ref, Index alt,
                         Index contig) {
  const Index ref_left = contig - at;
  const Index alt_left = alt + contig - (at + ref);
  if (rule == LengthRule::equal) {
    const Index n = std::min({suffix, ref_left, alt_left});
    return {n, n};
  }
  const Index n = std::min(suffix, ref_left);
  return n < ref ? ScoredBases{} : ScoredBases{n, n - ref + alt};
}

Index branch_place(Index at, Index tile) { return (at - 1) / tile * tile; }

RowWeights rows_around(Index at, Index reach, Index window) {
  RowWeights out;
  out.first = std::clamp<Index>(at - reach, 0, window - 1);
  const Index last = std::clamp<Index>(at + reach, 0, window - 1);
  out.weights.assign(static_cast<std::size_t>(last - out.first + 1), 0.0);
  const double each = 1.0 / static_cast<double>(2 * reach + 1);
  for (Index i = at - reach; i <= at + reach; ++i) {
    const Index row = std::clamp<Index>(i, 0, window - 1);
    out.weights[static_cast<std::size_t>(row - out.first)] += each;
  }
  return out;
}

double l2_distance(const float* a, const float* b, Index n) {
  double sum = 0;
  for (Index i = 0; i < n; ++i) {
    const double d = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    sum += d * d;
  }
  return std::sqrt(sum);
}

double cosine_distance(const float* a, const float* b, Index n) {
  double ab = 0, aa = 0, bb = 0;
  for (Index i = 0; i < n; ++i) {
    const auto x = static_cast<double>(a[i]), y = static_cast<double>(b[i]);
    ab += x * y;
    aa += x * x;
    bb += y * y;
  }
  return 1.0 - ab / std::sqrt(aa * bb);
}

}  // namespace genossm
