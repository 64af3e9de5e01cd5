#include "libgenossm/base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include "kernels/core/error.h"

namespace genossm {

struct MappedFile::Mapping {
  std::filesystem::path path;
  int descriptor = -1;
  void* data = nullptr;
  std::size_t size = 0;
  timespec changed{};

  Mapping() = default;
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() {
    if (data != nullptr) ::munmap(data, size);
    if (descriptor >= 0) ::close(descriptor);
  }
};

namespace {

[[noreturn]] void fail_with(const std::filesystem::path& path, const std::string& what, int code) {
  fail(Fault::missing, path.string() + ": " + what + ": " + std::generic_category().message(code));
}

}  // namespace

MappedFile MappedFile::open(const std::filesystem::path& path) {
  auto mapping = std::make_shared<Mapping>();
  mapping->path = path;
  // O_NONBLOCK: opening a pipe that has no writer must not wait.
  mapping->descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (mapping->descriptor < 0) fail_with(path, "cannot be opened", errno);
  struct stat status {};
  if (::fstat(mapping->descriptor, &status) != 0) fail_with(path, "cannot be examined", errno);
  if (!S_ISREG(status.st_mode)) {
    fail(Fault::missing, path.string() + ": is not a regular file");
  }
  mapping->size = static_cast<std::size_t>(status.st_size);
  mapping->changed = status.st_mtim;
  if (mapping->size > 0) {
    void* data = ::mmap(nullptr, mapping->size, PROT_READ, MAP_PRIVATE, mapping->descriptor, 0);
    if (data == MAP_FAILED) fail_with(path, "cannot be mapped into memory", errno);
    mapping->data = data;
  }
  MappedFile file;
  file.mapping_ = std::move(mapping);
  return file;
}

std::span<const std::byte> MappedFile::bytes() const {
  return {static_cast<const std::byte*>(mapping_->data), mapping_->size};
}

std::string_view MappedFile::text() const {
  return {static_cast<const char*>(mapping_->data), mapping_->size};
}

void MappedFile::not_needed(std::span<const std::byte> part) const {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  auto* base = static_cast<std::byte*>(mapping_->data);
  const auto begin = static_cast<std::size_t>(part.data() - base);
  const std::size_t first = (begin + page - 1) / page * page;
  const std::size_t last = (begin + part.size()) / page * page;
  // Only advice: if it is not taken, memory is all that is lost.
  if (last > first) ::madvise(base + first, last - first, MADV_DONTNEED);
}

const std::filesystem::path& MappedFile::path() const { return mapping_->path; }

void MappedFile::check_unchanged() const {
  struct stat status {};
  if (::fstat(mapping_->descriptor, &status) != 0) {
    fail_with(mapping_->path, "cannot be examined", errno);
  }
  if (static_cast<std::size_t>(status.st_size) != mapping_->size ||
      status.st_mtim.tv_sec != mapping_->changed.tv_sec ||
      status.st_mtim.tv_nsec != mapping_->changed.tv_nsec) {
    fail(Fault::missing, mapping_->path.string() + ": was changed while it was being read");
  }
}

}  // namespace genossm
