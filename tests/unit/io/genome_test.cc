#include "libgenossm/io/genome.h"

#include <chrono>
#include <thread>

#include "tests/unit/io/files.h"

namespace genossm::testing {
namespace {

namespace fs = std::filesystem;

constexpr const char* kText =
    ">one first\nACGTN\nacgtR\nTT\n>two\nGGG\n>empty\n>three x\nAAAAAAA\n";

TEST(Genome, ContigsAndBases) {
  const TemporaryFolder folder;
  for (const auto& [name, bytes] :
       {std::pair<std::string, std::string>{"a.fa", kText}, {"a.fa.gz", bgzip(kText, 9)}}) {
    const Genome genome = Genome::open(folder.write(name, bytes));
    EXPECT_EQ(genome.contigs(), (std::vector<std::string>{"one", "two", "empty", "three"}));
    EXPECT_EQ(genome.length("one"), 12);
    EXPECT_EQ(genome.length("empty"), 0);
    EXPECT_TRUE(genome.has("two"));
    EXPECT_FALSE(genome.has("four"));
    const std::string one = "ACGTNacgtRTT";
    for (Index begin = 0; begin <= 12; ++begin) {
      for (Index end = begin; end <= 12; ++end) {
        EXPECT_EQ(
            genome.fetch("one", begin, end),
            one.substr(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin)));
      }
    }
    EXPECT_EQ(genome.fetch("two", 0, 3), "GGG");
    EXPECT_EQ(genome.fetch("empty", 0, 0), "");
    EXPECT_EQ(genome.fetch("three", 3, 7), "AAAA");
    EXPECT_TRUE(genome.warnings().empty());
    expect_refusal(Fault::input, {"four"}, [&] { genome.fetch("four", 0, 1); });
    expect_refusal(Fault::input, {"two", "3"}, [&] { genome.fetch("two", 0, 4); });
    expect_refusal(Fault::input, {"two"}, [&] { genome.fetch("two", -1, 2); });
    expect_refusal(Fault::input, {"two"}, [&] { genome.fetch("two", 2, 1); });
  }
}

TEST(Genome, EndsOfLines) {
  for (const char* text :
       {">a\nACGT\nACGT\n>b\nTT\n", ">a\r\nACGT\r\nACGT\r\n>b\r\nTT\r\n", ">a\nACGT\nACGT\n>b\nTT",
        ">a\nACGT\nACGT\n\n>b\nTT\n\n\n", ">a\r\nACGT\r\nACGT\r\n>b\r\nTT",
        "\xef\xbb\xbf>a\nACGT\nACGT\n>b\nTT\n", ">a\nACGTACGT\n>b\nTT\n"}) {
    const TemporaryFolder folder;
    const std::string path = folder.write("a.fa", text);
    for (const bool again : {false, true}) {
      const Genome genome = Genome::open(path);
      EXPECT_EQ(genome.fetch("a", 0, 8), "ACGTACGT") << text;
      EXPECT_EQ(genome.fetch("a", 3, 5), "TA") << text;
      EXPECT_EQ(genome.fetch("b", 0, 2), "TT") << text;
      EXPECT_TRUE(genome.warnings().empty()) << again << genome.warnings()[0];
    }
  }
}

TEST(Genome, NotIndexable) {
  const TemporaryFolder folder;
  const auto open = [&](std::string_view text) {
    return [path = folder.write("a.fa", text)] {
      std::error_code ignored;
      fs::remove(path + ".fai", ignored);
      Genome::open(path);
    };
  };
  expect_refusal(Fault::input, {":4: ", "differ in length"}, open(">a\nACGT\nAC\nACGT\n"));
  expect_refusal(Fault::input, {":3: ", "differ in length"}, open(">a\nACGT\nACGTA\n"));
  expect_refusal(Fault::input, {":4: ", "differ in length"}, open(">a\nACGT\n\nACGT\n"));
  expect_refusal(Fault::input, {":3: ", "differ in length"}, open(">a\n\nACGT\n"));
  expect_refusal(Fault::input, {":4: ", "differ in length"}, open(">a\nACGT\r\nACGT\nACGT\n"));
  expect_refusal(Fault::input, {":2: ", "a space"}, open(">a\nAC GT\n"));
  expect_refusal(Fault::input, {":2: ", "'1'"}, open(">a\nAC1GT\n"));
  expect_refusal(Fault::input, {"@5: ", "NUL"}, open(std::string_view(">a\nAC\0GT\n", 9)));
  expect_refusal(Fault::input, {"@5: ", "carriage return"}, open(">a\nAC\rGT\n"));
  expect_refusal(Fault::input, {"carriage return"}, open(">a\rACGT\r"));
  expect_refusal(Fault::input, {":3: ", "stands twice"}, open(">a x\nAC\n>a y\nGT\n"));
  expect_refusal(Fault::input, {":1: ", "no name"}, open(">\nAC\n"));
  expect_refusal(Fault::input, {":1: ", "begins with 'A'"}, open("ACGT\n"));
  expect_refusal(Fault::input, {"is empty"}, open(""));
  expect_refusal(Fault::input, {"is empty"}, open("\n\n"));
  expect_refusal(Fault::input, {"re-compress it with bgzip"}, open(gzip(kText)));
  EXPECT_FALSE(fs::exists(folder.path() / "a.fa.fai"));
  expect_refusal(Fault::missing, {"nothing.fa"},
                 [&] { Genome::open((folder.path() / "nothing.fa").string()); });
  expect_refusal(Fault::missing, {"folder"}, [&] { Genome::open(folder.path().string()); });
  expect_refusal(Fault::missing, {"standard input"}, [] { Genome::open("-"); });
}

TEST(Genome, TheIndexIsMadeOnceAndIsThatOfSamtools) {
  const TemporaryFolder folder;
  const std::string path = folder.write("a.fa.gz", bgzip(">one x\nACGT\nAC\n>two\nGG\n", 9));
  { const Genome genome = Genome::open(path); }
  // As samtools faidx 1.16 writes it.
  EXPECT_EQ(slurp(path + ".fai"), "one\t6\t7\t4\t5\ntwo\t2\t20\t2\t3\n");
  EXPECT_EQ(slurp(path + ".gzi").size(), 8u + 2 * 16);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()), 3);
  const auto made = fs::last_write_time(path + ".fai");
  EXPECT_EQ(Genome::open(path).fetch("two", 0, 2), "GG");
  EXPECT_EQ(fs::last_write_time(path + ".fai"), made);
}

