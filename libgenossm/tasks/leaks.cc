#include "libgenossm/tasks/leaks.h"

#include <algorithm>
#include <array>
#include <unordered_map>

#include "kernels/core/error.h"
#include "libgenossm/tokenizer/nucleotide.h"

namespace genossm {
namespace {

// Every byte in the form in which letters compare, and the complement of that form.
struct Letters {
  std::array<char, 256> upper{}, complement{};

  Letters() {
    for (std::size_t i = 0; i < 256; ++i) {
      const char c = to_upper(static_cast<char>(static_cast<unsigned char>(i)));
      upper[i] = c == 'U' ? 'T' : c;
      complement[i] = genossm::complement(upper[i]);
    }
  }
};
const Letters kLetters;

char upper(char c) { return kLetters.upper[static_cast<unsigned char>(c)]; }
char paired(char c) { return kLetters.complement[static_cast<unsigned char>(c)]; }

// The same for a sequence and its reverse complement.
std::uint64_t strandless_hash(std::string_view s) {
  constexpr std::uint64_t kPrime = 0x100000001b3ull;  // FNV-1a
  std::uint64_t forward = 0xcbf29ce484222325ull, reverse = forward;
  for (std::size_t i = 0; i < s.size(); ++i) {
    forward = (forward ^ static_cast<unsigned char>(upper(s[i]))) * kPrime;
    reverse = (reverse ^ static_cast<unsigned char>(paired(s[s.size() - 1 - i]))) * kPrime;
  }
  return std::min(forward, reverse);
}

bool same_forward(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(),
                                            [](char x, char y) { return upper(x) == upper(y); });
}

bool same_reverse(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.rbegin(),
                                            [](char x, char y) { return upper(x) == paired(y); });
}

// Sequences by what they are on either strand.
class TwinIndex {
 public:
  struct Place {
    Index first = 0;       // the first sequence added that is a twin of this one; itself if none
    bool reverse = false;  // equal to it as a reverse complement only
  };

  // `find`, and the sequence is the first of its twins if there is none before it.
  Place add(std::string_view s) {
    const auto number = static_cast<Index>(sequences_.size());
    sequences_.push_back(s);
    std::vector<Index>& firsts = by_hash_[strandless_hash(s)];
    if (const Place place = search(firsts, s); place.first >= 0) return place;
    firsts.push_back(number);
    return {number, false};
  }

  // first is -1 if there is no twin.
  Place find(std::string_view s) const {
    const auto at = by_hash_.find(strandless_hash(s));
    return at == by_hash_.end() ? Place{-1, false} : search(at->second, s);
  }

 private:
  Place search(const std::vector<Index>& firsts, std::string_view s) const {
    for (const Index first : firsts) {
      const std::string_view other = sequences_[static_cast<std::size_t>(first)];
      if (same_forward(s, other)) return {first, false};
      if (same_reverse(s, other)) return {first, true};
    }
    return {-1, false};
  }

  std::vector<std::string_view> sequences_;
  std::unordered_map<std::uint64_t, std::vector<Index>> by_hash_;
};

std::vector<Index> ascending_where(const std::vector<bool>& marks) {
  std::vector<Index> out;
  for (std::size_t i = 0; i < marks.size(); ++i) {
    if (marks[i]) out.push_back(static_cast<Index>(i));
  }
  return out;
}

}  // namespace

LeakReport find_leaks(std::span<const std::string_view> train,
                      std::span<const std::string_view> test,
                      std::span<const std::int32_t> train_labels,
                      std::span<const std::int32_t> test_labels) {
  const bool labelled = !train_labels.empty();
  require(!labelled || (train_labels.size() == train.size() && test_labels.size() == test.size()),
          Fault::input, "leaks: the numbers of sequences and labels differ");
  LeakReport out;
  TwinIndex index;
  std::vector<TwinIndex::Place> place(train.size());
  // Of each first sequence: its first twin on the other strand, whether labels differ, whether it
  // is in the test part.
  std::vector<Index> opposite(train.size(), -1);
  std::vector<bool> mixed(train.size(), false), leaked(train.size(), false);
  for (std::size_t i = 0; i < train.size(); ++i) {
    place[i] = index.add(train[i]);
    const auto first = static_cast<std::size_t>(place[i].first);
    if (first == i) continue;
    out.train_copies.push_back(static_cast<Index>(i));
    if (place[i].reverse && opposite[first] < 0) opposite[first] = static_cast<Index>(i);
    if (labelled && train_labels[i] != train_labels[first]) mixed[first] = true;
  }
  for (std::size_t i = 0; i < test.size(); ++i) {
    const TwinIndex::Place found = index.find(test[i]);
    if (found.first < 0) continue;
    const auto first = static_cast<std::size_t>(found.first);
    leaked[first] = true;
    LeakPair pair{static_cast<Index>(i), found.first, found.reverse, true};
    if (found.reverse && opposite[first] >= 0) {
      pair.train = opposite[first];
      pair.reverse = false;
    }
    if (labelled) {
      pair.same_label = test_labels[i] == train_labels[static_cast<std::size_t>(pair.train)];
    }
    out.reverse_pairs += pair.reverse ? 1 : 0;
    out.label_conflicts += pair.same_label ? 0 : 1;
    out.pairs.push_back(pair);
  }
  std::vector<bool> drop(train.size()), conflict(train.size());
  for (std::size_t i = 0; i < train.size(); ++i) {
    drop[i] = leaked[static_cast<std::size_t>(place[i].first)];
    conflict[i] = mixed[static_cast<std::size_t>(place[i].first)];
  }
  out.train_rows = ascending_where(drop);
  out.train_conflicts = ascending_where(conflict);
  return out;
}

std::vector<Index> twin_groups(std::span<const std::string_view> sequences) {
  TwinIndex index;
  std::vector<Index> out;
  out.reserve(sequences.size());
  for (const std::string_view s : sequences) out.push_back(index.add(s).first);
  return out;
}

}  // namespace genossm
