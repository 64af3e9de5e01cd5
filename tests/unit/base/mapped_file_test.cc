#include "libgenossm/base/mapped_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "kernels/core/error.h"

namespace genossm {
namespace {

namespace fs = std::filesystem;

class MappedFileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "genossm-map-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name, std::ios::binary) << text;
    return folder_ / name;
  }
  static void expect_missing(const fs::path& path, const std::string& word) {
    try {
      MappedFile::open(path);
      FAIL() << path << " was opened";
    } catch (const Error& e) {
      EXPECT_EQ(e.fault(), Fault::missing);
      EXPECT_NE(std::string(e.what()).find(word), std::string::npos) << e.what();
    }
  }

  fs::path folder_;
};

TEST_F(MappedFileTest, BytesOfAFile) {
  EXPECT_EQ(MappedFile::open(write("a", std::string("x\0y", 3))).text(), std::string("x\0y", 3));
  EXPECT_EQ(MappedFile::open(write("empty", "")).bytes().size(), 0u);
  fs::create_symlink("a", folder_ / "link");
  EXPECT_EQ(MappedFile::open(folder_ / "link").bytes().size(), 3u);
}

TEST_F(MappedFileTest, CopiesOutliveTheOriginal) {
  auto first = std::make_unique<MappedFile>(MappedFile::open(write("a", "text")));
  const MappedFile second = *first;
  first.reset();
  EXPECT_EQ(second.text(), "text");
}

TEST_F(MappedFileTest, WhatIsNoRegularFile) {
  expect_missing(folder_ / "none", "cannot be opened");
  expect_missing(folder_, "not a regular file");
  expect_missing("/dev/zero", "not a regular file");
  ASSERT_EQ(::mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  expect_missing(folder_ / "pipe", "not a regular file");
  fs::create_symlink("loop", folder_ / "loop");
  expect_missing(folder_ / "loop", "cannot be opened");
}

TEST_F(MappedFileTest, AChangedFileIsNoticed) {
  const fs::path path = write("a", "0123456789");
  const MappedFile file = MappedFile::open(path);
  EXPECT_NO_THROW(file.check_unchanged());
  ASSERT_EQ(::truncate(path.c_str(), 3), 0);
  EXPECT_THROW(file.check_unchanged(), Error);
}

}  // namespace
}  // namespace genossm
