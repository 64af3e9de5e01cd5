#include <fcntl.h>
#include <sys/stat.h>

#include <csignal>
#include <thread>

#include "libgenossm/output/tsv.h"
#include "tests/unit/output/rows.h"

namespace genossm::testing {
namespace {

namespace fs = std::filesystem;

// All members of a gzip file, by zlib.
std::string gunzip(const std::string& path) {
  gzFile file = gzopen(path.c_str(), "rb");
  std::string text(100'000, '\0'), all;
  for (int n = 0; (n = gzread(file, text.data(), 100'000)) > 0;) {
    all.append(text, 0, static_cast<std::size_t>(n));
  }
  gzclose(file);
  return all;
}

void write_lines(const std::string& path, int lines, const std::string& type = "") {
  const auto table = open_table({path, type, false}, {"##first", "#a\tb"});
  for (int i = 0; i < lines; ++i) table->line("line\t" + std::to_string(i * 7919));
  table->finish();
}

std::string lines_text(int lines) {
  std::string text = "##first\n#a\tb\n";
  for (int i = 0; i < lines; ++i) text += "line\t" + std::to_string(i * 7919) + "\n";
  return text;
}

// Standard output is something else for as long as this lives.
class Redirected {
 public:
  explicit Redirected(int descriptor) : saved_(::dup(STDOUT_FILENO)) {
    ::dup2(descriptor, STDOUT_FILENO);
  }
  ~Redirected() {
    ::dup2(saved_, STDOUT_FILENO);
    ::close(saved_);
  }

 private:
  int saved_;
};

TEST(Table, Plain) {
  const TemporaryFolder folder;
  const std::string path = (folder.path() / "a.tsv").string();
  write_lines(path, 100'000);
  EXPECT_TRUE(slurp(path) == lines_text(100'000));
  EXPECT_EQ(entries(folder.path()), 1u);
  expect_refusal(Fault::output, {"exists already"}, [&] { write_lines(path, 1); });
}

TEST(Table, Bgzip) {
  const TemporaryFolder folder;
  for (const int lines : {0, 1, 5000, 100'000}) {
    const std::string path = (folder.path() / (std::to_string(lines) + ".tsv.gz")).string();
    write_lines(path, lines);
    EXPECT_TRUE(gunzip(path) == lines_text(lines));
    const std::string bytes = slurp(path);
    EXPECT_TRUE(bytes.starts_with(std::string("\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0", 16)));
    // The block that ends a BGZF file, SAM specification 4.1.2.
    EXPECT_TRUE(bytes.ends_with(std::string(
        "\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0\x1b\0\x03\0\0\0\0\0\0\0\0\0", 28)));
    const std::string again = (folder.path() / "again.gz").string();
    write_lines(again, lines, "tsv.gz");
    EXPECT_TRUE(slurp(again) == bytes);
    fs::remove(again);
  }
}

TEST(Table, NothingIsLeftOfAnUnfinishedOne) {
  const TemporaryFolder folder;
  for (const char* name : {"a.tsv", "a.tsv.gz"}) {
    const auto table = open_table({(folder.path() / name).string(), "", false}, {"#a"});
    table->line("b");
  }
  EXPECT_EQ(entries(folder.path()), 0u);
}

TEST(Table, ALineIsALine) {
  const TemporaryFolder folder;
  const std::string path = (folder.path() / "a.tsv").string();
  const auto table = open_table({path, "", false}, {"#a\nb"});
  table->line("x\ny\r\tz");
  table->line("");
  table->finish();
  EXPECT_EQ(slurp(path), "#a b\nx y \tz\n\n");
}

TEST(Table, StandardOutput) {
  const TemporaryFolder folder;
  for (const char* type : {"tsv", "tsv.gz"}) {
    for (const char* name : {"-", "/dev/stdout"}) {
      const std::string path = folder.write("out", "");
      {
        const int descriptor = ::open(path.c_str(), O_WRONLY);
        const Redirected redirected(descriptor);
        ::close(descriptor);
        ASSERT_EQ(::write(STDOUT_FILENO, "before\n", 7), 7);
        write_lines(name, 1000, type);
      }
      const std::string text = slurp(path);
      ASSERT_TRUE(text.starts_with("before\n"));
      const std::string rest = folder.write("rest", text.substr(7));
      EXPECT_TRUE((type == std::string("tsv") ? text.substr(7) : gunzip(rest)) == lines_text(1000));
    }
  }
}

TEST(Table, FullDevice) {
  for (const char* type : {"tsv", "tsv.gz"}) {
    for (const int lines : {1, 200'000}) {
      expect_refusal(Fault::output, {"/dev/full", "No space left"},
                     [&] { write_lines("/dev/full", lines, type); });
      const int full = ::open("/dev/full", O_WRONLY);
      std::optional<Refusal> got;
      {
        const Redirected redirected(full);
        got = refusal([&] { write_lines("-", lines, type); });
      }
      ::close(full);
      ASSERT_TRUE(got.has_value());
      EXPECT_EQ(got->fault, Fault::output);
      EXPECT_EQ(got->sentence, "standard output: cannot be written (No space left on device)");
    }
  }
  write_lines("/dev/null", 10);
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
}

TEST(Table, ClosedPipe) {
  const auto handler = std::signal(SIGPIPE, SIG_IGN);  // as main() does
  int ends[2] = {};
  ASSERT_EQ(::pipe(ends), 0);
  ::close(ends[0]);
  std::optional<Refusal> got;
  {
    const Redirected redirected(ends[1]);
    got = refusal([] { write_lines("-", 1); });
  }
  ::close(ends[1]);
  std::signal(SIGPIPE, handler);
  ASSERT_TRUE(got.has_value());
  EXPECT_EQ(got->fault, Fault::output);
  EXPECT_EQ(got->sentence, "standard output: cannot be written (Broken pipe)");
}

TEST(Table, ClosedStandardOutput) {
  const int saved = ::dup(STDOUT_FILENO);
  ::close(STDOUT_FILENO);
  const auto got = refusal([] { write_lines("-", 1); });
  ::dup2(saved, STDOUT_FILENO);
  ::close(saved);
  ASSERT_TRUE(got.has_value());
  EXPECT_EQ(got->fault, Fault::output);
  EXPECT_EQ(got->sentence, "standard output: cannot be written (Bad file descriptor)");
}

TEST(Table, APipeWhoseReaderIsSlow) {
  const TemporaryFolder folder;
  const std::string path = (folder.path() / "pipe").string();
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  std::string got;
  std::thread reader([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    got = slurp(path);
  });
  write_lines(path, 50'000);
  reader.join();
  EXPECT_TRUE(got == lines_text(50'000));

  // A pipe that does not block is waited for.
  int ends[2] = {};
  ASSERT_EQ(::pipe(ends), 0);
  ASSERT_EQ(::fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
  got.clear();
  std::thread drain([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    char bytes[5000];
    for (ssize_t n = 0; (n = ::read(ends[0], bytes, sizeof bytes)) > 0;) {
      got.append(bytes, static_cast<std::size_t>(n));
    }
  });
  {
    const Redirected redirected(ends[1]);
    ::close(ends[1]);
    write_lines("-", 50'000);
  }
  drain.join();
  ::close(ends[0]);
  EXPECT_TRUE(got == lines_text(50'000));
}

}  // namespace
}  // namespace genossm::testing
