// The journal: what was committed is there again, whole or not at all.
#include "libgenossm/output/journal.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "kernels/core/error.h"
#include "libgenossm/output/frames.h"
#include "tests/unit/io/files.h"

namespace genossm::testing {
namespace {

namespace fs = std::filesystem;

class JournalTest : public ::testing::Test {
 protected:
  JournalRequest request(Resume resume = Resume::automatic) const {
    JournalRequest r;
    r.path = (folder_.path() / "out.genossm-journal").string();
    r.output = "out";
    r.facts = {{"window", "4096"}, {"model", "\"mini\""}, {"command", "\"genossm embed\""}};
    r.resume = resume;
    r.interval = 0;
    return r;
  }

  static std::string all(const Journal& journal) {
    std::string out;
    journal.replay([&](std::string_view frames) { out += frames; });
    return out;
  }

  std::string bytes() const {
    std::ifstream file(request().path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  void put(const std::string& bytes) const {
    std::ofstream(request().path, std::ios::binary) << bytes;
  }

  TemporaryFolder folder_;
};

TEST_F(JournalTest, NothingIsWrittenBeforeTheFirstSegment) {
  {
    Journal journal(request());
    EXPECT_FALSE(journal.due());
    journal.add("frames");
    EXPECT_TRUE(journal.due());
    EXPECT_EQ(all(journal), "frames");
  }
  EXPECT_FALSE(fs::exists(request().path));
}

TEST_F(JournalTest, GoesOnWithWhatWasCommitted) {
  {
    Journal journal(request());
    journal.add("one,");
    journal.commit("first");
    journal.add("two,");
    journal.add("three,");
    journal.commit("second");
    journal.add("lost");
  }
  Journal journal(request(Resume::require));
  EXPECT_EQ(journal.mark(), "second");
  journal.add("four");
  EXPECT_EQ(all(journal), "one,two,three,four");
  journal.remove();
  EXPECT_FALSE(fs::exists(request().path));
}

// Wherever the file is cut, what is left is a row of whole segments.
TEST_F(JournalTest, EveryCutLeavesWholeSegments) {
  std::vector<std::size_t> ends;
  {
    Journal journal(request());
    for (const char* part : {"alpha", "beta", "gamma"}) {
      journal.add(part);
      journal.commit(part);
      ends.push_back(fs::file_size(request().path));
    }
  }
  const std::string whole = bytes();
  ASSERT_EQ(whole.size(), ends.back());
  for (std::size_t cut = 0; cut <= whole.size(); ++cut) {
    put(whole.substr(0, cut));
    Journal journal(request());
    const std::string expected = cut >= ends[2]   ? "alphabetagamma"
                                 : cut >= ends[1] ? "alphabeta"
                                 : cut >= ends[0] ? "alpha"
                                                  : "";
    ASSERT_EQ(all(journal), expected) << "cut at " << cut;
    journal.add("x");
    journal.commit("after");
    ASSERT_EQ(all(journal), expected + "x");
  }
}

// A long mark is given back when the next one stands, and nobody misses it.
TEST_F(JournalTest, OldMarksTakeNoSpace) {
  const std::string state(std::size_t{1} << 20, 's');
  {
    Journal journal(request());
    for (int i = 0; i < 8; ++i) {
      journal.add(std::to_string(i));
      journal.commit(state + std::to_string(i));
    }
  }
  Journal journal(request());
  EXPECT_EQ(journal.mark(), state + "7");
  EXPECT_EQ(all(journal), "01234567");
}

// A changed byte is noticed wherever it stands.
TEST_F(JournalTest, NoChangedByteIsBelieved) {
  {
    Journal journal(request());
    journal.add("alpha");
    journal.commit("A");
    journal.add("beta");
    journal.commit("B");
  }
  const std::string whole = bytes();
  for (std::size_t i = 0; i < whole.size(); ++i) {
    std::string changed = whole;
    changed[i] = static_cast<char>(changed[i] ^ 0x20);
    put(changed);
    try {
      Journal journal(request());
      const std::string got = all(journal);
      // Of old marks nothing hangs on.
      ASSERT_TRUE(got.empty() || (got == "alpha" && journal.mark() == "A") ||
                  (got == "alphabeta" && journal.mark() == "B"))
          << "byte " << i << ": " << got;
    } catch (const Error& error) {
      ASSERT_EQ(error.fault(), Fault::input) << i;  // another magic word: not ours
    }
  }
}

TEST_F(JournalTest, AnotherJobIsRefusedWithWhatDiffers) {
  {
    Journal journal(request());
    journal.add("alpha");
    journal.commit("A");
  }
  JournalRequest other = request();
  other.facts[0].second = "2048";
  other.facts[2].second = "\"genossm embed --window 2048\"";
  try {
    Journal journal(other);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), Fault::input);
    const std::string said = error.what();
    EXPECT_NE(said.find("window was 4096, is 2048"), std::string::npos) << said;
    EXPECT_EQ(said.find("--window 2048"), std::string::npos) << said;
  }
  EXPECT_EQ(difference({{"a", "1"}}, {{"b", "2"}}), "b was not set, is 2; a was 1, is not set");
  EXPECT_EQ(difference({{"command", "x"}}, {{"command", "y"}}), "command was x, is y");
  Journal never(request(Resume::never));
  EXPECT_FALSE(fs::exists(request().path));
}

TEST_F(JournalTest, OneWriterAtATime) {
  Journal first(request());
  first.add("alpha");
  first.commit("A");
  try {
    Journal second(request());
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), Fault::output);
    EXPECT_NE(std::string(error.what()).find("another process"), std::string::npos);
  }
}

TEST_F(JournalTest, APartIsReadAgain) {
  const std::string part = (folder_.path() / "out.shard-1-of-2").string();
  {
    Journal journal(request());
    journal.create();
    journal.add("alpha");
    journal.commit("finished");
    journal.rename_to(part, false);
  }
  EXPECT_FALSE(fs::exists(request().path));
  const Part read = read_part(part);
  EXPECT_EQ(read.mark, "finished");
  EXPECT_EQ(read.fact("window"), "4096");
  EXPECT_EQ(read.number("window"), 4096);
  EXPECT_THROW(static_cast<void>(read.number("model")), Error);
  std::string out;
  replay_part(read, [&](std::string_view frames) { out += frames; });
  EXPECT_EQ(out, "alpha");
  fs::resize_file(part, fs::file_size(part) - 1);
  EXPECT_THROW(static_cast<void>(read_part(part)), Error);
}

TEST(Frames, AreReadAsTheyWereWritten) {
  const std::string bytes =
      Packer().number('x').number(1.5f).text("a\0b").number(std::int64_t{-7}).bytes();
  Unpacker in(bytes);
  EXPECT_EQ(in.number<char>(), 'x');
  EXPECT_EQ(in.number<float>(), 1.5f);
  EXPECT_EQ(in.text(), "a");
  EXPECT_EQ(in.number<std::int64_t>(), -7);
  EXPECT_TRUE(in.done());
  EXPECT_THROW(static_cast<void>(in.number<char>()), Error);
}

}  // namespace
}  // namespace genossm::testing
