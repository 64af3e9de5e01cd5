#include "libgenossm/output/atomic_file.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <csignal>

#include "tests/unit/output/rows.h"

namespace genossm::testing {
namespace {

namespace fs = std::filesystem;

std::string part_of(const TemporaryFolder& folder) {
  return (folder.path() / ".a.bin.genossm-part").string();
}
std::string path_in(const TemporaryFolder& folder) { return (folder.path() / "a.bin").string(); }

TEST(AtomicFile, AppearsWhenPublished) {
  const TemporaryFolder folder;
  AtomicFile file(path_in(folder), false);
  file.write("0123456789");
  file.overwrite(2, "ab");
  file.write("xyz");
  file.overwrite(12, "Z");
  EXPECT_EQ(file.size(), 13u);
  file.sync();
  EXPECT_FALSE(fs::exists(path_in(folder)));
  EXPECT_EQ(slurp(part_of(folder)), "01ab456789xyZ");
  file.publish();
  EXPECT_EQ(slurp(path_in(folder)), "01ab456789xyZ");
  EXPECT_EQ(entries(folder.path()), 1u);
}

TEST(AtomicFile, ManyBytes) {
  const TemporaryFolder folder;
  std::string want;
  AtomicFile file(path_in(folder), false);
  for (std::size_t n = 1; n < 700'000; n = n * 3 + 1) {
    const std::string piece(n, static_cast<char>('a' + n % 26));
    file.write(piece);
    want += piece;
  }
  EXPECT_EQ(file.size(), want.size());
  file.publish();
  EXPECT_TRUE(slurp(path_in(folder)) == want);
}

TEST(AtomicFile, LeavesNothingWhenItIsNotPublished) {
  const TemporaryFolder folder;
  { AtomicFile(path_in(folder), false).write(std::string(1'000'000, 'x')); }
  EXPECT_EQ(entries(folder.path()), 0u);
  folder.write("a.bin", "old");
  { AtomicFile(path_in(folder), true).write("new"); }
  EXPECT_EQ(slurp(path_in(folder)), "old");
  EXPECT_EQ(entries(folder.path()), 1u);
}

TEST(AtomicFile, WhatExistsIsKeptUnlessForced) {
  const TemporaryFolder folder;
  folder.write("a.bin", "old");
  expect_refusal(Fault::output, {path_in(folder), "exists already", "--force"},
                 [&] { AtomicFile(path_in(folder), false); });
  EXPECT_EQ(entries(folder.path()), 1u);
  AtomicFile file(path_in(folder), true);
  file.write("new");
  EXPECT_EQ(slurp(path_in(folder)), "old");
  file.publish();
  EXPECT_EQ(slurp(path_in(folder)), "new");
}

TEST(AtomicFile, WhatAppearsMeanwhileIsKept) {
  const TemporaryFolder folder;
  {
    AtomicFile file(path_in(folder), false);
    file.write("ours");
    folder.write("a.bin", "theirs");
    expect_refusal(Fault::output, {"exists already"}, [&] { file.publish(); });
  }
  EXPECT_EQ(slurp(path_in(folder)), "theirs");
  EXPECT_EQ(entries(folder.path()), 1u);
}

TEST(AtomicFile, TheSecondWriterIsRefused) {
  const TemporaryFolder folder;
  for (const bool force : {false, true}) {
    AtomicFile first(path_in(folder), force);
    first.write("first");
    const auto second = [&] { AtomicFile(path_in(folder), force); };
    expect_refusal(Fault::output, {path_in(folder), "another process"}, second);
    // The refused one has taken nothing away.
    expect_refusal(Fault::output, {"another process"}, second);
    first.publish();
    EXPECT_EQ(slurp(path_in(folder)), "first");
  }
  fs::remove(path_in(folder));
  { AtomicFile first(path_in(folder), false); }
  AtomicFile(path_in(folder), false).publish();
  EXPECT_TRUE(fs::exists(path_in(folder)));
}

TEST(AtomicFile, TheLeftoverOfAKilledProcessIsTakenOver) {
  const TemporaryFolder folder;
  const pid_t child = ::fork();
  if (child == 0) {
    AtomicFile file(path_in(folder), false);
    file.write(std::string(1'000'000, 'x'));
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_TRUE(fs::exists(part_of(folder)));
  EXPECT_FALSE(fs::exists(path_in(folder)));
  AtomicFile file(path_in(folder), false);
  file.write("short");
  file.publish();
  EXPECT_EQ(slurp(path_in(folder)), "short");
  EXPECT_EQ(entries(folder.path()), 1u);
}

TEST(AtomicFile, PlacesThatCannotBeWritten) {
  const TemporaryFolder folder;
  const auto open = [&](const std::string& path) { return [path] { AtomicFile(path, true); }; };
  const std::string root = folder.path().string();
  expect_refusal(Fault::output, {root + "/no/a.bin", "no folder " + root + "/no"},
                 open(root + "/no/a.bin"));
  expect_refusal(Fault::output, {"Not a directory"}, open(folder.write("file", "") + "/a.bin"));
  expect_refusal(Fault::output, {"is a folder"}, open(root));
  expect_refusal(Fault::output, {"is a folder"}, open(root + "/"));
  expect_refusal(Fault::output, {"is a folder"}, open(root + "/missing/"));
  expect_refusal(Fault::output, {"/dev/null", "no file"}, open("/dev/null"));
  expect_refusal(Fault::output, {"File name too long"}, open(root + "/" + std::string(250, 'n')));
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
}

TEST(AtomicFile, SomethingElseUnderTheTemporaryName) {
  const TemporaryFolder folder;
  const auto open = [&] { AtomicFile(path_in(folder), false); };
  fs::create_directory(part_of(folder));
  expect_refusal(Fault::output, {part_of(folder)}, open);
  fs::remove(part_of(folder));
  // A link laid there by someone else must not lead us to overwrite what it points to.
  const std::string precious = folder.write("precious", "kept");
  fs::create_symlink(precious, part_of(folder));
  expect_refusal(Fault::output, {part_of(folder)}, open);
  EXPECT_EQ(slurp(precious), "kept");
  fs::remove(part_of(folder));
  ASSERT_EQ(::mkfifo(part_of(folder).c_str(), 0600), 0);
  expect_refusal(Fault::output, {part_of(folder)}, open);
}

TEST(AtomicFile, ReadOnlyFolder) {
  const TemporaryFolder folder;
  fs::permissions(folder.path(), fs::perms(0555));
  // Root may write anywhere, so that it has to be someone else for a moment.
  const bool root = ::geteuid() == 0;
  ASSERT_EQ(root ? ::seteuid(65534) : 0, 0);
  expect_refusal(Fault::output, {path_in(folder), "Permission denied", folder.path().string()},
                 [&] { AtomicFile(path_in(folder), false); });
  ASSERT_EQ(root ? ::seteuid(0) : 0, 0);
  fs::permissions(folder.path(), fs::perms(0755));
  EXPECT_EQ(entries(folder.path()), 0u);
}

TEST(AtomicFile, LinksGoOnPointingToTheOutput) {
  const TemporaryFolder folder, other;
  const std::string target = other.write("target.bin", "old");
  fs::create_symlink(target, path_in(folder));
  expect_refusal(Fault::output, {"exists already"}, [&] { AtomicFile(path_in(folder), false); });
  AtomicFile file(path_in(folder), true);
  file.write("new");
  file.publish();
  EXPECT_TRUE(fs::is_symlink(path_in(folder)));
  EXPECT_EQ(slurp(target), "new");
  EXPECT_EQ(entries(folder.path()), 1u);
  EXPECT_EQ(entries(other.path()), 1u);
  fs::remove(target);
  expect_refusal(Fault::output, {"exists already"}, [&] { AtomicFile(path_in(folder), false); });
}

TEST(AtomicFile, AFullDisk) {
  const TemporaryFolder folder;
  rlimit before = {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit small = before;
  small.rlim_cur = 1000;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const auto got = refusal([&] {
    AtomicFile file(path_in(folder), false);
    file.write(std::string(2000, 'x'));
    file.publish();
  });
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  ASSERT_TRUE(got.has_value());
  EXPECT_EQ(got->fault, Fault::output);
  EXPECT_NE(got->sentence.find("File too large"), std::string::npos) << got->sentence;
  EXPECT_EQ(entries(folder.path()), 0u);
}

}  // namespace
}  // namespace genossm::testing
