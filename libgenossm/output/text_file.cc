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

}  // namespace

TextFile::TextFile(const std::string& path, bool force, bool compressed) : compressed_(compressed) {
  if (is_standard_output(path)) {
    stream_ = ByteSink::standard_output();
  } else if (is_device(path)) {
    stream_ = open_device(path);
  } else {
    file_.emplace(path, force);
  }
  if (compressed_) {
    block_.reserve(kBlock);
    packed_.resize(BGZF_MAX_BLOCK_SIZE);
  }
}

void TextFile::write(std::string_view text) {
  if (!compressed_) {
    put(text);
    return;
  }
  while (!text.empty()) {
    const std::size_t n = std::min(kBlock - block_.size(), text.size());
    block_ += text.substr(0, n);
    text.remove_prefix(n);
    if (block_.size() == kBlock) {
      put_block(block_);
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

// An empty text makes the block that ends a BGZF file.
void TextFile::put_block(std::string_view text) {
  std::size_t size = packed_.size();
  if (bgzf_compress(packed_.data(), &size, text.data(), text.size(), kLevel) != 0) {
    fail(Fault::internal,
         "htslib could not compress a block of " + std::to_string(text.size()) + " bytes");
  }
  put({packed_.data(), size});
}

void TextFile::sync() {
  if (!ended_ && compressed_) {
    if (!block_.empty()) put_block(block_);
    put_block("");
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