TEST(Genome, IndicesThatDoNotFit) {
  using namespace std::chrono_literals;
  const TemporaryFolder folder;
  const std::string path = folder.write("a.fa", kText);
  const auto bases = [&](std::size_t warnings) {
    const Genome genome = Genome::open(path);
    EXPECT_EQ(genome.warnings().size(), warnings);
    return genome.fetch("one", 3, 8) + genome.fetch("three", 0, 2);
  };
  // Empty, of another file, contigs missing at the end, at the front, in between, too long,
  // unsorted.
  const std::vector<std::string> foreign = {
      "",
      "rubbish",
      "one\t12\t11\t5\n",
      "x\t100\t3\t10\t11\n",
      "one\t12\t11\t5\t6\n",
      "three\t7\t51\t7\t8\n",
      "one\t12\t11\t5\t6\ntwo\t3\t31\t3\t4\nempty\t0\t42\t0\t0\nthree\t9223372036854775807\t51\t7\t"
      "8\n",
      "two\t3\t31\t3\t4\none\t12\t11\t5\t6\nempty\t0\t42\t0\t0\nthree\t7\t51\t7\t8\n",
      "one\t12\t11\t5\t6\none\t12\t11\t5\t6\n",
      "one\t12\t11\t0\t6\n",
      "one\t12\t11\t5\t5\n",
      "one\t-12\t11\t5\t6\n",
      "one\t12\t1152921504606846976\t5\t6\n"};
  for (const std::string& index : foreign) {
    const std::string fai = folder.write("a.fa.fai", index);
    EXPECT_EQ(bases(1), "TNacgAA") << index;
    EXPECT_EQ(slurp(fai), index) << "the user's index is left alone";
  }
  const std::string fitting =
      "one\t12\t11\t5\t6\ntwo\t3\t31\t3\t4\nempty\t0\t42\t0\t0\nthree\t7\t51\t7\t8\n";
  const std::string fai = folder.write("a.fa.fai", fitting);
  EXPECT_EQ(bases(0), "TNacgAA");
  fs::last_write_time(fai, fs::last_write_time(path) - 1h);
  EXPECT_EQ(bases(1), "TNacgAA");
  EXPECT_NE(Genome::open(path).warnings()[0].find("older"), std::string::npos);
}

