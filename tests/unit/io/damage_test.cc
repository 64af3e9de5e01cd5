// Files cut at every length, and with every byte changed: refused, or read as if nothing had
// happened; never anything else.
#include "libgenossm/io/genome.h"
#include "tests/unit/io/files.h"

namespace genossm::testing {
namespace {

constexpr const char* kFasta =
    ">one first\nACGTACGTAAACCCGGGTTTNNNNACGATCGATCGACTAGCTACGATCGAC\nACGATC\n"
    ">two\nGGGATTTACGCGATATTTGCGCGATTA\n";

// One read in BAM (SAM specification, section 4.2), forward, unmapped.
std::string bam_read(const std::string& name, const std::string& bases) {
  std::string body;
  put_little(body, 0xffffffff, 4);  // no contig
  put_little(body, 0xffffffff, 4);  // no position
  put_little(body, name.size() + 1, 1);
  put_little(body, 0, 1);     // mapping quality
  put_little(body, 4680, 2);  // bin of reads without a position
  put_little(body, 0, 2);     // CIGAR operations
  put_little(body, 4, 2);     // unmapped
  put_little(body, bases.size(), 4);
  put_little(body, 0xffffffff, 4);
  put_little(body, 0xffffffff, 4);
  put_little(body, 0, 4);
  body += name + '\0';
  constexpr std::string_view kCodes = "=ACMGRSVTWYHKDBN";
  for (std::size_t i = 0; i < bases.size(); i += 2) {
    const std::size_t high = kCodes.find(bases[i]);
    const std::size_t low = i + 1 < bases.size() ? kCodes.find(bases[i + 1]) : 0;
    put_little(body, high << 4 | low, 1);
  }
  body += std::string(bases.size(), '\x1e');
  std::string read;
  put_little(read, body.size(), 4);
  return read + body;
}

std::string bam_text() {
  const std::string header = "@HD\tVN:1.6\n@SQ\tSN:one\tLN:100\n";
  std::string text = "BAM\1";
  put_little(text, header.size(), 4);
  text += header;
  put_little(text, 1, 4);
  put_little(text, 4, 4);
  text += std::string("one\0", 4);
  put_little(text, 100, 4);
  return text + bam_read("r1", "ACGTACGTNN") + bam_read("r2", "GGGTTTA") + bam_read("r3", "AC");
}

class Damage : public ::testing::Test {
 protected:
  // The file must be refused as input, or give the records of the whole one.
  void check(const std::string& bytes, const Contents& want, bool may_be_accepted,
             const std::string& what) {
    const std::string path = folder_.write("damaged", bytes);
    std::optional<Contents> got;
    const auto error = refusal([&] { got = read_all(path); });
    if (error) {
      EXPECT_EQ(error->fault, Fault::input) << what << ": " << error->sentence;
      return;
    }
    EXPECT_TRUE(may_be_accepted) << what << " was not noticed";
    EXPECT_TRUE(same_records(got->records, want.records)) << what;
  }

  void cut_everywhere(const std::string& bytes, std::size_t accepted_from) {
    const Contents want = read_all(folder_.write("whole", bytes));
    ASSERT_FALSE(want.records.empty());
    for (std::size_t n = 0; n < bytes.size(); ++n) {
      check(bytes.substr(0, n), want, n >= accepted_from, "cut to " + std::to_string(n));
    }
  }

  void change_every_byte(const std::string& bytes) {
    const Contents want = read_all(folder_.write("whole", bytes));
    ASSERT_FALSE(want.records.empty());
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      for (const int change : {0x01, 0x04, 0x80, 0xff}) {
        std::string damaged = bytes;
        damaged[i] = static_cast<char>(damaged[i] ^ change);
        check(damaged, want, true,
              "byte " + std::to_string(i) + " changed by " + std::to_string(change));
      }
    }
  }

  TemporaryFolder folder_;
};

TEST_F(Damage, GzipCut) {
  const std::string bytes = gzip(kFasta);
  cut_everywhere(bytes, bytes.size());
}

TEST_F(Damage, BgzipCut) {
  // Only the closing block may be absent: then the sequence is complete, and a warning is given.
  const std::string bytes = bgzip(kFasta, 40);
  const std::size_t whole = bytes.size() - bgzip_block("").size();
  const Contents want = read_all(folder_.write("whole", bytes));
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    const std::string path = folder_.write("cut", bytes.substr(0, n));
    std::optional<Contents> got;
    if (refusal([&] { got = read_all(path); })) continue;
    // A cut between two blocks leaves whole blocks: shorter, and reported.
    EXPECT_NE(warnings_of(got->tally).find("end-of-file block"), std::string::npos) << n;
    if (n >= whole) {
      EXPECT_TRUE(same_records(got->records, want.records)) << n;
    }
  }
}

