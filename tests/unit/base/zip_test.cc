#include "libgenossm/base/zip.h"

#include <gtest/gtest.h>

#include <random>

#include "kernels/core/error.h"
#include "tests/unit/base/zip_writer.h"

namespace genossm {
namespace {

using test::make_zip;
using test::put;

Bytes bytes_of(const std::string& file) { return std::as_bytes(std::span(file)); }

std::vector<ZipMember> read(const std::string& file) { return read_zip(bytes_of(file), "a.pt"); }

void expect_refused(const std::string& file, const std::string& word) {
  try {
    read(file);
    FAIL() << "accepted, want a refusal with: " << word;
  } catch (const Error& e) {
    EXPECT_EQ(e.fault(), Fault::checkpoint);
    EXPECT_NE(std::string(e.what()).find(word), std::string::npos) << e.what();
  }
}

void expect_members(const std::string& file) {
  const std::vector<ZipMember> members = read(file);
  ASSERT_EQ(members.size(), 2u);
  EXPECT_EQ(members[0].name, "m/data.pkl");
  EXPECT_EQ(members[1].name, "m/data/0");
  EXPECT_EQ(file.substr(members[0].offset, members[0].size), "pickle");
  EXPECT_EQ(file.substr(members[1].offset, members[1].size), "eight by");
  for (const ZipMember& member : members) check_crc(bytes_of(file), member, "a.pt");
}

TEST(Zip, MembersInEveryForm) {
  expect_members(make_zip({{"m/data.pkl", "pickle"}, {"m/data/0", "eight by"}}));
  expect_members(make_zip({{"m/data.pkl", "pickle"}, {"m/data/0", "eight by"}}, true));
  expect_members(make_zip({{.name = "m/data.pkl", .data = "pickle", .flags = 0x808},
                           {.name = "m/data/0", .data = "eight by", .flags = 8}},
                          true));
  expect_members(make_zip({{.name = "m/data.pkl", .data = "pickle", .wide = true},
                           {.name = "m/data/0", .data = "eight by", .wide = true}},
                          true));
  EXPECT_TRUE(read(make_zip({})).empty());
}

TEST(Zip, Lies) {
  const auto one = [](test::ZipPart part) { return make_zip({{"m/x", "xx"}, std::move(part)}); };
  expect_refused(one({.name = "m/y", .data = "12", .method = 8}), "compressed");
  expect_refused(one({.name = "m/y", .data = "12", .flags = 1}), "encrypted");
  expect_refused(one({.name = "m/y", .data = "12", .flags = 0x2000}), "flags");
  expect_refused(one({.name = "m/x", .data = "12"}), "two members are called m/x");
  expect_refused(one({.name = "m/y", .data = "12", .local_name = "m/z"}), "disagree");
  expect_refused(one({.name = "m/y", .data = "12", .offset_off = 1}), "no local header");
  expect_refused(one({.name = "m/y", .data = "12", .offset_off = 1 << 30}), "no local header");
  expect_refused(one({.name = "m/y", .data = "12", .offset_off = -35}), "disagree");
  expect_refused(one({.name = "m/y", .data = "12", .size_off = 1}), "beyond the data");
  expect_refused(one({.name = "m/y", .data = "12", .size_off = 1 << 30}), "beyond the data");
  expect_refused(one({.name = "m/y", .data = "12", .flags = 8, .size_off = -1}), "disagree");
  for (const char* name : {"../y", "m/../../y", "/y", "m\\y", "m/./y", ".."}) {
    expect_refused(one({.name = name, .data = "1"}), "not an acceptable name");
  }
  expect_refused(one({.name = std::string("m/\0", 3), .data = "1"}), "not an acceptable name");
  expect_refused(one({.name = "m/\xff", .data = "1"}), "not an acceptable name");
  expect_refused(one({.name = std::string(2000, 'n'), .data = "1"}), "not an acceptable name");
  // A member that reaches into the next.
  expect_refused(make_zip({{.name = "m/y", .data = "12", .size_off = 8}, {"m/z", "34"}}),
                 "overlap");
}

TEST(Zip, EndRecord) {
  const std::string good = make_zip({{"m/x", "xx"}}, true);
  const std::size_t end = good.size() - 22;
  expect_refused(good + "x", "end record");
  expect_refused("", "end record");
  const auto with = [&](std::size_t at, auto value) {
    std::string file = good;
    std::memcpy(file.data() + at, &value, sizeof(value));
    return file;
  };
  expect_refused(with(end + 20, std::uint16_t{5}), "comment");
  expect_refused(with(end + 4, std::uint16_t{1}), "several parts");
  expect_refused(with(end + 10, std::uint16_t{2}), "two counts");
  expect_refused(with(end + 12, std::uint32_t{7}), "disagree");
  expect_refused(with(end - 20 + 8, std::uint64_t{1} << 62), "locator");
  expect_refused(with(end - 76 + 24, std::uint64_t{1} << 62), "two counts");
  expect_refused(with(end - 76 + 48, std::uint64_t{0}), "end at byte");
  expect_refused(with(end - 76 + 48, ~std::uint64_t{0}), "end at byte");
  std::string counts = good;
  for (const std::size_t at : {end - 76 + 24, end - 76 + 32}) {
    const std::uint64_t many = std::uint64_t{1} << 60;
    std::memcpy(counts.data() + at, &many, 8);
  }
  expect_refused(counts, "can hold");
  // A comment that hides a second archive: the file then does not end with its end record.
  std::string comment = make_zip({{"m/x", "xx"}});
  comment[comment.size() - 2] = 30;
  expect_refused(comment + std::string(30, 'c'), "end record");
}

TEST(Zip, WrongCrc) {
  const std::string file = make_zip({{.name = "m/x", .data = "xx", .crc_flip = 1}});
  const std::vector<ZipMember> members = read(file);
  EXPECT_THROW(check_crc(bytes_of(file), members[0], "a.pt"), Error);
}

TEST(Zip, EveryTruncationIsRefused) {
  const std::string file = make_zip({{"m/data.pkl", "pickle"}, {"m/data/0", "eight by"}}, true);
  for (std::size_t n = 0; n < file.size(); ++n) {
    EXPECT_THROW(read(file.substr(0, n)), Error) << n;
  }
}

// Whatever a changed directory says, members stay inside the file and apart from each other.
TEST(Zip, EveryByteChanged) {
  for (const bool wide : {false, true}) {
    const std::string file = make_zip({{.name = "m/data.pkl", .data = "pickle", .wide = wide},
                                       {.name = "m/data/0", .data = "eight by", .flags = 8}},
                                      wide);
    for (std::size_t at = 0; at < file.size(); ++at) {
      for (int flip = 1; flip < 256; ++flip) {
        std::string changed = file;
        changed[at] = static_cast<char>(changed[at] ^ flip);
        try {
          for (const ZipMember& member : read(changed)) {
            ASSERT_TRUE(within(member.offset, member.size, changed.size()));
          }
        } catch (const Error& e) {
          ASSERT_EQ(e.fault(), Fault::checkpoint);
        }
      }
    }
  }
}

}  // namespace
}  // namespace genossm