// An index that fits at both ends of the contig, and is wrong inside.
TEST(Genome, TheFileUnderAFittingIndexHasChanged) {
  const TemporaryFolder folder;
  const std::string path = folder.write("a.fa", ">a\nACGT\nACGT\nACGT\n");
  { const Genome genome = Genome::open(path); }
  folder.write("a.fa", ">a\nACGTA\nCG\nTACGT\n");
  const Genome genome = Genome::open(path);
  expect_refusal(Fault::input, {"a:5: ", ".fai"}, [&] { genome.fetch("a", 0, 12); });
  folder.write("a.fa", ">a\nACGT\nAXGT\nACGT\n");
  expect_refusal(Fault::input, {"a:6: ", "'X'"}, [&] { genome.fetch("a", 0, 12); });
  EXPECT_EQ(genome.fetch("a", 8, 12), "ACGT");
}

TEST(Genome, AFolderThatCannotBeWrittenTo) {
  // The name of the index is taken by a folder: nobody, not even the superuser, can write it.
  const TemporaryFolder folder;
  const std::string path = folder.write("a.fa", kText);
  fs::create_directory(path + ".fai");
  fs::create_directory(path + ".fai/x");
  EXPECT_EQ(Genome::open(path).fetch("two", 0, 3), "GGG");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()), 2);
}

// Lines, chunks of reading and blocks of compression fall out of step.
TEST(Genome, LongContigsFromManyThreads) {
  std::string bases;
  unsigned random = 1;
  for (int i = 0; i < 3'000'000; ++i) {
    random = random * 1664525u + 1013904223u;
    bases += "ACGT"[random >> 30];
  }
  std::string text = ">long\n";
  for (std::size_t i = 0; i < bases.size(); i += 61) text += bases.substr(i, 61) + "\n";
  const TemporaryFolder folder;
  for (const auto& [name, bytes] : {std::pair<std::string, std::string>{"a.fa", text},
                                    {"a.fa.gz", bgzip(text, 65280)},
                                    {"one_line.fa", ">long\n" + bases}}) {
    const Genome genome = Genome::open(folder.write(name, bytes));
    EXPECT_EQ(genome.fetch("long", 0, 3'000'000), bases);
    std::vector<std::thread> threads;
    std::vector<int> wrong(4);
    for (std::size_t t = 0; t < wrong.size(); ++t) {
      threads.emplace_back([&, t] {
        for (Index i = 0; i < 50; ++i) {
          const Index begin = (i * 59'999 + static_cast<Index>(t) * 7'777) % 2'900'000;
          const Index end = begin + 1 + i * 1'999;
          wrong[t] +=
              genome.fetch("long", begin, end) !=
              bases.substr(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(wrong, std::vector<int>(4)) << name;
  }
}

TEST(Genome, BeyondFourGigabytes) {
  // A file with a hole: the contig behind it lies beyond 2^32.
  const TemporaryFolder folder;
  const std::string path = folder.write("a.fa", ">a\nACGT\n");
  const Index far = (Index{1} << 32) + 5;
  {
    std::ofstream file(path, std::ios::binary | std::ios::in);
    file.seekp(far);
    file << "ACGTTTG\n";
  }
  const Index length = far + 7 - 3;
  folder.write("a.fa.fai", "a\t" + std::to_string(length) + "\t3\t" + std::to_string(length) +
                               "\t" + std::to_string(length + 1) + "\n");
  const Genome genome = Genome::open(path);
  EXPECT_TRUE(genome.warnings().empty());
  EXPECT_EQ(genome.length("a"), length);
  EXPECT_EQ(genome.fetch("a", length - 5, length), "GTTTG");
  expect_refusal(Fault::input, {"NUL"}, [&] { genome.fetch("a", length - 9, length); });
}

TEST(Genome, RealFiles) {
  const fs::path tiny = fs::path(GENOSSM_SOURCE_DIR) / "data/tiny/genomes.fa.gz";
  const TemporaryFolder folder;
  const std::string indexed = folder.copy(tiny);
  folder.copy(tiny.string() + ".fai");
  folder.copy(tiny.string() + ".gzi");
  const Genome genome = Genome::open(indexed);
  const Contents all = read_all(indexed);
  ASSERT_EQ(genome.contigs().size(), all.records.size());
  for (const Record& record : all.records) {
    EXPECT_EQ(genome.fetch(record.name, 0, genome.length(record.name)), record.bases);
  }
  fs::remove(indexed + ".fai");
  fs::remove(indexed + ".gzi");
  { const Genome made = Genome::open(indexed); }
  EXPECT_EQ(slurp(indexed + ".fai"), slurp(tiny.string() + ".fai"));
  EXPECT_EQ(slurp(indexed + ".gzi"), slurp(tiny.string() + ".gzi"));
}

}  // namespace
}  // namespace genossm::testing
