#include "libgenossm/io/hts.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "kernels/core/error.h"

namespace genossm {

std::string shown_path(const std::string& path) { return path == "-" ? "standard input" : path; }

HFileHandle open_input(const std::string& path) {
  hts_set_log_level(HTS_LOG_OFF);
  const auto refuse = [&](const std::string& why) {
    fail(Fault::missing, shown_path(path) + ": cannot be read (" + why + ")");
  };
  const auto reason = [] { return std::generic_category().message(errno); };
  const bool standard = path == "-";
  const int descriptor = standard ? ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                                  : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) refuse(standard ? "it is closed" : reason());
  struct stat status = {};
  if (::fstat(descriptor, &status) != 0 || S_ISDIR(status.st_mode)) {
    const std::string why = S_ISDIR(status.st_mode) ? "it is a folder, want a file" : reason();
    ::close(descriptor);
    refuse(why);
  }
  HFileHandle file(hdopen(descriptor, "r"));
  if (!file) {
    const std::string why = reason();
    ::close(descriptor);
    refuse(why);
  }
  return file;
}

void forbid_reference_downloads() {
  // A folder that cannot exist: its parent is not a folder.
  constexpr const char* kNowhere = "/dev/null/%s";
  ::setenv("REF_PATH", kNowhere, 1);
  ::setenv("REF_CACHE", kNowhere, 1);
}

}  // namespace genossm
