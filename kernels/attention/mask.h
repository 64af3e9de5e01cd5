// Which keys a row of queries sees: at most two ranges of rows of k.
#pragma once

#include "kernels/core/view.h"

namespace genossm {

enum class AttentionMask {
  causal,         // keys up to the query's own position
  window,         // the last W of these, its own included
  bidirectional,  // all
  // JanusDNA: the rows are T = S/2 states of the forward direction, then T of the reverse one; a
  // query sees what its own direction has seen and what the other one has seen beyond its
  // neighbour: forward i sees forward j <= i and reverse j >= i + 2, reverse i sees reverse j >= i
  // and forward j <= i - 2.
  janus
};

// Rows [begin, end) of k; empty where end <= begin.
struct KeyRange {
  Index begin = 0, end = 0;
};
struct KeyRanges {
  KeyRange first, second;  // in this order, disjoint
};

// Query row i of L, which stands at row S - L + i of k.
constexpr KeyRanges visible_keys(AttentionMask mask, Index window, Index i, Index L, Index S) {
  const Index at = S - L + i;
  switch (mask) {
    case AttentionMask::causal:
      return {{0, at + 1}, {}};
    case AttentionMask::window:
      return {{at + 1 > window ? at + 1 - window : 0, at + 1}, {}};
    case AttentionMask::bidirectional:
      return {{0, S}, {}};
    case AttentionMask::janus:
      break;
  }
  const Index T = S / 2;
  if (at < T) return {{0, at + 1}, {at + 2 < T ? T + at + 2 : S, S}};
  return {{0, at - T > 1 ? at - T - 1 : 0}, {at, S}};
}

}  // namespace genossm
