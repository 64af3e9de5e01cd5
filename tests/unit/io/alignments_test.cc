#include <cstdlib>

#include "libgenossm/io/hts.h"
#include "tests/unit/io/files.h"

namespace genossm::testing {
namespace {

constexpr const char* kHeader = "@HD\tVN:1.6\n@SQ\tSN:chr1\tLN:1000\n";

Contents sam(const std::string& lines, const std::string& header = kHeader) {
  const TemporaryFolder folder;
  return read_all(folder.write("a.sam", header + lines));
}

std::string line(const std::string& name, int flag, const std::string& bases,
                 const std::string& place = "chr1\t10\t60") {
  const std::string cigar = bases == "*" ? "*" : std::to_string(bases.size()) + "M";
  return name + "\t" + std::to_string(flag) + "\t" + place + "\t" + cigar + "\t*\t0\t0\t" + bases +
         "\t*\n";
}

TEST(Alignments, SequencingOrientation) {
  const Contents all = sam(line("forward", 0, "AACGTN") + line("reverse", 16, "AACGTN") +
                           line("codes", 16, "RYKMBVDHSWN") + line("mate", 147, "AAAC"));
  EXPECT_EQ(all.format, "SAM");
  ASSERT_EQ(all.records.size(), 4u);
  EXPECT_EQ(all.records[0].name, "forward");
  EXPECT_EQ(all.records[0].bases, "AACGTN");
  EXPECT_EQ(all.records[1].bases, "NACGTT");
  EXPECT_EQ(all.records[2].bases, "NWSDHBVKMRY");
  EXPECT_EQ(all.records[3].bases, "GTTT");
  EXPECT_EQ(all.tally.ambiguous, 13);
  EXPECT_TRUE(all.tally.warnings.empty()) << warnings_of(all.tally);
}

TEST(Alignments, SkippedAndCounted) {
  const Contents all = sam(line("a", 0, "ACGT") + line("a", 256, "ACGT") + line("a", 2048, "AC") +
                           line("b", 0, "*") + line("c", 4, "TTT", "*\t0\t0") +
                           line("d", 1024, "GG") + line("e", 512, "CC"));
  ASSERT_EQ(all.records.size(), 4u);
  EXPECT_EQ(all.records[1].name, "c");
  EXPECT_EQ(all.tally.records, 4);
  EXPECT_EQ(all.tally.bases, 11);
  EXPECT_EQ(all.tally.skipped_secondary, 1);
  EXPECT_EQ(all.tally.skipped_supplementary, 1);
  EXPECT_EQ(all.tally.skipped_no_sequence, 1);
}

TEST(Alignments, Oddities) {
  EXPECT_NE(warnings_of(sam(line("a", 0, "AC=T")).tally).find("read as N (1)"), std::string::npos);
  EXPECT_EQ(sam(line("a", 0, "AC=T")).records[0].bases, "ACNT");
  // BAM has no code for U, nor for case; htslib reads SAM as if it were BAM.
  EXPECT_EQ(sam(line("a", 0, "acgtu")).records[0].bases, "ACGTN");
  const Contents past = sam(line("a", 0, "ACGT", "chr1\t998\t60"));
  EXPECT_EQ(past.records[0].bases, "ACGT");
  EXPECT_NE(warnings_of(past.tally).find("past the end"), std::string::npos);
  EXPECT_NE(warnings_of(sam("").tally).find("holds no alignments"), std::string::npos);
  const TemporaryFolder folder;
  // Without a header, and with the line ends of another system.
  EXPECT_EQ(read_all(folder.write("b.sam", line("a", 4, "ACGT", "*\t0\t0"))).records.size(), 1u);
  EXPECT_EQ(read_all(folder.write("c.sam", "@HD\tVN:1.6\r\na\t4\t*\t0\t0\t*\t*\t0\t0\tAC\tII\r\n"))
                .records.at(0)
                .bases,
            "AC");
}

TEST(Alignments, RefusedWithTheirLine) {
  expect_refusal(Fault::input, {"a.sam:4", "SAM"},
                 [] { sam(line("a", 0, "ACGT") + "b\t0\tchr1\t5\n"); });
  expect_refusal(Fault::input, {"a.sam:3"},
                 [] { sam("a\t0\tchr1\t5\t60\t4M\t*\t0\t0\tACGT\tIII\n"); });
}

TEST(Alignments, CompressedText) {
  const TemporaryFolder folder;
  const std::string text = kHeader + line("a", 0, "ACGT") + line("b", 16, "ACG");
  for (const std::string& bytes : {gzip(text), bgzip(text, 20)}) {
    const Contents all = read_all(folder.write("a.sam.gz", bytes));
    ASSERT_EQ(all.records.size(), 2u);
    EXPECT_EQ(all.records[1].bases, "CGT");
  }
  expect_refusal(Fault::input, {"truncated", "end-of-file block"},
                 [&] { read_all(folder.write("a.sam.gz", bgzip(text, 20, false))); });
}

// The reference of a CRAM comes from -f or from the file itself: neither the look-up by checksum
// nor the address in the header is followed.
TEST(Alignments, ReferencesAreNotLookedUp) {
  if (!has_shared_data()) GTEST_SKIP() << "the larger real data are not here";
  const auto good = shared_data() / "io" / "good";
  const TemporaryFolder folder;
  const std::string cram = folder.copy(good / "mpileup.1.cram");
  const std::string reference = folder.copy(good / "mpileup.ref.fa");

  HtsFileHandle file(hts_open(cram.c_str(), "r"));
  ASSERT_TRUE(file);
  const HeaderHandle header(sam_hdr_read(file.get()));
  ASSERT_TRUE(header);
  kstring_t sum = KS_INITIALIZE;
  ASSERT_EQ(sam_hdr_find_tag_pos(header.get(), "SQ", 0, "M5", &sum), 0);
  // A look-up that would succeed, if there were one.
  std::string bases;
  for (const Record& record : read_all(reference).records) bases += record.bases;
  folder.write(ks_str(&sum), bases);
  ks_free(&sum);
  ::setenv("REF_PATH", (folder.path().string() + "/%s").c_str(), 1);
  ::setenv("REF_CACHE", (folder.path().string() + "/%s").c_str(), 1);
  expect_refusal(Fault::input, {"mpileup.1.cram", "give it by -f"}, [&] { read_all(cram); });
  const AlignmentHandle alignment(bam_init1());
  EXPECT_GE(sam_read1(file.get(), header.get(), alignment.get()), 0)
      << "htslib itself should have found the reference, else this test shows nothing";

  EXPECT_EQ(read_all(cram, {reference}).records.size(), 569u);
  forbid_reference_downloads();
  EXPECT_STREQ(std::getenv("REF_PATH"), "/dev/null/%s");
  EXPECT_EQ(read_all(cram, {reference}).records.size(), 569u);
  ::unsetenv("REF_PATH");
  ::unsetenv("REF_CACHE");
}

TEST(Alignments, TheWrongReference) {
  if (!has_shared_data()) GTEST_SKIP() << "the larger real data are not here";
  const auto good = shared_data() / "io" / "good";
  const TemporaryFolder folder;
  const std::string cram = folder.copy(good / "mpileup.1.cram");
  const std::string other = folder.copy(good / "lambda.fa");
  expect_refusal(Fault::input, {"is not its reference"}, [&] { read_all(cram, {other}); });
  std::string changed = slurp(good / "mpileup.ref.fa");
  changed[changed.size() / 2] = changed[changed.size() / 2] == 'A' ? 'C' : 'A';
  const std::string same_name = folder.write("changed.fa", changed);
  expect_refusal(Fault::input, {"is not its reference"}, [&] { read_all(cram, {same_name}); });
  expect_refusal(Fault::missing, {"nothing.fa"},
                 [&] { read_all(cram, {(folder.path() / "nothing.fa").string()}); });
}

// An index that does not fit is not used, and nothing is left in the temporary folder.
TEST(Alignments, AReferenceWithAForeignIndex) {
  if (!has_shared_data()) GTEST_SKIP() << "the larger real data are not here";
  const auto good = shared_data() / "io" / "good";
  const TemporaryFolder folder, scratch;
  const std::string cram = folder.copy(good / "mpileup.1.cram");
  const Contents want =
      read_all(cram, {folder.copy(good / "mpileup.ref.fa"), scratch.path().string()});
  const std::string fai = folder.write("mpileup.ref.fa.fai", "17\t100\t3\t10\t11\n");
  const Contents got =
      read_all(cram, {(folder.path() / "mpileup.ref.fa").string(), scratch.path().string()});
  EXPECT_TRUE(same_records(got.records, want.records));
  EXPECT_NE(warnings_of(got.tally).find("does not fit"), std::string::npos);
  EXPECT_EQ(slurp(fai), "17\t100\t3\t10\t11\n");
  EXPECT_TRUE(std::filesystem::is_empty(scratch.path()));
  const std::string zipped = folder.write("ref.fa.gz", bgzip(slurp(good / "mpileup.ref.fa"), 1000));
  EXPECT_TRUE(
      same_records(read_all(cram, {zipped, scratch.path().string()}).records, want.records));
  EXPECT_TRUE(std::filesystem::is_empty(scratch.path()));
}

}  // namespace
}  // namespace genossm::testing
