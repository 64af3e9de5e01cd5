#include "libgenossm/io/alleles.h"

#include <gtest/gtest.h>

#include "tests/unit/io/files.h"

namespace genossm::testing {
namespace {

TEST(Alleles, Kinds) {
  const std::vector<std::pair<const char*, AlleleKind>> cases{
      {"A", AlleleKind::dna},
      {"acgtu", AlleleKind::dna},
      {"<DEL>", AlleleKind::symbolic},
      {"<*>", AlleleKind::symbolic},
      {"G]17:198982]", AlleleKind::breakend},
      {"[c:5[A", AlleleKind::breakend},
      {".A", AlleleKind::breakend},
      {"A.", AlleleKind::breakend},
      {"*", AlleleKind::star},
      {".", AlleleKind::missing},
      {"", AlleleKind::missing},
      {"AN", AlleleKind::ambiguous},
      {"r", AlleleKind::ambiguous},
      {"I", AlleleKind::other},
      {"A T", AlleleKind::other},
      {"C,A", AlleleKind::other},
      {"A\x01", AlleleKind::other},
      {"<DEL", AlleleKind::other}};
  for (const auto& [allele, kind] : cases) EXPECT_EQ(kind_of_allele(allele), kind) << allele;
}

void expect_change(Index at, const char* ref, const char* alt, Index to, const char* r,
                   const char* a) {
  const Change change = smallest_change(at, ref, alt);
  EXPECT_EQ(change.at, to) << ref << ' ' << alt;
  EXPECT_EQ(change.ref, r) << ref << ' ' << alt;
  EXPECT_EQ(change.alt, a) << ref << ' ' << alt;
}

TEST(Alleles, SmallestChange) {
  expect_change(9, "A", "C", 9, "A", "C");
  expect_change(9, "a", "u", 9, "A", "T");
  expect_change(9, "AT", "AC", 10, "T", "C");
  expect_change(9, "CA", "TA", 9, "C", "T");
  expect_change(9, "T", "TAA", 10, "", "AA");
  expect_change(9, "TAA", "T", 10, "AA", "");
  // In a repeat the change stays as far left as it was written.
  expect_change(9, "CAAA", "CAA", 10, "A", "");
  expect_change(9, "AAA", "AAAA", 9, "", "A");
  expect_change(9, "ACG", "ATTG", 10, "C", "TT");
  expect_change(9, "AC", "AC", 9, "", "");
}

TEST(Alleles, ContigsUnderOtherNames) {
  const TemporaryFolder folder;
  const Genome genome = Genome::open(folder.write("g.fa", ">1\nA\n>chr2\nA\n>chrM\nA\n"));
  EXPECT_EQ(find_contig(genome, "1"), "1");
  EXPECT_EQ(find_contig(genome, "chr1"), "1");
  EXPECT_EQ(find_contig(genome, "2"), "chr2");
  EXPECT_EQ(find_contig(genome, "MT"), "chrM");
  EXPECT_EQ(find_contig(genome, "3"), std::nullopt);
}

}  // namespace
}  // namespace genossm::testing
