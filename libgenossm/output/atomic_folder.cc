#include "libgenossm/output/atomic_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "kernels/core/error.h"

namespace genossm {
namespace {

namespace fs = std::filesystem;

std::string reason(int code) { return std::generic_category().message(code); }

void sync_folder(const std::string& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  static_cast<void>(::fsync(descriptor));
  ::close(descriptor);
}

}  // namespace

AtomicFolder::AtomicFolder(const std::string& path, bool force) : path_(path), force_(force) {
  final_ = path;
  while (final_.size() > 1 && final_.ends_with('/')) final_.pop_back();
  const fs::path target(final_);
  if (!target.has_filename()) refuse("it has no name");
  const fs::path parent = target.has_parent_path() ? target.parent_path() : fs::path(".");
  temporary_ = (parent / ("." + target.filename().string() + ".genossm-part")).string();
  refuse_existing();
  for (;;) {
    if (::mkdir(temporary_.c_str(), 0777) != 0 && errno != EEXIST) {
      refuse(errno == ENOENT ? "there is no folder " + parent.string()
                             : parent.string() + ": " + reason(errno));
    }
    descriptor_ = ::open(temporary_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (descriptor_ < 0 && errno == ENOENT) continue;  // its writer has just finished
    if (descriptor_ < 0) refuse(temporary_ + ": " + reason(errno));
    int locked = 0;
    do {
      locked = ::flock(descriptor_, LOCK_EX | LOCK_NB);
    } while (locked != 0 && errno == EINTR);
    if (locked != 0 && errno == EWOULDBLOCK) {
      ::close(descriptor_);
      descriptor_ = -1;
      refuse("another process is writing it");
    }
    struct stat opened = {}, named = {};
    if (::fstat(descriptor_, &opened) == 0 && ::lstat(temporary_.c_str(), &named) == 0 &&
        opened.st_dev == named.st_dev && opened.st_ino == named.st_ino) {
      break;
    }
    ::close(descriptor_);
    descriptor_ = -1;
  }
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(temporary_, error)) {
    fs::remove_all(entry.path(), error);
  }
}

AtomicFolder::~AtomicFolder() {
  if (descriptor_ < 0) return;
  std::error_code ignored;
  fs::remove_all(temporary_, ignored);
  ::close(descriptor_);
}

void AtomicFolder::refuse(const std::string& why) const {
  fail(Fault::output, path_ + ": cannot be written (" + why + ")");
}

void AtomicFolder::refuse_existing() const {
  struct stat status = {};
  if (::lstat(final_.c_str(), &status) != 0) return;
  if (!S_ISDIR(status.st_mode)) fail(Fault::output, path_ + ": is a file, want a folder");
  if (!force_) fail(Fault::output, path_ + ": exists already; --force overwrites it");
}

void AtomicFolder::publish() {
  // All that was written in it, however many files.
  if (::syncfs(descriptor_) != 0) refuse(reason(errno));
  refuse_existing();
  std::error_code error;
  std::string old;
  if (fs::exists(final_, error)) {
    // A folder cannot be replaced in one step: the old one makes way first.
    old = temporary_ + "-old";
    fs::remove_all(old, error);
    if (::rename(final_.c_str(), old.c_str()) != 0) refuse(reason(errno));
  }
  if (::rename(temporary_.c_str(), final_.c_str()) != 0) {
    const int code = errno;
    if (!old.empty()) static_cast<void>(::rename(old.c_str(), final_.c_str()));
    refuse(reason(code));
  }
  ::close(descriptor_);
  descriptor_ = -1;
  const fs::path parent = fs::path(final_).parent_path();
  sync_folder(parent.empty() ? "." : parent.string());
  if (!old.empty()) fs::remove_all(old, error);
}

}  // namespace genossm
