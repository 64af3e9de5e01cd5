#include "libgenossm/base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "kernels/core/error.h"

namespace genossm {

struct MappedFile::Mapping {
  struct File {
    std::filesystem::path path;
    int descriptor = -1;
    std::size_t size = 0;
    timespec changed{};
  };
  std::filesystem::path path;
  std::vector<File> files;  // none: a copy
  void* data = nullptr;
  std::size_t size = 0;

  Mapping() = default;
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() {
    if (data != nullptr) ::munmap(data, size);
    for (const File& file : files) ::close(file.descriptor);
  }
  void add(const std::filesystem::path& file);
  // Memory for all the files, of which nothing is mapped yet.
  void reserve(int protection);
};

namespace {

[[noreturn]] void fail_with(const std::filesystem::path& path, const std::string& what, int code) {
  fail(Fault::missing, path.string() + ": " + what + ": " + std::generic_category().message(code));
}

}  // namespace

void MappedFile::Mapping::add(const std::filesystem::path& name) {
  // O_NONBLOCK: opening a pipe that has no writer must not wait.
  const int descriptor = ::open(name.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (descriptor < 0) fail_with(name, "cannot be opened", errno);
  files.push_back({name, descriptor, 0, {}});
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) fail_with(name, "cannot be examined", errno);
  if (!S_ISREG(status.st_mode)) fail(Fault::missing, name.string() + ": is not a regular file");
  files.back().size = static_cast<std::size_t>(status.st_size);
  files.back().changed = status.st_mtim;
  size += files.back().size;
}

void MappedFile::Mapping::reserve(int protection) {
  if (size == 0) return;
  void* memory = ::mmap(nullptr, size, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) fail_with(path, "cannot be mapped into memory", errno);
  data = memory;
}

MappedFile MappedFile::open(const std::filesystem::path& path) {
  auto mapping = std::make_shared<Mapping>();
  mapping->path = path;
  mapping->add(path);
  if (mapping->size > 0) {
    void* data =
        ::mmap(nullptr, mapping->size, PROT_READ, MAP_PRIVATE, mapping->files[0].descriptor, 0);
    if (data == MAP_FAILED) fail_with(path, "cannot be mapped into memory", errno);
    mapping->data = data;
  }
  MappedFile file;
  file.mapping_ = std::move(mapping);
  return file;
}

MappedFile MappedFile::open_parts(const std::filesystem::path& path) {
  auto mapping = std::make_shared<Mapping>();
  mapping->path = path;
  for (int i = 0; i == 0 || std::filesystem::exists(path.string() + ".part" + std::to_string(i));
       ++i) {
    mapping->add(path.string() + ".part" + std::to_string(i));
  }
  mapping->reserve(PROT_READ | PROT_WRITE);
  // A part that begins within a page cannot be mapped behind the one before; it is read.
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  std::size_t at = 0;
  bool aligned = true;
  for (const Mapping::File& part : mapping->files) {
    auto* to = static_cast<std::byte*>(mapping->data) + at;
    aligned = aligned && at % page == 0;
    // The last page of a mapped part is left to what follows it.
    const bool last = &part == &mapping->files.back();
    const std::size_t mapped = !aligned ? 0 : last ? part.size : part.size / page * page;
    if (mapped > 0 &&
        ::mmap(to, mapped, PROT_READ, MAP_PRIVATE | MAP_FIXED, part.descriptor, 0) == MAP_FAILED) {
      fail_with(part.path, "cannot be mapped into memory", errno);
    }
    for (std::size_t done = mapped; done < part.size;) {
      const ssize_t n =
          ::pread(part.descriptor, to + done, part.size - done, static_cast<off_t>(done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) fail_with(part.path, "cannot be read", errno);
      if (n == 0)
        fail(Fault::missing, part.path.string() + ": was changed while it was being read");
      done += static_cast<std::size_t>(n);
    }
    at += part.size;
  }
  MappedFile file;
  file.mapping_ = std::move(mapping);
  return file;
}

MappedFile MappedFile::copy_of(std::span<const std::byte> bytes, const std::string& name) {
  auto mapping = std::make_shared<Mapping>();
  mapping->path = name;
  mapping->size = bytes.size();
  mapping->reserve(PROT_READ | PROT_WRITE);
  std::copy(bytes.begin(), bytes.end(), static_cast<std::byte*>(mapping->data));
  MappedFile file;
  file.mapping_ = std::move(mapping);
  return file;
}

MappedFile MappedFile::zeros(std::size_t size) {
  auto mapping = std::make_shared<Mapping>();
  mapping->path = "zeros";
  mapping->size = size;
  mapping->reserve(PROT_READ);
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
  // What was read rather than mapped would be lost.
  if (mapping_->files.size() != 1) return;
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
  for (const Mapping::File& file : mapping_->files) {
    struct stat status {};
    if (::fstat(file.descriptor, &status) != 0) fail_with(file.path, "cannot be examined", errno);
    if (static_cast<std::size_t>(status.st_size) != file.size ||
        status.st_mtim.tv_sec != file.changed.tv_sec ||
        status.st_mtim.tv_nsec != file.changed.tv_nsec) {
      fail(Fault::missing, file.path.string() + ": was changed while it was being read");
    }
  }
}

}  // namespace genossm
