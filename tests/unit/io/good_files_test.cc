// Files that must be read: counts as samtools 1.16 gives them (view -c -F 0x900 for alignments,
// import for FASTQ, grep -c '>' for FASTA).
#include <algorithm>

#include "tests/unit/io/files.h"

namespace genossm::testing {
namespace {

struct Good {
  const char* file;
  std::size_t records;
  const char* reference = "";
};

constexpr Good kGood[] = {
    {"lambda.fa", 1},
    {"lambda.gzip.fa.gz", 1},
    {"lambda.bgzf.fa.gz", 1},
    {"lambda.crlf.fa", 1},
    {"lambda.no_final_newline.fa", 1},
    {"lambda.one_line.fa", 1},
    {"lambda.mixed_case.fa", 1},
    {"lambda.rna.fa", 1},
    {"lambdaNEB.fa", 1},
    {"names.fa", 5},
    {"norm.fa", 8},
    {"faidx.fa", 6},
    {"iupac_hg19mini.fa", 4},
    {"iupac_gatk.fa", 1},
    {"softmasked_hg38_piece.fa", 2},
    {"mpileup.ref.fa", 1},
    {"human_g1k_v37.20.21.1-100.fasta", 2},
    {"single.fq", 5},
    {"r1.fq", 5},
    {"r2.fq", 5},
    {"interleaved.fq", 10},
    {"longline.fq", 1},
    {"example.fastq.gz", 3},
    {"example.fastq.bgz", 3},
    {"example_dos.fastq", 3},
    {"wrapped_original_sanger.fastq", 3},
    {"tricky.fastq", 4},
    {"zero_length.fastq", 5},
    {"ont_reads.fastq.gz", 60},
    {"3.quickcheck.ok.bam", 40},
    {"4.quickcheck.ok.bam", 40},
    {"MM-chebi.bam", 1},
    {"MM-multi.bam", 2},
    {"MM-orient.bam", 4},
    {"NA12878.20.first500.bam", 844},
    {"ex1.bam", 3270},
    {"ex_empty_with_header.bam", 0},
    {"mpileup.1.bam", 569},
    {"ont_mapped.bam", 41},
    {"pacbio_23.ccs.bam", 2},
    {"pacbio_aligned2.bam", 9},
    {"pacbio_long-cigar-1.7.bam", 1},
    {"pacbio_phi29.bam", 120},
    {"pacbio_unmap2.bam", 19},
    {"range.bam", 112},
    {"uncompressed.bam", 3270},
    {"ce_unmap2.sam", 19},
    {"xx_blank.sam", 0},
    {"xx_pair.sam", 6},
    {"xx_repeated.sam", 6},
    {"cigar-64k.sam.gz", 3},
    {"mpileup.1.cram", 569, "mpileup.ref.fa"},
    {"6.quickcheck.cram21.ok.cram", 569, "mpileup.ref.fa"},
    {"7.quickcheck.cram30.ok.cram", 569, "mpileup.ref.fa"},
    {"pacbio_aligned2.cram", 9, "lambdaNEB.fa"},
    {"NA12878.unmapped.cram", 513, "human_g1k_v37.20.21.1-100.fasta"},
    {"referenceEmbedded.cram", 853},
    {"referenceNotRequired.cram", 2},
};

bool is_sequence_file(const std::string& name) {
  for (const char* end : {".fa", ".fasta", ".fa.gz", ".fq", ".fastq", ".fastq.gz", ".fastq.bgz",
                          ".bam", ".sam", ".sam.gz", ".cram"}) {
    if (name.ends_with(end)) return true;
  }
  return false;
}

class GoodFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!has_shared_data()) GTEST_SKIP() << "the larger real data are not here";
  }
  // References are copied, since an index is made beside them.
  Contents read(const std::string& name, const std::string& reference = "") {
    const auto folder = shared_data() / "io" / "good";
    ReaderOptions options;
    if (!reference.empty()) {
      const auto copy = references_.path() / reference;
      options.reference =
          std::filesystem::exists(copy) ? copy.string() : references_.copy(folder / reference);
    }
    return read_all((folder / name).string(), options);
  }
  TemporaryFolder references_;
};

