// Leaks: sequences that stand in both parts of a split, as they are or as reverse complements.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "kernels/core/view.h"

namespace genossm {

// Letters compare without case, U as T; every IUPAC code has its complement, any other byte is its
// own. N equals N and nothing else. Sequences are compared in full, not by a hash alone.

// A test row and a training row that is its twin: the first that is equal as it is, or else the
// first that is its reverse complement.
struct LeakPair {
  Index test = 0, train = 0;
  bool reverse = false;    // no training row is equal as it is
  bool same_label = true;  // true where no labels were given
};

struct LeakReport {
  std::vector<LeakPair> pairs;      // one a test row that has a twin in train; test ascending
  std::vector<Index> train_rows;    // every training row that has a twin in test; ascending
  std::vector<Index> train_copies;  // training rows that repeat an earlier training row; ascending
  // Training rows that have a twin in train with another label; ascending. Empty without labels.
  std::vector<Index> train_conflicts;
  Index reverse_pairs = 0;    // of `pairs`: those with reverse
  Index label_conflicts = 0;  // of `pairs`: labels differ

  bool any() const { return !pairs.empty(); }
};

// `--drop-leaks` drops train_rows from the TRAINING part, so that the test part, and with it every
// figure, stays comparable with what others report on the same test part. Labels: empty, or one a
// sequence, class indices or any other numbers. Throws Fault::input if their numbers differ.
LeakReport find_leaks(std::span<const std::string_view> train,
                      std::span<const std::string_view> test,
                      std::span<const std::int32_t> train_labels = {},
                      std::span<const std::int32_t> test_labels = {});

// A number for each sequence, equal for twins: the index of the first of them. For grouped folds.
std::vector<Index> twin_groups(std::span<const std::string_view> sequences);

}  // namespace genossm
