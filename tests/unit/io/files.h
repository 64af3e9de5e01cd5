// Small files for the tests of readers: written, compressed, read back.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/core/error.h"
#include "libgenossm/io/reader.h"

namespace genossm::testing {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "genossm-io-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = pattern;
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }
  std::string write(const std::string& name, std::string_view text) const {
    std::ofstream file(path_ / name, std::ios::binary);
    file << text;
    file.close();
    if (!file) throw std::runtime_error("cannot write " + name);
    return (path_ / name).string();
  }
  std::string copy(const std::filesystem::path& from) const {
    const auto to = path_ / from.filename();
    std::filesystem::copy_file(from, to);
    std::filesystem::permissions(to, std::filesystem::perms::owner_write,
                                 std::filesystem::perm_options::add);
    return to.string();
  }

 private:
  std::filesystem::path path_;
};

inline std::string slurp(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path.string());
  return std::string(std::istreambuf_iterator<char>(file), {});
}

struct Contents {
  std::vector<Record> records;
  ReadTally tally;
  std::string format;
};

inline Contents read_all(const std::string& path, const ReaderOptions& options = {}) {
  const auto reader = SequenceReader::open(path, options);
  Contents all;
  for (Record record; reader->next(record);) all.records.push_back(record);
  all.tally = reader->tally();
  all.format = reader->format();
  return all;
}

inline bool same_records(const std::vector<Record>& a, const std::vector<Record>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i].name != b[i].name || a[i].comment != b[i].comment || a[i].bases != b[i].bases) {
      return false;
    }
  }
  return true;
}

// All the warnings in one text.
inline std::string warnings_of(const ReadTally& tally) {
  std::string all;
  for (const auto& [text, times] : tally.warnings) {
    all += text + " (" + std::to_string(times) + ")\n";
  }
  return all;
}

struct Refusal {
  Fault fault;
  std::string sentence;
};

// What an action was refused with; nothing if it was not.
template <class Action>
std::optional<Refusal> refusal(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return Refusal{error.fault(), error.what()};
  }
  return std::nullopt;
}

// The action must be refused, with these words in the sentence.
template <class Action>
void expect_refusal(Fault fault, const std::vector<std::string>& words, Action action) {
  const std::optional<Refusal> got = refusal(action);
  ASSERT_TRUE(got.has_value()) << "not refused, want " << (words.empty() ? "" : words[0]);
  EXPECT_EQ(exit_code(got->fault), exit_code(fault)) << got->sentence;
  for (const std::string& word : words) {
    EXPECT_NE(got->sentence.find(word), std::string::npos)
        << "'" << word << "' is not in: " << got->sentence;
  }
}

// One gzip member; `window` is zlib's: 31 for gzip, -15 for a bare stream.
inline std::string deflated(std::string_view text, int window) {
  z_stream z = {};
  if (deflateInit2(&z, 6, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
    throw std::runtime_error("deflateInit2");
  }
  std::string out(text.size() * 2 + 1024, '\0'), in(text);
  z.next_in = reinterpret_cast<Bytef*>(in.data());
  z.avail_in = static_cast<uInt>(in.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  const int result = deflate(&z, Z_FINISH);
  out.resize(out.size() - z.avail_out);
  deflateEnd(&z);
  if (result != Z_STREAM_END) throw std::runtime_error("deflate");
  return out;
}

inline std::string gzip(std::string_view text) { return deflated(text, 31); }

inline void put_little(std::string& out, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> 8 * i & 255);
}

// SAM specification, section 4.1.
inline std::string bgzip_block(std::string_view text) {
  const std::string body = deflated(text, -15);
  std::string block("\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0", 16);
  put_little(block, body.size() + 25, 2);
  block += body;
  const std::string copy(text);
  put_little(block,
             crc32(0, reinterpret_cast<const Bytef*>(copy.data()), static_cast<uInt>(copy.size())),
             4);
  put_little(block, text.size(), 4);
  return block;
}

inline std::string bgzip(std::string_view text, std::size_t block, bool end_block = true) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); i += block) out += bgzip_block(text.substr(i, block));
  return end_block ? out + bgzip_block("") : out;
}

inline std::filesystem::path shared_data() { return GENOSSM_SHARED_DATA; }
inline bool has_shared_data() { return std::filesystem::is_directory(shared_data() / "io"); }

}  // namespace genossm::testing
