// PackedBlocks: blocks of an output that several threads compress, handed on in their order. What
// is handed on does not depend on the number of threads.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/core/cpu.h"

namespace genossm {

class PackedBlocks {
 public:
  // A block, packed. Called by several threads at once.
  using Pack = std::function<std::string(std::string_view)>;
  // Called by the thread that adds.
  using Put = std::function<void(std::string_view packed)>;

  // threads >= 1; 1 hands every block on at once. Else some blocks a thread wait.
  PackedBlocks(int threads, Pack pack);

  // Throw what `pack` and `put` throw; the blocks that waited are then lost.
  void add(std::string_view block, const Put& put);
  void flush(const Put& put);  // none waits any longer

 private:
  Cpu cpu_;
  Pack pack_;
  std::size_t most_;
  std::size_t count_ = 0;             // of those that wait
  std::vector<std::string> waiting_;  // their room is used again
};

// As zlib's compress() does it, at its default level.
std::string zlib_packed(std::string_view block);

}  // namespace genossm
