// AtomicFile: a file that appears under its name only when it is complete.
//
// The bytes go to .NAME.genossm-part in the same folder, which is locked for as long as it is
// written: a second process that would write the same output fails at once. What a killed run left
// there is overwritten. A symbolic link is followed, so that it goes on pointing to the output.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "libgenossm/output/byte_sink.h"

namespace genossm {

class AtomicFile {
 public:
  // Throws Error{Fault::output}: `path` exists and `force` is not set; it is a folder, a device or
  // a pipe; its folder is missing or read-only; another process is writing it.
  AtomicFile(const std::string& path, bool force);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();  // without publish() nothing is left, and what stood there before stays

  void write(std::string_view bytes) { sink_.write(bytes); }
  // Bytes that were written already, anew: headers whose numbers are known at the end.
  void overwrite(std::uint64_t offset, std::string_view bytes) { sink_.overwrite(offset, bytes); }
  std::uint64_t size() const { return sink_.size(); }
  const std::string& path() const { return path_; }  // as the user gave it

  // For libraries that write to a descriptor, or read what was written by its name: after sync()
  // and before publish(), or instead of write().
  int descriptor() const { return sink_.descriptor(); }
  const std::string& temporary() const { return temporary_; }

  // Puts all bytes on the disk, still under the temporary name. With an output of several files
  // each is synced before the first is published.
  void sync() { sink_.sync(); }
  // sync(), then the final name. Throws Fault::output; call once, last.
  void publish();

 private:
  void refuse_existing() const;
  ByteSink open_locked() const;
  void discard();
  void rename_into_place() const;
  [[noreturn]] void refuse(const std::string& why) const;

  std::string path_;
  std::string final_;      // path_ with links followed
  std::string temporary_;  // in the folder of final_
  bool force_ = false;
  ByteSink sink_;  // open for as long as the temporary file is there and ours
};

// The path leads to a thing that is neither file nor folder, such as a terminal, a pipe or
// /dev/null: it can be written to, but must never be replaced.
bool is_device(const std::string& path);

}  // namespace genossm
