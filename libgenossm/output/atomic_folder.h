// AtomicFolder: a folder of outputs that appears under its name only when it is complete.
//
// It is filled as .NAME.genossm-part beside its place and locked for as long: a second process that
// would write the same output fails at once. What a killed run left there is removed first.
#pragma once

#include <string>

namespace genossm {

class AtomicFolder {
 public:
  // Throws Fault::output: `path` exists and `force` is not set, or is no folder; its parent is
  // missing or read-only; another process is writing it.
  AtomicFolder(const std::string& path, bool force);
  AtomicFolder(const AtomicFolder&) = delete;
  AtomicFolder& operator=(const AtomicFolder&) = delete;
  ~AtomicFolder();  // without publish() nothing is left, and what stood there before stays

  const std::string& temporary() const { return temporary_; }  // exists and is empty at first
  const std::string& path() const { return path_; }
  // Puts everything in it on the disk and gives it its name.
  void publish();

 private:
  [[noreturn]] void refuse(const std::string& why) const;
  void refuse_existing() const;

  std::string path_, final_, temporary_;
  bool force_ = false;
  int descriptor_ = -1;  // of the folder, locked
};

}  // namespace genossm