TEST_F(Damage, BamCut) {
  const std::string text = bam_text();
  const Contents want = read_all(folder_.write("whole", bgzip(text, 1000)));
  ASSERT_EQ(want.records.size(), 3u);
  EXPECT_EQ(want.records[0].bases, "ACGTACGTNN");
  EXPECT_EQ(want.records[1].bases, "GGGTTTA");
  for (const std::string& bytes : {bgzip(text, 1000), bgzip(text, 60)}) {
    cut_everywhere(bytes, bytes.size());
  }
}

TEST_F(Damage, FastaChanged) { change_every_byte(bgzip(kFasta, 60)); }
TEST_F(Damage, FastaInGzipChanged) { change_every_byte(gzip(kFasta)); }
TEST_F(Damage, BamChanged) { change_every_byte(bgzip(bam_text(), 90)); }

TEST_F(Damage, RealBam) {
  if (!has_shared_data()) GTEST_SKIP() << "the larger real data are not here";
  const std::string bytes = slurp(shared_data() / "io" / "good" / "MM-multi.bam");
  cut_everywhere(bytes, bytes.size());
  change_every_byte(bytes);
}

TEST_F(Damage, RubbishBehindTheEnd) {
  const std::string rubbish = "and then some more bytes that are not compressed";
  for (const std::string& bytes : {bgzip(kFasta, 40), bgzip(bam_text(), 60), gzip(kFasta)}) {
    const std::string path = folder_.write("rubbish", bytes + rubbish);
    EXPECT_TRUE(refusal([&] { read_all(path); }));
  }
}

// By region, the same: every read of a damaged file is refused or right.
TEST_F(Damage, Genome) {
  const std::string text = ">one\nACGTACGT\nAAACCCGG\nACG\n>two\nGGGATTTA\n";
  const std::string bytes = bgzip(text, 20);
  const auto read = [](const std::string& path) {
    const genossm::Genome genome = genossm::Genome::open(path);
    return genome.fetch("one", 0, 19) + "|" + genome.fetch("two", 0, 8) + "|" +
           genome.fetch("one", 5, 17);
  };
  const std::string want = read(folder_.write("whole.fa.gz", bytes));
  EXPECT_EQ(want, "ACGTACGTAAACCCGGACG|GGGATTTA|CGTAAACCCGGA");
  const auto check_one = [&](const std::string& damaged, const std::string& what) {
    const TemporaryFolder fresh;
    const std::string path = fresh.write("a.fa.gz", damaged);
    std::optional<std::string> got;
    const auto error = refusal([&] { got = read(path); });
    if (error) {
      EXPECT_EQ(error->fault, Fault::input) << what << ": " << error->sentence;
    } else {
      EXPECT_EQ(*got, want) << what;
    }
  };
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    check_one(bytes.substr(0, n), "cut to " + std::to_string(n));
  }
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    for (const int change : {0x01, 0x80, 0xff}) {
      std::string damaged = bytes;
      damaged[i] = static_cast<char>(damaged[i] ^ change);
      check_one(damaged, "byte " + std::to_string(i) + " changed by " + std::to_string(change));
    }
  }
}

// The indices too: with any byte changed, what is read is right or refused.
TEST_F(Damage, Indices) {
  const std::string text = ">one\nACGTACGT\nAAACCCGG\nACG\n>two\nGGGATTTA\n";
  const TemporaryFolder good;
  const std::string path = good.write("a.fa.gz", bgzip(text, 20));
  { const auto genome = genossm::Genome::open(path); }
  for (const char* end : {".fai", ".gzi"}) {
    const std::string index = slurp(path + end);
    ASSERT_FALSE(index.empty());
    const auto check_one = [&](const std::string& damaged, const std::string& what) {
      good.write("a.fa.gz" + std::string(end), damaged);
      std::string got;
      const auto error = refusal([&] {
        const auto genome = genossm::Genome::open(path);
        got = genome.fetch("one", 0, 19) + "|" + genome.fetch("two", 0, 8);
      });
      if (!error) {
        EXPECT_EQ(got, "ACGTACGTAAACCCGGACG|GGGATTTA") << what;
      }
    };
    for (std::size_t i = 0; i < index.size(); ++i) {
      const std::string what = end + std::string(" byte ") + std::to_string(i);
      check_one(index.substr(0, i), what + " cut");
      for (const int change : {0x01, 0x02, 0x10, 0x80, 0xff}) {
        std::string damaged = index;
        damaged[i] = static_cast<char>(damaged[i] ^ change);
        check_one(damaged, what);
      }
    }
    good.write("a.fa.gz" + std::string(end), index);
  }
}

}  // namespace
}  // namespace genossm::testing
