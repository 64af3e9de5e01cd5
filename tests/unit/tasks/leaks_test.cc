#include "libgenossm/tasks/leaks.h"

#include <gtest/gtest.h>

#include "kernels/core/error.h"
#include "libgenossm/tasks/random_stream.h"
#include "libgenossm/tokenizer/tokenizer.h"

namespace genossm::testing {
namespace {

using Texts = std::vector<std::string_view>;
using Rows = std::vector<Index>;

TEST(Leaks, IdenticalAndReversed) {
  const Texts train{"ACGTT", "GGGA", "ttttc", "CCCC"};
  const Texts test{"aacgt", "GGGA", "GAAAA", "ACG", "CCCCC"};
  const LeakReport r = find_leaks(train, test);
  ASSERT_EQ(r.pairs.size(), 3u);
  EXPECT_EQ(r.pairs[0].train, 0);
  EXPECT_TRUE(r.pairs[0].reverse);
  EXPECT_EQ(r.pairs[1].test, 1);
  EXPECT_EQ(r.pairs[1].train, 1);
  EXPECT_FALSE(r.pairs[1].reverse);
  EXPECT_EQ(r.pairs[2].train, 2);
  EXPECT_TRUE(r.pairs[2].reverse);
  EXPECT_EQ(r.reverse_pairs, 2);
  EXPECT_EQ(r.train_rows, (Rows{0, 1, 2}));
  EXPECT_TRUE(r.any());
  EXPECT_TRUE(r.train_copies.empty());
}

TEST(Leaks, LettersOfEveryKind) {
  // N is N and nothing else, case is nothing, U is T, IUPAC codes have complements.
  EXPECT_TRUE(find_leaks(Texts{"ACNGT"}, Texts{"acngt"}).any());
  EXPECT_FALSE(find_leaks(Texts{"ACNGA"}, Texts{"ACCGA"}).any());
  EXPECT_FALSE(find_leaks(Texts{"ACUU"}, Texts{"ACTT"}).pairs[0].reverse);
  EXPECT_TRUE(find_leaks(Texts{"ACRN"}, Texts{"NYGT"}).pairs[0].reverse);
  EXPECT_FALSE(find_leaks(Texts{"ACGT"}, Texts{"ACGT"}).pairs[0].reverse);  // its own reverse
  EXPECT_TRUE(find_leaks(Texts{""}, Texts{""}).any());
  EXPECT_FALSE(find_leaks(Texts{}, Texts{"A"}).any());
  EXPECT_FALSE(find_leaks(Texts{"A"}, Texts{}).any());
}

TEST(Leaks, AllCopiesAreNamed) {
  const Texts train{"AAC", "GTT", "aac", "CCG", "CGG", "TTTT"};
  const Texts test{"GTT", "TTTT"};
  const std::vector<std::int32_t> labels{0, 0, 1, 2, 2, 0}, other{0, 1};
  const LeakReport r = find_leaks(train, test, labels, other);
  ASSERT_EQ(r.pairs.size(), 2u);
  EXPECT_EQ(r.pairs[0].train, 1);  // as it is, rather than row 0 reversed
  EXPECT_FALSE(r.pairs[0].reverse);
  EXPECT_TRUE(r.pairs[0].same_label);
  EXPECT_FALSE(r.pairs[1].same_label);
  EXPECT_EQ(r.label_conflicts, 1);
  EXPECT_EQ(r.train_rows, (Rows{0, 1, 2, 5}));
  EXPECT_EQ(r.train_copies, (Rows{1, 2, 4}));
  EXPECT_EQ(r.train_conflicts, (Rows{0, 1, 2}));
  EXPECT_EQ(twin_groups(train), (Rows{0, 0, 0, 3, 3, 5}));
  EXPECT_THROW(find_leaks(train, test, other, other), Error);
}

TEST(Leaks, AgreesWithComparingAllPairs) {
  RandomStream random(1, 0);
  std::vector<std::string> texts;
  for (int i = 0; i < 400; ++i) {
    std::string s;
    for (int c = 0; c < 4; ++c) s += "ACGTNacgtn"[random.below(10)];
    texts.push_back(s);
  }
  const auto upper = [](std::string s) {
    for (char& c : s) c = static_cast<char>(std::toupper(c));
    return s;
  };
  const Texts train(texts.begin(), texts.begin() + 200), test(texts.begin() + 200, texts.end());
  const LeakReport r = find_leaks(train, test);
  std::size_t pairs = 0;
  Index reversed = 0;
  std::vector<bool> drop(200, false);
  for (const std::string_view t : test) {
    bool forward = false, reverse = false;
    for (std::size_t i = 0; i < 200; ++i) {
      const std::string a = upper(std::string(t)), b = upper(texts[i]);
      const bool f = a == b, rc = a == reverse_complement(b);
      forward = forward || f;
      reverse = reverse || rc;
      if (f || rc) drop[i] = true;
    }
    pairs += forward || reverse ? 1 : 0;
    reversed += !forward && reverse ? 1 : 0;
  }
  EXPECT_EQ(r.pairs.size(), pairs);
  EXPECT_EQ(r.reverse_pairs, reversed);
  Rows want;
  for (std::size_t i = 0; i < 200; ++i) {
    if (drop[i]) want.push_back(static_cast<Index>(i));
  }
  EXPECT_EQ(r.train_rows, want);
}

}  // namespace
}  // namespace genossm::testing
