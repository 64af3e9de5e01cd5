// Folds: which rows are held out together.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/core/view.h"

namespace genossm {

inline constexpr Index kLeaveOneOut = -1;

// The fold of each row, in [0, number of folds used).
struct Folds {
  std::vector<Index> fold;  // [rows]
  Index count = 0;

  std::vector<Index> rows_of(Index f) const;       // ascending
  std::vector<Index> rows_without(Index f) const;  // ascending
};

// Stratified: rows (or groups) in a seeded order, each given to the fold that has the fewest rows
// of its class (a group: of its commonest class) so far, then the fewest rows, then the first.
// Classes therefore differ by at most one row between folds, without groups. `labels`: empty to
// balance rows only. `groups`: empty, or a number a row; equal numbers share a fold. `count`: >= 2,
// clipped to the number of rows (groups); kLeaveOneOut: every row (group) its own fold, in
// order of first appearance.
// Throws Fault::usage for another count, Fault::input for fewer than two rows (groups).
Folds make_folds(Index rows, std::span<const std::int32_t> labels, std::span<const Index> groups,
                 Index count, std::uint64_t seed);

// About `fraction` of the rows, at least one of every class that has two or more, none of a class
// that has one: true for the rows held out. Seeded.
std::vector<bool> hold_out(std::span<const std::int32_t> labels, double fraction,
                           std::uint64_t seed);

}  // namespace genossm
