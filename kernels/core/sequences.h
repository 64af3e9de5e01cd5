// Several sequences that lie one after the other in the rows of one matrix, for the ops that run
// along them on a Cuda device in one set of launches.
#pragma once

#include <utility>
#include <vector>

#include "kernels/core/device.h"

namespace genossm {

struct SequenceRows {
  Index begin = 0, end = 0;  // rows
  // Where the carry of this sequence begins in the state memory, in floats. -1: there is none; the
  // sequence starts from zeros and its last state is forgotten.
  Index state = -1;
  bool fresh = true;               // starts from zeros even if it has a state
  std::int32_t first_segment = 0;  // of kCudaSegment tokens, counted over all sequences
};

// The same table in device memory, as kernels read it.
struct Sequences {
  View<const SequenceRows, 1> rows;
  View<const std::int32_t, 1> of_segment;  // [segments] which sequence a segment belongs to
  View<const SequenceRows, 1> on_host;     // `rows` in host memory
  constexpr Index segments() const { return of_segment.extent[0]; }
};

// Owns the device memory of a table. assign() keeps memory from call to call.
class SequenceTable {
 public:
  void assign(Cuda& cuda, std::vector<SequenceRows> rows) {
    std::vector<std::int32_t> of_segment;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      rows[i].first_segment = static_cast<std::int32_t>(of_segment.size());
      const Index n = (rows[i].end - rows[i].begin + kCudaSegment - 1) / kCudaSegment;
      of_segment.insert(of_segment.end(), static_cast<std::size_t>(n),
                        static_cast<std::int32_t>(i));
    }
    put(cuda, rows_, rows);
    put(cuda, of_segment_, of_segment);
    count_ = static_cast<Index>(rows.size());
    segments_ = static_cast<Index>(of_segment.size());
    on_host_ = std::move(rows);
  }
  // Valid until assign().
  Sequences view() const {
    return {
        {rows_.data(), {count_}}, {of_segment_.data(), {segments_}}, {on_host_.data(), {count_}}};
  }
  Index bytes() const { return rows_.bytes() + of_segment_.bytes(); }

 private:
  template <class T>
  static void put(Cuda& cuda, CudaBuffer<T>& to, const std::vector<T>& from) {
    const auto n = static_cast<Index>(from.size());
    if (to.size() < n) {
      cuda.wait();
      to = CudaBuffer<T>(cuda, n + n / 2);
    }
    if (n > 0) cuda.copy_in(to.data(), from.data(), n * Index{sizeof(T)});
  }
  CudaBuffer<SequenceRows> rows_;
  CudaBuffer<std::int32_t> of_segment_;
  std::vector<SequenceRows> on_host_;
  Index count_ = 0, segments_ = 0;
};

}  // namespace genossm
