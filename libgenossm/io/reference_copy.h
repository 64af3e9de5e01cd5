// A reference as htslib wants it for CRAM: a path with an index that fits beside it. Where that
// cannot be, a private folder holds a link to the file and an index of ours, until the end.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace genossm {

class IndexedReference {
 public:
  IndexedReference() = default;
  IndexedReference(const std::string& path, const std::string& temporary_folder);
  IndexedReference(const IndexedReference&) = delete;
  IndexedReference& operator=(const IndexedReference&) = delete;
  ~IndexedReference();

  // Absolute, so that it cannot be taken for the address of something on a network.
  const std::filesystem::path& path() const { return path_; }
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  std::filesystem::path path_;
  std::filesystem::path folder_;  // empty: none was needed
  std::vector<std::string> warnings_;
};

}  // namespace genossm
