#include "libgenossm/output/text_file.h"

#include <fcntl.h>
#include <htslib/bgzf.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "kernels/core/error.h"

namespace genossm {
namespace {

constexpr std::size_t kBlock = BGZF_BLOCK_SIZE;
constexpr int kLevel = -1;  // zlib's default, which bgzip uses

ByteSink open_device(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY);
  if (descriptor < 0) {
    fail(Fault::output,
         path + ": cannot be written (" + std::generic_category().message(errno) + ")");
  }
  return ByteSink(descriptor, path);
}

// An empty text makes the block that ends a BGZF file.
std::string bgzf_packed(std::string_view text) {
  std::string packed(BGZF_MAX_BLOCK_SIZE, '\0');
  std::size_t size = packed.size();
  if (bgzf_compress(packed.data(), &size, text.data(), text.size(), kLevel) != 0) {
    fail(Fault::internal,
         "htslib could not compress a block of " + std::to_string(text.size()) + " bytes");
  }
  packed.resize(size);
  return packed;
}

}  // namespace

TextFile::TextFile(const std::string& path, bool force, bool compressed, int threads) {
  if (is_standard_output(path)) {
    stream_ = ByteSink::standard_output();
  } else if (is_device(path)) {
    stream_ = open_device(path);
  } else {
    file_.emplace(path, force);
  }
  if (compressed) {
    block_.reserve(kBlock);
    blocks_.emplace(threads, bgzf_packed);
  }
}

void TextFile::write(std::string_view text) {
  if (!blocks_) {
    put(text);
    return;
  }
  while (!text.empty()) {
    const std::size_t n = std::min(kBlock - block_.size(), text.size());
    block_ += text.substr(0, n);
    text.remove_prefix(n);
    if (block_.size() == kBlock) {
      blocks_->add(block_, [this](std::string_view packed) { put(packed); });
      block_.clear();
    }
  }
}

void TextFile::line(std::string_view text) {
  if (text.find('\n') == std::string_view::npos && text.find('\r') == std::string_view::npos) {
    write(text);
  } else {
    std::string one(text);
    std::replace_if(
        one.begin(), one.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
    write(one);
  }
  write("\n");
}

void TextFile::sync() {
  if (!ended_ && blocks_) {
    const PackedBlocks::Put on = [this](std::string_view packed) { put(packed); };
    if (!block_.empty()) blocks_->add(block_, on);
    blocks_->add("", on);
    blocks_->flush(on);
  }
  ended_ = true;
  if (file_) {
    file_->sync();
  } else {
    stream_.flush();
  }
}

void TextFile::publish() {
  sync();
  if (file_) file_->publish();
}

}  // namespace genossm
