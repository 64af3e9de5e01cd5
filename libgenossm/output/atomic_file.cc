#include "libgenossm/output/atomic_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>

#include "kernels/core/error.h"

namespace genossm {
namespace {

namespace fs = std::filesystem;

std::string reason(int code) { return std::generic_category().message(code); }

fs::path folder_of(const fs::path& file) {
  return file.has_parent_path() ? file.parent_path() : fs::path(".");
}

// What a link leads to, so that it is this that is replaced; a link to nothing stands for itself.
fs::path follow(const std::string& path) {
  std::error_code error;
  if (!fs::is_symlink(path, error)) return path;
  const fs::path target = fs::canonical(path, error);
  return error ? fs::path(path) : target;
}

bool same_file(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

// The entry of a renamed file. Not every file system can sync a folder, and not every folder that
// may be written may be read: neither takes anything from the file.
void sync_folder(const fs::path& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  static_cast<void>(::fsync(descriptor));
  ::close(descriptor);
}

}  // namespace

bool is_device(const std::string& path) {
  struct stat status = {};
  return ::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode);
}

AtomicFile::AtomicFile(const std::string& path, bool force) : path_(path), force_(force) {
  const fs::path target = follow(path);
  std::error_code ignored;
  if (!target.has_filename() || fs::is_directory(target, ignored)) {
    fail(Fault::output, path_ + ": is a folder, want a file");
  }
  if (is_device(path)) {
    fail(Fault::output, path_ + ": is no file, and this format cannot be written as a stream");
  }
  final_ = target.string();
  std::string name(1, '.');
  name.append(target.filename().string()).append(".genossm-part");
  temporary_ = (folder_of(target) / name).string();
  refuse_existing();
  sink_ = open_locked();
  try {
    // Another process may have completed the output between the first look and the lock.
    refuse_existing();
    if (::ftruncate(sink_.descriptor(), 0) != 0) refuse(reason(errno));
  } catch (...) {
    discard();
    throw;
  }
}

AtomicFile::~AtomicFile() { discard(); }

void AtomicFile::refuse(const std::string& why) const {
  fail(Fault::output, path_ + ": cannot be written (" + why + ")");
}

void AtomicFile::refuse_existing() const {
  struct stat status = {};
  if (!force_ && ::lstat(final_.c_str(), &status) == 0) {
    fail(Fault::output, path_ + ": exists already; --force overwrites it");
  }
}

ByteSink AtomicFile::open_locked() const {
  constexpr int kFlags = O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
  for (;;) {
    int descriptor = ::open(temporary_.c_str(), kFlags | O_CREAT | O_EXCL, 0666);
    const bool created = descriptor >= 0;
    if (!created && errno == EEXIST) {
      descriptor = ::open(temporary_.c_str(), kFlags);
      if (descriptor < 0 && errno == ENOENT) continue;  // its writer has just finished
      if (descriptor < 0) refuse(temporary_ + ": " + reason(errno));
    } else if (!created) {
      const std::string folder = folder_of(final_).string();
      refuse(errno == ENOENT ? "there is no folder " + folder : folder + ": " + reason(errno));
    }
    ByteSink sink(descriptor, path_);
    struct stat opened = {}, named = {};
    if (::fstat(descriptor, &opened) != 0) refuse(reason(errno));
    if (!S_ISREG(opened.st_mode)) refuse(temporary_ + " is in the way");
    int locked = 0;
    do {
      locked = ::flock(descriptor, LOCK_EX | LOCK_NB);
    } while (locked != 0 && errno == EINTR);
    if (locked != 0 && errno == EWOULDBLOCK) refuse("another process is writing it");
    // Where files cannot be locked, having made the file is the lock.
    if (locked != 0 && !created) {
      refuse("another process is writing it, or was killed: then remove " + temporary_);
    }
    // What we have locked may have been renamed or removed before we did: then it is not ours.
    if (::lstat(temporary_.c_str(), &named) == 0 && same_file(opened, named)) return sink;
  }
}

void AtomicFile::discard() {
  if (sink_.descriptor() < 0) return;
  ::unlink(temporary_.c_str());  // while it is locked
  sink_ = ByteSink();
}

void AtomicFile::rename_into_place() const {
  if (!force_) {
    // Not even a file that appeared while we wrote is overwritten.
    if (::renameat2(AT_FDCWD, temporary_.c_str(), AT_FDCWD, final_.c_str(), RENAME_NOREPLACE) ==
        0) {
      return;
    }
    const bool unknown = errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP;
    if (!unknown && errno != EEXIST) refuse(reason(errno));
    refuse_existing();
  }
  if (::rename(temporary_.c_str(), final_.c_str()) != 0) refuse(reason(errno));
}

void AtomicFile::publish() {
  sync();
  rename_into_place();
  sink_ = ByteSink();
  sync_folder(folder_of(final_));
}

}  // namespace genossm
