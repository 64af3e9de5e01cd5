// NameSet: which names have been seen, by 64-bit hashes in one flat table (16 bytes a name at
// most). Two names in 10^7 share a hash about once in 10^5 files; it serves for warnings only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace genossm {

class NameSet {
 public:
  // Beyond this many names nothing more is remembered: 320 MiB at most.
  static constexpr std::size_t kMost = 20'000'000;

  // True if the name was there already.
  bool seen(std::string_view name);
  bool full() const { return count_ >= kMost; }

 private:
  bool insert(std::uint64_t hash);

  std::vector<std::uint64_t> slots_;  // 0: free
  std::size_t count_ = 0;
};

}  // namespace genossm
