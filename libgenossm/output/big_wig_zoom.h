// The zoom levels of a bigWig: for bins of 10, 40, 160 ... bases how many have a value, the least
// and the greatest, the sum and the sum of squares.
//
// They are made while the values go by, and wait compressed in a file without a name beside the
// output: memory does not grow with the length of a contig. (libBigWig makes them from all values
// of a contig at once, some 14 bytes a base.) Layout: Kent et al. 2010,
// doi:10.1093/bioinformatics/btq351.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "libgenossm/output/packed_blocks.h"

namespace genossm {

class BigWigZoom {
 public:
  static constexpr int kMostLevels = 10;

  // `temporary`: a name that is free; `label` begins messages; `threads` compress. Throws
  // Fault::output.
  BigWigZoom(const std::string& temporary, std::string label, int threads);
  BigWigZoom(const BigWigZoom&) = delete;
  BigWigZoom& operator=(const BigWigZoom&) = delete;
  ~BigWigZoom();

  // The values of the bases from `begin` on, in the order of contigs and places. `length`: of the
  // contig.
  void add(std::uint32_t contig, std::uint32_t length, std::uint32_t begin,
           std::span<const float> values);

  // Appends the levels to the finished bigWig in `descriptor`, whose header has room for
  // kMostLevels, and says there how many they are. Throws Fault::output.
  void append_to(int descriptor);

 private:
  struct Record {
    std::uint32_t contig = 0, begin = 0, end = 0, count = 0;
    float least = 0, most = 0;
    double sum = 0, squares = 0;
  };
  // Records that were compressed together, and the places that they span.
  struct Block {
    std::uint32_t first_contig = 0, begin = 0, last_contig = 0, end = 0;
    std::uint64_t at = 0, bytes = 0;  // in the waiting file, then in the bigWig
  };
  struct Level {
    std::uint32_t size = 0;  // bases of a bin
    Record open;
    std::string packed;  // records of the block that is being filled
    Block block;
    std::vector<Block> blocks;
    std::uint64_t records = 0;
  };

  void take(std::size_t level, const Record& part, std::uint32_t length);
  void close(std::size_t level, std::uint32_t length);
  void flush(Level& level);
  void put(std::string_view packed);
  void write(int descriptor, std::string_view bytes, std::uint64_t at) const;
  std::string index_of(const Level& level, std::uint64_t at) const;
  [[noreturn]] void refuse(int code) const;

  std::string label_;
  int waiting_ = -1;
  std::uint64_t waiting_bytes_ = 0;
  std::vector<Level> levels_;
  PackedBlocks packed_;
  std::deque<std::pair<std::size_t, std::size_t>> unplaced_;  // level and block, in their order
  std::uint32_t contig_ = 0, length_ = 0;                     // of the last value
};

}  // namespace genossm
