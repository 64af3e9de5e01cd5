#include "libgenossm/output/byte_sink.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "kernels/core/error.h"

namespace genossm {
namespace {

constexpr std::size_t kBuffer = 256 * 1024;

}  // namespace

ByteSink::ByteSink(int descriptor, std::string label)
    : descriptor_(descriptor), label_(std::move(label)) {
  buffer_.reserve(kBuffer);
}

ByteSink::ByteSink(ByteSink&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      size_(std::exchange(other.size_, 0)),
      label_(std::move(other.label_)),
      buffer_(std::move(other.buffer_)) {}

ByteSink& ByteSink::operator=(ByteSink&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(size_, other.size_);
  std::swap(label_, other.label_);
  std::swap(buffer_, other.buffer_);
  return *this;
}

ByteSink::~ByteSink() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

ByteSink ByteSink::standard_output() {
  const int descriptor = ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
  ByteSink sink(descriptor, "standard output");
  if (descriptor < 0) sink.fail_now(errno);
  return sink;
}

void ByteSink::fail_now(int code) const {
  fail(Fault::output,
       label_ + ": cannot be written (" + std::generic_category().message(code) + ")");
}

void ByteSink::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(descriptor_, bytes.data(), bytes.size());
    if (n >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(n));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      // Whoever shares the pipe or terminal with us has made it non-blocking.
      pollfd ready = {descriptor_, POLLOUT, 0};
      if (::poll(&ready, 1, -1) < 0 && errno != EINTR) fail_now(errno);
    } else if (errno != EINTR) {
      fail_now(errno);
    }
  }
}

void ByteSink::write(std::string_view bytes) {
  size_ += bytes.size();
  if (bytes.size() <= kBuffer - buffer_.size()) {
    buffer_ += bytes;
    return;
  }
  flush();
  if (bytes.size() < kBuffer) {
    buffer_ += bytes;
  } else {
    send(bytes);
  }
}

void ByteSink::flush() {
  send(buffer_);
  buffer_.clear();
}

void ByteSink::overwrite(std::uint64_t offset, std::string_view bytes) {
  require(offset <= size_ && bytes.size() <= size_ - offset, Fault::internal,
          "ByteSink: a correction beyond what was written");
  flush();
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(n));
      offset += static_cast<std::uint64_t>(n);
    } else if (errno != EINTR) {
      fail_now(errno);
    }
  }
}

void ByteSink::sync() {
  flush();
  while (::fsync(descriptor_) != 0) {
    if (errno != EINTR) fail_now(errno);
  }
}

bool is_standard_output(const std::string& path) { return path == "-" || path == "/dev/stdout"; }

}  // namespace genossm
