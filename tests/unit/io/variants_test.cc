#include "libgenossm/io/variants.h"

#include <gtest/gtest.h>

#include "tests/unit/io/files.h"

namespace genossm::testing {
namespace {

constexpr const char* kHead =
    "##fileformat=VCFv4.2\n##contig=<ID=c>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n";

std::vector<VariantRecord> read_all(const std::string& path) {
  const auto reader = VariantReader::open(path);
  std::vector<VariantRecord> records;
  for (VariantRecord record; reader->next(record); record = VariantRecord()) {
    records.push_back(std::move(record));
  }
  return records;
}

// The exit code and sentence of the error that reading ends with.
std::pair<int, std::string> refusal(const std::string& path) {
  try {
    read_all(path);
  } catch (const Error& error) {
    return {exit_code(error.fault()), error.what()};
  }
  return {0, ""};
}

TEST(Variants, Vcf) {
  const TemporaryFolder folder;
  const std::string line = "c\t10\trs1\tA\tC,<DEL>\t1.50\tPASS\tAF=0.500;P=1e-300";
  const auto records =
      read_all(folder.write("v.vcf", kHead + line + "\r\nc\t1\t.\tG\t.\t.\t.\t.\n"));
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].contig, "c");
  EXPECT_EQ(records[0].at, 9);
  EXPECT_EQ(records[0].ref, "A");
  EXPECT_EQ(records[0].alts, (std::vector<std::string>{"C", "<DEL>"}));
  EXPECT_EQ(records[0].line, line);
  EXPECT_EQ(records[0].number, 4);
  EXPECT_EQ(records[0].place(), "c:10");
  EXPECT_TRUE(records[1].alts.empty());
}

TEST(Variants, HeaderLinesAreKeptAsTheyStand) {
  const TemporaryFolder folder;
  const auto reader =
      VariantReader::open(folder.write("v.vcf",
                                       "##fileformat=VCFv4.3\n##odd\n##x=<ID=y>\n"
                                       "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"));
  EXPECT_EQ(reader->header().lines.size(), 4u);
  EXPECT_EQ(reader->header().lines[1], "##odd");
  EXPECT_EQ(reader->warnings().size(), 1u);
}

TEST(Variants, Table) {
  const TemporaryFolder folder;
  const auto records = read_all(
      folder.write("v.tsv", "#note\tALT\tRef\tPOS\tChr\nx\tC,G\tA\t7\tchr1\n\ny\t.\tT\t8\tchr1"));
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].contig, "chr1");
  EXPECT_EQ(records[0].at, 6);
  EXPECT_EQ(records[0].alts, (std::vector<std::string>{"C", "G"}));
  EXPECT_TRUE(records[1].alts.empty());
}

TEST(Variants, Refused) {
  const TemporaryFolder folder;
  const std::string head = kHead;
  const std::vector<std::pair<std::string, std::string>> cases{
      {head + "c\t10\t.\tA\tC\t.\t.\t.", ":4: the last line has no end"},
      {head + "c\t10\t.\tA\tC\t.\t.\n", ":4: has 7 columns, want 8"},
      {head + "c\tten\t.\tA\tC\t.\t.\t.\n", ":4: POS is 'ten'"},
      {head + "c\t10\t.\tA\tC\tx\t.\t.\n", ":4: QUAL is 'x'"},
      {head + "\n", ":4: is empty"},
      {"##fileformat=VCFv4.2\n", "no line of columns"},
      {"##fileformat=VCFv4.2\nc\t10\n", ":2: no line of columns"},
      {"##fileformat=\n" + head, "not ##fileformat=VCF"},
      {head.substr(head.find("#CHROM")), "not ##fileformat=VCF"},
      {"chrom\tpos\tref\nc\t1\tA\n", "does not name the columns"},
      {"chrom\tpos\tref\talt\nc\t1\tA\n", ":2: has 3 columns"},
      {">c\nACGT\n", "holds sequences"},
      {"\n", "is empty"}};
  for (const auto& [text, says] : cases) {
    const auto [code, sentence] = refusal(folder.write("bad", text));
    EXPECT_EQ(code, 3) << text;
    EXPECT_NE(sentence.find(says), std::string::npos) << sentence;
  }
  EXPECT_EQ(refusal((folder.path() / "none").string()).first, 4);
}

}  // namespace
}  // namespace genossm::testing
