#include <fcntl.h>
#include <sys/stat.h>

#include <thread>

#include "tests/unit/io/files.h"

namespace genossm::testing {
namespace {

Contents fasta(std::string_view text) {
  const TemporaryFolder folder;
  return read_all(folder.write("a.fa", text));
}

void refused(std::string_view text, const std::vector<std::string>& words) {
  expect_refusal(Fault::input, words, [&] { fasta(text); });
}

TEST(Fasta, NamesCommentsAndLines) {
  const Contents all = fasta(">one first record\tof two\nACGT\nACG\n\n>two\nTT\nA");
  EXPECT_EQ(all.format, "FASTA");
  ASSERT_EQ(all.records.size(), 2u);
  EXPECT_EQ(all.records[0].name, "one");
  EXPECT_EQ(all.records[0].comment, "first record\tof two");
  EXPECT_EQ(all.records[0].bases, "ACGTACG");
  EXPECT_EQ(all.records[1].name, "two");
  EXPECT_EQ(all.records[1].comment, "");
  EXPECT_EQ(all.records[1].bases, "TTA");
  EXPECT_EQ(all.tally.records, 2);
  EXPECT_EQ(all.tally.bases, 10);
  EXPECT_TRUE(all.tally.warnings.empty()) << warnings_of(all.tally);
}

TEST(Fasta, EndsOfLines) {
  const Contents want = fasta(">a x\nACGT\nAC\n>b\nGG\n");
  for (const char* text :
       {">a x\r\nACGT\r\nAC\r\n>b\r\nGG\r\n", ">a x\rACGT\rAC\r>b\rGG\r",
        ">a x\r\nACGT\r\nAC\r\n>b\r\nGG\r", ">a x\rACGT\rAC\r>b\rGG", ">a x\nACGT\r\nAC\n>b\nGG",
        "\n\n>a x\n\nACGT\nAC\n\n\n>b\nGG\n\n", "\xef\xbb\xbf>a x\nACGT\nAC\n>b\nGG\n"}) {
    EXPECT_TRUE(same_records(fasta(text).records, want.records)) << text;
  }
  refused(">a\nAC\rGT\n", {"a.fa@5", "carriage return", "line 2"});
  refused(">a\rAC\nGT\r", {"line feed"});
}

// A CR LF that the end of the reader's buffer falls into, and a lone CR there.
TEST(Fasta, EndsOfLinesAtTheEndOfTheBuffer) {
  for (std::size_t length = 256 * 1024 - 8; length < 256 * 1024 + 4; ++length) {
    const std::string bases(length, 'C');
    const Contents all = fasta(">a\r\n" + bases + "\r\nACG\r\n");
    ASSERT_EQ(all.records.size(), 1u);
    EXPECT_EQ(all.records[0].bases, bases + "ACG") << length;
    refused(">a\n" + bases + "\rACG\n", {"carriage return"});
  }
}

TEST(Fasta, LettersAreKeptAndCounted) {
  const Contents all = fasta(">a\nacgtuACGTU\nnNrRyYsSwWkKmMbBdDhHvV\n");
  EXPECT_EQ(all.records[0].bases, "acgtuACGTUnNrRyYsSwWkKmMbBdDhHvV");
  EXPECT_EQ(all.tally.lower_case, 16);
  EXPECT_EQ(all.tally.ambiguous, 22);
  EXPECT_TRUE(all.tally.warnings.empty()) << warnings_of(all.tally);

  const Contents gaps = fasta(">a\nAC-GT..*\n");
  EXPECT_EQ(gaps.records[0].bases, "AC-GT..*");
  EXPECT_EQ(gaps.tally.ambiguous, 4);
  EXPECT_NE(warnings_of(gaps.tally).find("kept as unknown bases (4)"), std::string::npos);

  const Contents blanks = fasta(">a\nAC GT\tA \n");
  EXPECT_EQ(blanks.records[0].bases, "ACGTA");
  EXPECT_NE(warnings_of(blanks.tally).find("removed from sequence lines (3)"), std::string::npos);
}

TEST(Fasta, EveryOtherByteIsRefused) {
  for (int i = 0; i < 256; ++i) {
    const char c = static_cast<char>(i);
    if (std::string_view("ACGTUNRYSWKMBDHVacgtunryswkmbdhv-.* \t\r\n").find(c) !=
        std::string_view::npos) {
      continue;
    }
    std::string text = ">a\nACGT\nAC?GT\n";
    text[10] = c;
    const bool control = i < 32 || i == 127;
    refused(text, {control ? "a.fa@10" : "a.fa:3", control ? "line 3" : "no nucleotide code"});
  }
  refused(std::string(">a\nAC\0GT\n", 9), {"a.fa@5", "NUL"});
  refused(">a\nAC>GT\n", {"a.fa:2", "'>'"});
}

TEST(Fasta, HeadersThatCannotBe) {
  refused(">a\x01\nAC\n", {"a.fa:1", "header line"});
  refused(">a\xff\nAC\n", {"a.fa:1", "UTF-8"});
  refused(std::string(">a\nAC\n>").append(2 << 20, 'x').append("\nAC\n"), {"a.fa:3", "megabyte"});
  EXPECT_EQ(fasta(std::string(">").append(10000, 'x').append("\nAC\n")).records[0].name,
            std::string(10000, 'x'));
  EXPECT_EQ(fasta(">\xc3\xa9t\xc3\xa9\nAC\n").records[0].name, "\xc3\xa9t\xc3\xa9");
  EXPECT_EQ(fasta(">  a b\nAC\n").records[0].name, "a");
  const Contents unnamed = fasta(">\nAC\n");
  EXPECT_EQ(unnamed.records[0].name, "");
  EXPECT_NE(warnings_of(unnamed.tally).find("without a name"), std::string::npos);
}

TEST(Fasta, EmptyRecordsAndDuplicateNames) {
  const Contents all = fasta(">a\n>b\nAC\n>a\nG\n>c");
  ASSERT_EQ(all.records.size(), 4u);
  EXPECT_EQ(all.records[0].bases, "");
  EXPECT_EQ(all.records[2].name, "a");
  EXPECT_EQ(all.records[3].name, "c");
  EXPECT_EQ(all.tally.empty_records, 2);
  EXPECT_EQ(all.tally.duplicate_names, 1);
  EXPECT_NE(warnings_of(all.tally).find("duplicate names (1)"), std::string::npos);
}

TEST(Fasta, ManyNames) {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += ">r" + std::to_string(i) + "\nA\n";
  EXPECT_EQ(fasta(text).tally.duplicate_names, 0);
  EXPECT_EQ(fasta(text + text).tally.duplicate_names, 5000);
}

TEST(Fasta, NotFasta) {
  refused("", {"is empty"});
  refused("\n \n", {"empty but for white space"});
  refused("ACGT\n>a\nACGT\n", {"a.fa:1", "begins with 'A'"});
  refused("just text\n", {"begins with 'j'"});
  refused("##fileformat=VCFv4.3\n#CHROM\tPOS\n", {"VCF"});
  refused(std::string("\x28\xb5\x2f\xfd\0\0\0\0\0\0", 10), {"Zstandard", "decompress"});
}

TEST(Fasta, FilesThatAreNotThere) {
  const TemporaryFolder folder;
  const auto open = [](const std::string& path) { return [path] { SequenceReader::open(path); }; };
  expect_refusal(Fault::missing, {"nothing.fa", "No such file"},
                 open((folder.path() / "nothing.fa").string()));
  expect_refusal(Fault::missing, {"folder"}, open(folder.path().string()));
  // Names that htslib would take for addresses are files like others.
  expect_refusal(Fault::missing, {"No such file"}, open("http://localhost:1/a.fa"));
  expect_refusal(Fault::missing, {"No such file"}, open("data:,>a%0AACGT"));
}

TEST(Fasta, Compressed) {
  const std::string text = ">a b\nACGTACGT\nACG\n>c\nTTTT\n";
  const Contents want = fasta(text);
  for (const std::string& bytes : {gzip(text), bgzip(text, 7), bgzip(text, 65000),
                                   gzip(text.substr(0, 9)) + gzip(text.substr(9)),
                                   bgzip(text.substr(0, 9), 5) + bgzip(text.substr(9), 5)}) {
    const Contents got = fasta(bytes);
    EXPECT_TRUE(same_records(got.records, want.records));
    EXPECT_TRUE(got.tally.warnings.empty()) << warnings_of(got.tally);
  }
  const Contents open_ended = fasta(bgzip(text, 7, false));
  EXPECT_TRUE(same_records(open_ended.records, want.records));
  EXPECT_NE(warnings_of(open_ended.tally).find("end-of-file block"), std::string::npos);
}

TEST(Fasta, OneLongLine) {
  std::string bases;
  for (int i = 0; i < 3'000'000; ++i) bases += "ACGT"[(i * 7 + i / 11) % 4];
  EXPECT_EQ(fasta(">a\n" + bases + "\n").records[0].bases, bases);
  EXPECT_EQ(fasta(">a\n" + bases).records[0].bases, bases);
}

// A pipe gives its bytes late and in pieces, and cannot be read twice.
TEST(Fasta, FromAPipe) {
  const std::string text = ">a\nACGTACGT\nAC\n>b\nTT\n";
  for (const std::string& bytes : {text, gzip(text), bgzip(text, 7)}) {
    const TemporaryFolder folder;
    const std::string path = (folder.path() / "pipe").string();
    ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
    std::thread writer([&] {
      std::ofstream out(path, std::ios::binary);
      for (const char c : bytes) {
        out << c << std::flush;
        std::this_thread::sleep_for(std::chrono::microseconds(100));
      }
    });
    const Contents got = read_all(path);
    writer.join();
    EXPECT_TRUE(same_records(got.records, fasta(text).records));
  }
}

TEST(Fasta, FromStandardInput) {
  const TemporaryFolder folder;
  const std::string path = folder.write("a.fa", ">a\nACGT\n");
  const int saved = ::dup(STDIN_FILENO);
  const int file = ::open(path.c_str(), O_RDONLY);
  ASSERT_GE(file, 0);
  ::dup2(file, STDIN_FILENO);
  ::close(file);
  const Contents all = read_all("-");
  if (saved >= 0) {
    ::dup2(saved, STDIN_FILENO);
    ::close(saved);
  }
  ASSERT_EQ(all.records.size(), 1u);
  EXPECT_EQ(all.records[0].bases, "ACGT");
}

}  // namespace
}  // namespace genossm::testing
