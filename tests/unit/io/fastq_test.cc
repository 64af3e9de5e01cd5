#include "tests/unit/io/files.h"

namespace genossm::testing {
namespace {

Contents fastq(std::string_view text) {
  const TemporaryFolder folder;
  return read_all(folder.write("a.fq", text));
}

void refused(std::string_view text, const std::vector<std::string>& words) {
  expect_refusal(Fault::input, words, [&] { fastq(text); });
}

TEST(Fastq, Records) {
  const Contents all = fastq("@one a b\nACGT\n+\n!~I@\n@two\nAC\n+two\n@@\n");
  EXPECT_EQ(all.format, "FASTQ");
  ASSERT_EQ(all.records.size(), 2u);
  EXPECT_EQ(all.records[0].name, "one");
  EXPECT_EQ(all.records[0].comment, "a b");
  EXPECT_EQ(all.records[0].bases, "ACGT");
  EXPECT_EQ(all.records[1].bases, "AC");
  EXPECT_EQ(all.tally.bases, 6);
  EXPECT_TRUE(all.tally.warnings.empty()) << warnings_of(all.tally);
}

TEST(Fastq, FormsOfOneThing) {
  const Contents want = fastq("@a x\nACGTAC\n+\nIIIIII\n@b\nGG\n+\n@I\n");
  for (const char* text : {"@a x\nACGT\nAC\n+a x\nII\nIIII\n@b\nGG\n+\n@I",
                           "\n@a x\nACGTAC\n+\n"
                           "IIIIII\n\n@b\nGG\n+b\n@I\n\n\n",
                           "@a x\r\nACGTAC\r\n+\r\nIIIIII\r\n@b\r\nGG\r\n+\r\n@I\r\n",
                           "@a x\rACGTAC\r+\rIIIIII\r@b\rGG\r+\r@I\r",
                           "@a x\nACGTAC\n+\n@II\n+II\n@b\nG\nG\n+\n@\n+\n"}) {
    EXPECT_TRUE(same_records(fastq(text).records, want.records)) << text;
  }
}

TEST(Fastq, EmptyReads) {
  for (const char* text : {"@a\n\n+\n\n@b\nA\n+\nI\n", "@a\n+\n@b\nA\n+\nI\n"}) {
    const Contents all = fastq(text);
    ASSERT_EQ(all.records.size(), 2u) << text;
    EXPECT_EQ(all.records[0].bases, "");
    EXPECT_EQ(all.tally.empty_records, 1);
  }
  EXPECT_EQ(fastq("@a\n\n+\n").records.size(), 1u);
}

TEST(Fastq, Names) {
  EXPECT_EQ(fastq("@a\nA\n+\nI\n@b\nA\n+\nI\n@a\nA\n+\nI\n").tally.duplicate_names, 1);
  // The mates of a pair, one after the other.
  EXPECT_EQ(fastq("@a\nA\n+\nI\n@a\nC\n+\nI\n@b\nA\n+\nI\n@b\nC\n+\nI\n").tally.duplicate_names, 0);
  EXPECT_EQ(fastq("@a\nA\n+\nI\n@a\nC\n+\nI\n@a\nA\n+\nI\n").tally.duplicate_names, 1);
}

TEST(Fastq, Refused) {
  refused("@a\nACGT\n+\nIII\n@b\nA\n+\nI\n", {"a.fq:5", "record 1", "'a'", "4"});
  refused("@a\nACGT\n+\nIIIII\n", {"a.fq:4", "record 1"});
  refused("@a\nACGT\n+\nII\n\nII\n", {"a.fq:5", "2 quality characters, want 4"});
  refused("@a\nACGT\n+b\nIIII\n", {"a.fq:3", "'b'"});
  refused("@a\nACGT\n@b\nACGT\n+\nIIII\n", {"a.fq:3", "'+' line"});
  refused("@a\nACGT\n+\nIIII\n>b\nACGT\n", {"a.fq:5", "'>'", "record 2"});
  refused("@a\nAC GT\n+\nIII I\n", {"a.fq:2", "a space"});
  refused("@a\nACGT\n+\nII I\n", {"a.fq@12", "a space", "quality"});
  refused("@a\nACGT\n+\nII\x7fI\n", {"a.fq@12", "0x7f"});
  refused(std::string("@a\nACGT\n+\nII\0I\n", 15), {"a.fq@12", "NUL"});
  refused("@a\nAC1T\n+\nIIII\n", {"a.fq:2", "'1'"});
}

// Cut anywhere, a record is either whole or an error.
TEST(Fastq, CutAnywhere) {
  const std::string text = "@a x\nACGT\n+a x\nI@+I\n@b\nACG\n+\n@@@\n";
  const Contents whole = fastq(text);
  for (std::size_t n = 1; n < text.size(); ++n) {
    const TemporaryFolder folder;
    const std::string path = folder.write("a.fq", text.substr(0, n));
    std::optional<Contents> got;
    const auto error = refusal([&] { got = read_all(path); });
    if (error) {
      EXPECT_EQ(error->fault, Fault::input) << n;
    } else {
      const bool one = n == 19 || n == 20, two = n + 1 == text.size();
      EXPECT_TRUE(one || two) << "cut at " << n;
      ASSERT_EQ(got->records.size(), one ? 1u : 2u) << n;
      for (std::size_t i = 0; i < got->records.size(); ++i) {
        EXPECT_EQ(got->records[i].bases, whole.records[i].bases);
      }
    }
  }
}

}  // namespace
}  // namespace genossm::testing
