#include "kernels/core/buffer.h"

#include <sys/mman.h>

#include <cstdlib>
#include <new>

namespace genossm {

void* allocate_aligned(std::size_t bytes) {
  constexpr std::size_t kLargePage = std::size_t{2} << 20;
  // From a few large pages on, rounding up wastes little. Ops that go down columns touch a page a
  // row: on small pages every touch is a walk through the page table.
  const std::size_t unit = bytes >= 4 * kLargePage ? kLargePage : 64;
  const std::size_t rounded = (bytes + unit - 1) / unit * unit;
  void* data = rounded >= bytes ? std::aligned_alloc(unit, rounded) : nullptr;
  if (data == nullptr) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
  // A wish, not a need: whether it is granted changes no result.
  if (unit == kLargePage) madvise(data, rounded, MADV_HUGEPAGE);
#endif
  return data;
}

}  // namespace genossm
