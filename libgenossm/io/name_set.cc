#include "libgenossm/io/name_set.h"

#include <functional>

namespace genossm {

bool NameSet::seen(std::string_view name) {
  const std::uint64_t hash = std::hash<std::string_view>{}(name);
  if (full()) return false;
  if ((count_ + 1) * 5 > slots_.size() * 4) {  // at most four in five taken
    std::vector<std::uint64_t> old(slots_.empty() ? 1024 : slots_.size() * 2);
    old.swap(slots_);
    count_ = 0;
    for (const std::uint64_t h : old) {
      if (h != 0) insert(h);
    }
  }
  return !insert(hash == 0 ? 1 : hash);
}

bool NameSet::insert(std::uint64_t hash) {
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t i = static_cast<std::size_t>(hash) & mask;; i = (i + 1) & mask) {
    if (slots_[i] == hash) return false;
    if (slots_[i] == 0) {
      slots_[i] = hash;
      ++count_;
      return true;
    }
  }
}

}  // namespace genossm