TEST_F(GoodFiles, EachGivesItsRecords) {
  for (const Good& good : kGood) {
    SCOPED_TRACE(good.file);
    std::optional<Contents> all;
    const auto error = refusal([&] { all = read(good.file, good.reference); });
    ASSERT_FALSE(error) << error->sentence;
    EXPECT_EQ(all->records.size(), good.records);
    EXPECT_EQ(all->tally.records, static_cast<std::int64_t>(good.records));
  }
}

TEST_F(GoodFiles, TheTableIsComplete) {
  for (const auto& entry : std::filesystem::directory_iterator(shared_data() / "io" / "good")) {
    const std::string name = entry.path().filename().string();
    if (!is_sequence_file(name)) continue;
    EXPECT_TRUE(std::any_of(std::begin(kGood), std::end(kGood), [&](const Good& good) {
      return name == good.file;
    })) << name;
  }
}

TEST_F(GoodFiles, LambdaInEveryForm) {
  const Contents want = read("lambda.fa");
  ASSERT_EQ(want.records[0].bases.size(), 48502u);
  for (const char* name : {"lambda.gzip.fa.gz", "lambda.bgzf.fa.gz", "lambda.crlf.fa",
                           "lambda.no_final_newline.fa", "lambda.one_line.fa"}) {
    EXPECT_EQ(read(name).records[0].bases, want.records[0].bases) << name;
  }
  const Contents mixed = read("lambda.mixed_case.fa");
  EXPECT_EQ(mixed.tally.lower_case, 2500);
  std::string upper = mixed.records[0].bases;
  for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  EXPECT_EQ(upper, want.records[0].bases.substr(0, 5000));
}

TEST_F(GoodFiles, NamesAndEmptyRecord) {
  const Contents all = read("names.fa");
  const std::vector<std::pair<std::string, std::string>> want = {{"seq|1", "ACGTN"},
                                                                 {"seq2", "RYSWKMBDHVN"},
                                                                 {"empty_record", ""},
                                                                 {"seq2b/1;x=1", "acgt"},
                                                                 {"last", "A"}};
  ASSERT_EQ(all.records.size(), want.size());
  for (std::size_t i = 0; i < want.size(); ++i) {
    EXPECT_EQ(all.records[i].name, want[i].first);
    EXPECT_EQ(all.records[i].bases, want[i].second);
  }
  EXPECT_EQ(all.records[0].comment, "description with spaces\tand tab");
}

TEST_F(GoodFiles, CramGivesWhatBamGives) {
  const Contents bam = read("mpileup.1.bam");
  EXPECT_TRUE(same_records(read("mpileup.1.cram", "mpileup.ref.fa").records, bam.records));
  EXPECT_TRUE(
      same_records(read("7.quickcheck.cram30.ok.cram", "mpileup.ref.fa").records, bam.records));
  EXPECT_TRUE(
      same_records(read("6.quickcheck.cram21.ok.cram", "mpileup.ref.fa").records, bam.records));
  EXPECT_TRUE(same_records(read("pacbio_aligned2.cram", "lambdaNEB.fa").records,
                           read("pacbio_aligned2.bam").records));
  EXPECT_TRUE(same_records(read("uncompressed.bam").records, read("ex1.bam").records));
}

// By hand: samtools view shows the first reverse-strand read of this file as it stands in the file.
TEST_F(GoodFiles, ReverseReadsAreTurnedBack) {
  const Contents all = read("mpileup.1.bam");
  std::size_t forward = 0, reverse = 0;
  for (const Record& record : all.records) {
    if (record.name == "ERR013140.3521432") {
      forward += record.bases ==
                 "AGAGGTCCCCAACTTCTTTGCAAAGCTTCTCACCCTGTTCCTGCATAGATAATTGCATGACAATTGCCTTGTCCCTGCTGA"
                 "ATGTGCTCTGGGGTCTCTGGGGTCTCA";
    }
    if (record.name == "ERR162872.5127873") {
      reverse += record.bases ==
                 "GTTAAGCTCCCTGGTGCCAGGCCCAGGGAGTTGGTCGTGGGTGAGACCCCAGAGACCCCAGAGCACATTCAGCAGGGACAA"
                 "GGCAATTGTCATGCAATTA";
    }
  }
  EXPECT_EQ(forward, 1u);
  EXPECT_EQ(reverse, 1u);
}

}  // namespace
}  // namespace genossm::testing
