// Files that must be refused or reported. broken_files.tsv says for each which exit code it gives,
// which words the message or a warning holds, and why where that is not plain.
#include <set>
#include <sstream>

#include "libgenossm/io/genome.h"
#include "tests/unit/io/files.h"

namespace genossm::testing {
namespace {

struct Broken {
  std::string file, words;
  int exit = -1;
};

std::vector<Broken> table() {
  std::istringstream text(
      slurp(std::filesystem::path(GENOSSM_SOURCE_DIR) / "tests/unit/io/broken_files.tsv"));
  std::vector<Broken> rows;
  std::string line;
  std::getline(text, line);  // the column names
  while (std::getline(text, line)) {
    std::istringstream fields(line);
    Broken row;
    std::string exit;
    std::getline(fields, row.file, '\t');
    std::getline(fields, exit, '\t');
    std::getline(fields, row.words, '\t');
    row.exit = std::stoi(exit);
    rows.push_back(row);
  }
  return rows;
}

class BrokenFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!has_shared_data()) GTEST_SKIP() << "the larger real data are not here";
    folder_ = shared_data() / "io" / "broken";
  }
  std::filesystem::path folder_;
};

TEST_F(BrokenFiles, EachIsRefusedOrReported) {
  const TemporaryFolder folder;
  const ReaderOptions options{folder.copy(shared_data() / "io" / "good" / "mpileup.ref.fa")};
  for (const Broken& row : table()) {
    SCOPED_TRACE(row.file);
    std::string said;
    int exit = 0;
    try {
      const std::string path = (folder_ / row.file).string();
      said = warnings_of(
          read_all(path, row.file.ends_with(".cram") ? options : ReaderOptions{}).tally);
    } catch (const Error& error) {
      exit = exit_code(error.fault());
      said = error.what();
      EXPECT_NE(said.find(row.file), std::string::npos) << said;
    }
    EXPECT_EQ(exit, row.exit) << said;
    EXPECT_NE(said.find(row.words), std::string::npos) << said;
    if (row.words.empty()) {
      EXPECT_EQ(said, "");
    }
  }
}

TEST_F(BrokenFiles, TheTableIsComplete) {
  std::set<std::string> known;
  for (const Broken& row : table()) known.insert(row.file);
  for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
    const std::string name = entry.path().filename().string();
    if (name == "MANIFEST.tsv" || name.find(".vcf") != std::string::npos) continue;
    EXPECT_TRUE(known.count(name)) << name;
  }
}

TEST_F(BrokenFiles, VariantsAreNotSequences) {
  for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
    const std::string path = entry.path().string();
    if (path.find(".vcf") == std::string::npos) continue;
    expect_refusal(Fault::input, {entry.path().filename().string()}, [&] { read_all(path); });
  }
}

TEST_F(BrokenFiles, WithRegions) {
  const TemporaryFolder folder;
  const auto open = [&](const char* name) {
    return [this, &folder, name] { Genome::open(folder.copy(folder_ / name)); };
  };
  expect_refusal(Fault::input, {":3: ", "stands twice"}, open("fasta_duplicate_names.fa"));
  expect_refusal(Fault::input, {":4: ", "differ in length"}, open("fasta_ragged.fa"));
  expect_refusal(Fault::input, {"@5: ", "NUL"}, open("fasta_nul_bytes.fa"));
  expect_refusal(Fault::input, {"is empty"}, open("fasta_empty.fa"));
  expect_refusal(Fault::input, {"re-compress it with bgzip"}, open("fasta_gz_cut.fa.gz"));
  expect_refusal(Fault::input, {"truncated"}, open("fasta_bgzf_cut.fa.gz"));
  expect_refusal(Fault::input, {":2: "}, open("fasta_protein.fa"));
  expect_refusal(Fault::input, {":1: "}, open("fasta_no_header.fa"));
  expect_refusal(Fault::input, {"binary_noise.fa"}, open("binary_noise.fa"));
  const Genome genome = Genome::open(folder.copy(folder_ / "fasta_bgzf_no_eof.fa.gz"));
  ASSERT_EQ(genome.warnings().size(), 1u);
  EXPECT_NE(genome.warnings()[0].find("end-of-file block"), std::string::npos);
}

}  // namespace
}  // namespace genossm::testing
