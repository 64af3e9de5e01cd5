#include "libgenossm/io/genome.h"
#include "tests/unit/io/files.h"

namespace genossm::testing {
namespace {

class Regions : public ::testing::Test {
 protected:
  std::vector<std::string> parse(std::string_view text, bool clip = false) const {
    std::vector<std::string> out;
    for (const Region& r : parse_regions(text, genome_, clip)) {
      EXPECT_EQ(r.name, r.contig + ":" + std::to_string(r.begin + 1) + "-" + std::to_string(r.end));
      out.push_back(r.contig + " " + std::to_string(r.begin) + " " + std::to_string(r.end));
    }
    return out;
  }
  void refused(Fault fault, std::string_view text, const std::vector<std::string>& words) const {
    expect_refusal(fault, words, [&] { parse(text); });
  }

  TemporaryFolder folder_;
  Genome genome_ = Genome::open(folder_.write(
      "a.fa", ">chr1\n" + std::string(1500, 'A') + "\n>a:b\nACGTACGTAC\n>a\nACGTAC\n>x,y\nACGT\n" +
                  ">HLA-A*01:01\nACGTACGT\n>a:b:2\nAC\n>none\n>20\nACGT\n"));
};

using List = std::vector<std::string>;

TEST_F(Regions, Forms) {
  EXPECT_EQ(parse("chr1"), List{"chr1 0 1500"});
  EXPECT_EQ(parse("chr1:5"), List{"chr1 4 1500"});
  EXPECT_EQ(parse("chr1:5-"), List{"chr1 4 1500"});
  EXPECT_EQ(parse("chr1:-10"), List{"chr1 0 10"});
  EXPECT_EQ(parse("chr1:5-10"), List{"chr1 4 10"});
  EXPECT_EQ(parse("chr1:5-5"), List{"chr1 4 5"});
  EXPECT_EQ(parse("chr1:1,001-1,500"), List{"chr1 1000 1500"});
  EXPECT_EQ(parse("none"), List{"none 0 0"});
}

TEST_F(Regions, NamesWithColonsAndCommas) {
  EXPECT_EQ(parse("a:b"), List{"a:b 0 10"});
  EXPECT_EQ(parse("a:b:3-4"), List{"a:b 2 4"});
  EXPECT_EQ(parse("a:2-3"), List{"a 1 3"});
  EXPECT_EQ(parse("a:b:2"), List{"a:b:2 0 2"});  // a whole name wins
  EXPECT_EQ(parse("{a:b}:2"), List{"a:b 1 10"});
  EXPECT_EQ(parse("{a:b}"), List{"a:b 0 10"});
  EXPECT_EQ(parse("HLA-A*01:01"), List{"HLA-A*01:01 0 8"});
  EXPECT_EQ(parse("HLA-A*01:01:2-3"), List{"HLA-A*01:01 1 3"});
  EXPECT_EQ(parse("x,y"), List{"x,y 0 4"});
  EXPECT_EQ(parse("x,y:2-3"), List{"x,y 1 3"});
}

TEST_F(Regions, Lists) {
  EXPECT_EQ(parse("chr1:5-10,a:2-3,x,y,20"), (List{"chr1 4 10", "a 1 3", "x,y 0 4", "20 0 4"}));
  EXPECT_EQ(parse("chr1:1,001-1,500,a"), (List{"chr1 1000 1500", "a 0 6"}));
  EXPECT_EQ(parse("a,chr1:1,001"), (List{"a 0 6", "chr1 1000 1500"}));
  EXPECT_EQ(parse("a,20"), (List{"a 0 6", "20 0 4"}));
  std::string many;
  List want;
  for (int i = 1; i <= 1000; ++i) {
    if (i > 1) many += ',';
    many.append("chr1:").append(std::to_string(i)).append("-").append(std::to_string(i + 9));
    want.push_back("chr1 " + std::to_string(i - 1) + " " + std::to_string(i + 9));
  }
  EXPECT_EQ(parse(many), want);
}

TEST_F(Regions, Refused) {
  refused(Fault::input, "chr2", {"chr2", "no contig"});
  refused(Fault::input, "chr2:1-5", {"'chr2'", "no contig"});
  refused(Fault::input, "1:1-5", {"'1'", "it has 'chr1'"});
  refused(Fault::input, "chr20", {"it has '20'"});
  refused(Fault::input, "{a:c}:1", {"'a:c'"});
  refused(Fault::input, "chr1:1-1501", {"outside 'chr1'", "1500", "--clip"});
  refused(Fault::input, "chr1:1501", {"outside"});
  refused(Fault::input, "none:1-1", {"outside"});
  refused(Fault::usage, "chr1:0-5", {"begins at 0"});
  refused(Fault::usage, "chr1:7-5", {"after its end 5"});
  refused(Fault::usage, "chr1:x", {"no range"});
  refused(Fault::usage, "chr1:", {"no range"});
  refused(Fault::usage, "chr1:-", {"no range"});
  refused(Fault::usage, "chr1:5-6-7", {"no range"});
  refused(Fault::usage, "chr1:99999999999999999999", {"no range"});
  refused(Fault::usage, "{chr1:5", {"brace"});
  refused(Fault::usage, "{chr1}5", {"no range"});
  refused(Fault::usage, "", {"want CONTIG"});
  refused(Fault::usage, "chr1,", {"want CONTIG"});
  refused(Fault::usage, "chr1,,a", {"want CONTIG"});
  refused(Fault::input, "chr1:10,00", {"'00'"});  // not a number: two regions
}

TEST_F(Regions, Clipped) {
  EXPECT_EQ(parse("chr1:1-2000", true), List{"chr1 0 1500"});
  EXPECT_EQ(parse("chr1:1500-1501", true), List{"chr1 1499 1500"});
  EXPECT_EQ(parse("chr1:1600-1700", true), List{"chr1 1500 1500"});
  EXPECT_EQ(parse("chr1:1600-", true), List{"chr1 1500 1500"});
}

class Bed : public Regions {
 protected:
  std::vector<std::string> bed(std::string_view text, bool clip = false) const {
    std::vector<std::string> out;
    for (const Region& r : read_bed(folder_.write("r.bed", text), genome_, clip)) {
      out.push_back(r.contig + " " + std::to_string(r.begin) + " " + std::to_string(r.end) + " " +
                    r.name);
    }
    return out;
  }
  void bed_refused(std::string_view text, const std::vector<std::string>& words) const {
    expect_refusal(Fault::input, words, [&] { bed(text); });
  }
};

TEST_F(Bed, Lines) {
  const List want = {"chr1 0 10 peak 1", "a:b 2 5 a:b:3-5", "20 0 4 20:1-4", "a 3 3 a:4-3"};
  const std::string text =
      "# comment\nbrowser position chr1\ntrack name=\"x\"\n\nchr1\t0\t10\tpeak 1\t0\t+\na:b\t2\t5\n"
      "20\t0\t4\t.\na\t3\t3\n";
  EXPECT_EQ(bed(text), want);
  EXPECT_EQ(bed(gzip(text)), want);
  EXPECT_EQ(bed(bgzip(text, 30)), want);
  EXPECT_EQ(bed("chr1 0   10 peak\n"), List{"chr1 0 10 peak"});
  EXPECT_EQ(bed("chr1\t0\t10\r\n"), List{"chr1 0 10 chr1:1-10"});
  EXPECT_EQ(bed("chr1\t0\t10"), List{"chr1 0 10 chr1:1-10"});
}

TEST_F(Bed, Refused) {
  const std::string good = "chr1\t0\t10\n";
  bed_refused(good + "chr1\t10\t5\n", {"r.bed:2: ", "after the end 5"});
  bed_refused(good + "chr1\t-1\t5\n", {"r.bed:2: ", "'-1'"});
  bed_refused(good + "chr1\t1.5\t5\n", {"r.bed:2: ", "'1.5'"});
  bed_refused(good + "chr1\t5\t99999999999999999999\n", {"r.bed:2: "});
  bed_refused(good + "chr1\t5\n", {"r.bed:2: ", "three columns"});
  bed_refused(good + "chr1\t\t5\n", {"r.bed:2: ", "three columns"});
  bed_refused(good + "chr7\t5\t6\n", {"r.bed:2: ", "no contig 'chr7'"});
  bed_refused(good + "chr1\t5\t1600\n", {"r.bed:2: ", "outside 'chr1'", "1500"});
  bed_refused(good + "chr1\t5\t1501\n", {"r.bed:2: ", "counted from 1"});
  bed_refused("# nothing\n", {"no regions"});
  bed_refused("", {"no regions"});
  bed_refused(std::string("chr1\t0\t1\0\n", 11), {"r.bed:1: ", "NUL"});
  bed_refused(gzip(good).substr(0, 25), {"truncated"});
  expect_refusal(Fault::missing, {"nothing.bed"},
                 [&] { read_bed((folder_.path() / "nothing.bed").string(), genome_, false); });
}

TEST_F(Bed, Clipped) {
  EXPECT_EQ(bed("chr1\t1400\t1600\tx\nchr1\t1600\t1700\ty\n", true),
            (List{"chr1 1400 1500 x", "chr1 1500 1500 y"}));
}

}  // namespace
}  // namespace genossm::testing
