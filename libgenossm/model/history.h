// History: what attention layers remember of one sequence: a row for every token so far, which
// grows with the sequence, unlike the state of a recurrence.
//
// A layer's rows lie one after the other in memory of its own, row 0 that of the sequence's first
// token; what a row holds is the mixer's affair. Rows are written once and never changed by tokens
// after theirs, so a copy of the first n rows is the history after n tokens.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "kernels/core/buffer.h"
#include "kernels/core/error.h"

namespace genossm {

class History {
 public:
  History() = default;
  // Bytes of a row of each layer; 0: the layer remembers nothing in this way.
  explicit History(std::vector<Index> row_bytes)
      : row_bytes_(std::move(row_bytes)), layers_(row_bytes_.size()) {}

  Index capacity() const { return capacity_; }  // tokens
  Index layers() const { return static_cast<Index>(layers_.size()); }
  Index row_bytes(Index layer) const { return row_bytes_[static_cast<std::size_t>(layer)]; }
  // Of a token in all layers together.
  Index token_bytes() const {
    Index sum = 0;
    for (const Index bytes : row_bytes_) sum += bytes;
    return sum;
  }
  std::byte* rows(Index layer) const { return layers_[static_cast<std::size_t>(layer)].data(); }

  // Room for so many tokens; the first `used` rows stay. One layer after the other, so that no more
  // than one of them is in memory twice. Throws Fault::memory.
  void reserve(Index tokens, Index used) {
    if (tokens <= capacity_) return;
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      if (row_bytes_[i] == 0) continue;
      try {
        Buffer<std::byte> more(tokens * row_bytes_[i]);
        if (used > 0) std::copy_n(layers_[i].data(), used * row_bytes_[i], more.data());
        layers_[i] = std::move(more);
      } catch (const std::bad_alloc&) {
        fail(Fault::memory, "the keys and values of " + std::to_string(tokens) +
                                " tokens do not fit into memory. Use a smaller --window");
      }
    }
    capacity_ = tokens;
  }

  // The same for one who does not know how long the sequence will be: with room to spare, so that
  // token after token costs no copy each.
  void grow(Index tokens, Index used) {
    if (tokens > capacity_) reserve(std::max(tokens, capacity_ + capacity_ / 4), used);
  }

  // The first n rows of another history of the same model, in room for `capacity` tokens.
  void assign(const History& from, Index n, Index capacity) {
    row_bytes_ = from.row_bytes_;
    layers_.resize(row_bytes_.size());
    reserve(std::max(n, capacity), 0);
    for (std::size_t i = 0; n > 0 && i < layers_.size(); ++i) {
      std::copy_n(from.layers_[i].data(), n * row_bytes_[i], layers_[i].data());
    }
  }

 private:
  std::vector<Index> row_bytes_;
  std::vector<Buffer<std::byte>> layers_;
  Index capacity_ = 0;
};

}  // namespace genossm
