#include <fcntl.h>

#include "libgenossm/output/npy.h"
#include "libgenossm/output/unicode.h"
#include "libgenossm/output/zip_writer.h"
#include "tests/unit/output/rows.h"

namespace genossm::testing {
namespace {

TEST(Zip, MembersAndReservedBytes) {
  const TemporaryFolder folder;
  const std::string path = (folder.path() / "a.zip").string();
  AtomicFile file(path, false);
  ZipWriter zip(file);
  const std::string long_text(300'000, 'x');
  zip.begin_member("first", 5);
  zip.write("abc");
  zip.write("");
  zip.write(long_text);
  zip.end_member("12345");
  zip.begin_member("empty");
  zip.end_member();
  zip.begin_member("reserved only", 3);
  zip.end_member("xyz");
  zip.finish();
  file.publish();
  using Members = std::vector<std::pair<std::string, std::string>>;
  EXPECT_TRUE(
      unzip(path) ==
      (Members{{"first", "12345abc" + long_text}, {"empty", ""}, {"reserved only", "xyz"}}));
}

TEST(Zip, TheDateIsFixed) {
  const std::string header = zip_local_header({"n", 0, 7, 9});
  EXPECT_EQ(header.substr(10, 4), std::string("\0\0\x21\0", 4));  // 1980-01-01 00:00
  EXPECT_EQ(header.size(), zip_local_header({"m", 0, std::uint64_t{1} << 40, 1}).size());
}

// Members beyond 4 GiB, in a file of holes: only headers and directory are looked at.
TEST(Zip, MoreThanFourGibibytes) {
  constexpr std::uint64_t kGibi = std::uint64_t{1} << 30;
  const TemporaryFolder folder;
  for (const std::vector<std::uint64_t>& sizes :
       {std::vector<std::uint64_t>{0xfffffffe, 10},  // as large as 32 bits do
        {0xffffffff, 10},                            // the value that means: see ZIP64
        {5 * kGibi, 3, 6 * kGibi, 0},
        {3, 2 * kGibi, 2 * kGibi, 1}}) {
    const std::string path = folder.write("big.zip", "");
    const int descriptor = ::open(path.c_str(), O_WRONLY);
    std::vector<ZipMember> members;
    std::uint64_t at = 0;
    const auto put = [&](const std::string& bytes) {
      EXPECT_EQ(::pwrite(descriptor, bytes.data(), bytes.size(), static_cast<off_t>(at)),
                static_cast<ssize_t>(bytes.size()));
      at += bytes.size();
    };
    for (const std::uint64_t size : sizes) {
      members.push_back({"member" + std::to_string(members.size()), at, size,
                         static_cast<std::uint32_t>(size * 7)});
      put(zip_local_header(members.back()));
      at += size;
    }
    put(zip_directory(members, at));
    ::close(descriptor);
    const MappedFile file = MappedFile::open(path);
    const std::vector<ZipMember> got = read_zip(file.bytes(), path);
    ASSERT_EQ(got.size(), members.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
      EXPECT_EQ(got[i].name, members[i].name);
      EXPECT_EQ(got[i].size, members[i].size);
      EXPECT_EQ(got[i].crc, members[i].crc);
      EXPECT_EQ(got[i].offset, members[i].offset + zip_local_header(members[i]).size());
    }
  }
}

TEST(Zip, ManyMembers) {
  std::vector<ZipMember> members;
  std::string bytes;
  for (int i = 0; i < 70'000; ++i) {
    members.push_back({std::to_string(i), bytes.size(), 0, 0});
    bytes += zip_local_header(members.back());
  }
  bytes += zip_directory(members, bytes.size());
  const Bytes all(reinterpret_cast<const std::byte*>(bytes.data()), bytes.size());
  EXPECT_EQ(read_zip(all, "many").size(), 70'000u);
}

TEST(NpyHeader, ShapesAndSize) {
  constexpr Index kMost = std::numeric_limits<Index>::max();
  for (const auto& [type, shape, text] :
       {std::tuple<std::string, std::vector<Index>, std::string>{"<f4", {3, 4}, "(3, 4)"},
        {"<i8", {7}, "(7,)"},
        {"<U12", {}, "()"},
        {"<f2", {0, 256}, "(0, 256)"},
        {"<U9223372036854775807", {kMost}, "(9223372036854775807,)"},
        {"<f4", {kMost, kMost}, "(9223372036854775807, 9223372036854775807)"}}) {
    const std::string header = npy_header(type, shape);
    EXPECT_EQ(header.size(), kNpyHeader);
    const Npy npy = parse_npy(header);
    EXPECT_EQ(npy.dictionary, dictionary(type, text));
    EXPECT_EQ(npy.data, "");
  }
}

TEST(Unicode, BytesThatAreNoText) {
  EXPECT_EQ(to_utf32(""), U"");
  EXPECT_EQ(to_utf32("a\xc3\xa9\xe4\xbd\xa0\xf0\x9f\xa7\xac"), U"a\u00e9\u4f60\U0001f9ec");
  EXPECT_EQ(to_utf32("\xff"
                     "a\xc3"),
            U"\ufffd"
            U"a\ufffd");
  EXPECT_EQ(to_utf32("\xed\xa0\x80"), U"\ufffd\ufffd\ufffd");  // a surrogate
  EXPECT_EQ(to_utf8("a\xc3\xa9\xff"), "a\xc3\xa9\xef\xbf\xbd");
  EXPECT_EQ(to_field("a\tb\r\nc\x7f\x01 \xc3\xa9"), "a b  c   \xc3\xa9");
}

}  // namespace
}  // namespace genossm::testing
