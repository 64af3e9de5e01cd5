#include "libgenossm/output/packed_blocks.h"

#include <zlib.h>

#include <algorithm>

#include "kernels/core/error.h"

namespace genossm {
namespace {

// Blocks take about as long as one another; the more there are, the less the threads wait for the
// last. With 64 KiB a block and as much when packed, what waits stays below 16 MiB.
constexpr std::size_t kBlocksOfThread = 4, kMost = 128;

}  // namespace

PackedBlocks::PackedBlocks(int threads, Pack pack)
    : cpu_(threads),
      pack_(std::move(pack)),
      most_(threads > 1 ? std::min(kMost, kBlocksOfThread * static_cast<std::size_t>(threads))
                        : 1) {}

void PackedBlocks::add(std::string_view block, const Put& put) {
  if (waiting_.size() == count_) waiting_.emplace_back();
  waiting_[count_++].assign(block);
  if (count_ == most_) flush(put);
}

void PackedBlocks::flush(const Put& put) {
  const std::size_t n = count_;
  count_ = 0;
  std::vector<std::string> packed(n);
  cpu_.for_each(static_cast<Index>(n), [&](Index i) {
    const auto k = static_cast<std::size_t>(i);
    packed[k] = pack_(waiting_[k]);
  });
  for (const std::string& bytes : packed) put(bytes);
}

std::string zlib_packed(std::string_view block) {
  uLongf size = compressBound(block.size());
  std::string bytes(size, '\0');
  if (compress(reinterpret_cast<Bytef*>(bytes.data()), &size,
               reinterpret_cast<const Bytef*>(block.data()), block.size()) != Z_OK) {
    fail(Fault::internal,
         "zlib could not compress a block of " + std::to_string(block.size()) + " bytes");
  }
  bytes.resize(size);
  return bytes;
}

}  // namespace genossm
