// History: what attention layers remember of one sequence: a row for every token so far, which
// grows with the sequence, unlike the state of a recurrence.
//
// A layer's rows lie one after the other in memory of its own, the host's or a GPU's, row 0 that of
// the sequence's first token; what a row holds is the mixer's affair. Rows are written once and
// never changed by tokens after theirs, so a copy of the first n rows is the history after n
// tokens.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "kernels/core/buffer.h"
#include "kernels/core/build.h"
#include "kernels/core/cuda_bytes.h"
#include "kernels/core/error.h"

namespace genossm {

class History {
 public:
  static constexpr int kHost = -1;

  History() = default;
  // Bytes of a row of each layer; 0: the layer remembers nothing in this way. `gpu`: in whose
  // memory.
  explicit History(std::vector<Index> row_bytes, int gpu = kHost)
      : row_bytes_(std::move(row_bytes)), layers_(row_bytes_.size()), gpu_(gpu) {}

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
      Rows more = make(tokens, row_bytes_[i]);
      more.take(layers_[i], used * row_bytes_[i]);
      layers_[i] = std::move(more);
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
    gpu_ = from.gpu_;
    layers_.resize(row_bytes_.size());
    reserve(std::max(n, capacity), 0);
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      if (n > 0) layers_[i].take(from.layers_[i], n * row_bytes_[i]);
    }
  }

  // The first n rows of a layer, to and from host memory.
  void read(Index layer, Index n, std::byte* to) const {
    const Rows& from = layers_[static_cast<std::size_t>(layer)];
    const Index bytes = n * row_bytes(layer);
    if (bytes == 0) return;
    if constexpr (build::has_cuda) {
      if (gpu_ != kHost) return from.device.copy_out(to, bytes);
    }
    std::copy_n(from.host.data(), bytes, to);
  }
  void write(Index layer, Index n, const std::byte* from) {
    Rows& to = layers_[static_cast<std::size_t>(layer)];
    const Index bytes = n * row_bytes(layer);
    if (bytes == 0) return;
    if constexpr (build::has_cuda) {
      if (gpu_ != kHost) return to.device.copy_in(from, bytes);
    }
    std::copy_n(from, bytes, to.host.data());
  }

 private:
  // One of them.
  struct Rows {
    Buffer<std::byte> host;
    CudaBytes device;
    std::byte* data() const { return device.data() != nullptr ? device.data() : host.data(); }
    // Of one kind with it, and large enough.
    void take(const Rows& from, Index bytes) {
      if (bytes == 0) return;
      if constexpr (build::has_cuda) {
        if (device.data() != nullptr) return device.copy_from(from.device, bytes);
      }
      std::copy_n(from.host.data(), bytes, host.data());
    }
  };

  Rows make(Index tokens, Index bytes) const {
    const auto does_not_fit = [&](const char* memory) {
      fail(Fault::memory, "the keys and values of " + std::to_string(tokens) +
                              " tokens do not fit into " + memory + ". Use a smaller --window");
    };
    Rows rows;
    if constexpr (build::has_cuda) {
      if (gpu_ != kHost) {
        try {
          rows.device = CudaBytes(gpu_, tokens * bytes);
        } catch (const Error& error) {
          if (error.fault() != Fault::memory) throw;
          does_not_fit("the memory of the GPU");
        }
        return rows;
      }
    }
    try {
      rows.host = Buffer<std::byte>(tokens * bytes);
    } catch (const std::bad_alloc&) {
      does_not_fit("memory");
    }
    return rows;
  }

  std::vector<Index> row_bytes_;
  std::vector<Rows> layers_;
  int gpu_ = kHost;
  Index capacity_ = 0;
};

}  // namespace genossm
