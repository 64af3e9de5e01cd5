// What numpy itself makes of the files.
#include <array>
#include <cstdio>
#include <memory>

#include "tests/unit/output/rows.h"

namespace genossm::testing {
namespace {

constexpr std::string_view kPython = GENOSSM_PYTHON;

std::string read_back(const std::string& path) {
  const std::string command = std::string(kPython) + " '" + GENOSSM_SOURCE_DIR +
                              "/tests/unit/output/read_back.py' '" + path + "' 2>&1";
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen(command.c_str(), "r"), ::pclose);
  std::string text;
  std::array<char, 4096> bytes;
  while (const std::size_t n = std::fread(bytes.data(), 1, bytes.size(), pipe.get())) {
    text.append(bytes.data(), n);
  }
  return text;
}

const std::vector<TestRecord> kRecords = {
    {region_of("\xc3\xa9_\xf0\x9f\xa7\xac", "chr1", 5, 7), {1, 2.5f, -3, 4, 5, 6}},
    {region_of("none", "chr22", 9, 9), {}},
    {region_of("x", "chr1", 0, 1), {7, 8, 0.25f}}};

TEST(Numpy, Npz) {
  if (kPython.empty()) GTEST_SKIP() << "numpy is not installed";
  const TemporaryFolder folder;
  const std::string path = (folder.path() / "a.npz").string();
  write_matrix(path, spec_of(true), kRecords);
  EXPECT_EQ(read_back(path),
            "embeddings <f4 (3, 3) 1.0 2.5 -3.0 4.0 5.0 6.0 7.0 8.0 0.25\n"
            "names <U4 (3,) \xc3\xa9_\xf0\x9f\xa7\xac none x\n"
            "lengths <i8 (3,) 2 0 1\n"
            "contigs <U5 (3,) chr1 chr22 chr1\n"
            "starts <i8 (3,) 5 9 0\n"
            "ends <i8 (3,) 7 9 1\n"
            "offsets <i8 (4,) 0 2 2 3\n"
            "provenance <U16 () {\"model\": \"x \xc3\xa9\"}\n");
}

TEST(Numpy, NpzOfNothing) {
  if (kPython.empty()) GTEST_SKIP() << "numpy is not installed";
  const TemporaryFolder folder;
  const std::string path = (folder.path() / "a.npz").string();
  write_matrix(path, spec_of(false, Element::f16, ""), {});
  EXPECT_EQ(read_back(path),
            "embeddings <f2 (0, 3) \n"
            "names <U1 (0,) \n"
            "lengths <i8 (0,) \n");
}

TEST(Numpy, NpyIsMapped) {
  if (kPython.empty()) GTEST_SKIP() << "numpy is not installed";
  const TemporaryFolder folder;
  for (const Element element : {Element::f32, Element::f16}) {
    const std::string path = (folder.path() / (std::string(name_of(element)) + ".npy")).string();
    write_matrix(path, spec_of(true, element), kRecords, 1);
    EXPECT_EQ(read_back(path), std::string("npy ") + (element == Element::f32 ? "<f4" : "<f2") +
                                   " (3, 3) 1.0 2.5 -3.0 4.0 5.0 6.0 7.0 8.0 0.25\n");
  }
}

}  // namespace
}  // namespace genossm::testing
