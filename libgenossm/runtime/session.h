// Session: one causal sequence fed in parts of any length, with a state that may be copied, saved
// and restored.
//
// The state is the carry at the last place where the sequence may be cut without changing a bit
// (Lane::finest) and the tokens since, which are recomputed on resuming: so a sequence may be split
// anywhere and gives the same bytes, also on devices whose scans work tile by tile.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "libgenossm/runtime/lane.h"

namespace genossm {

class State {
 public:
  Index position() const { return carry.position + static_cast<Index>(recent.size()); }
  // A self-contained copy: little-endian, with a magic word and the sizes. parse() throws
  // Fault::input when the text is not a state of that model's sizes.
  std::string bytes() const;
  static State parse(std::string_view bytes, const Model& model);

  Carry carry;  // its position is a multiple of Lane::finest() there; none at the start
  std::vector<std::int32_t> recent;  // tokens since, fewer than that
};

class Session {
 public:
  Session(const Model& model, Device& device, Features features, Index chunk, Index slab);

  // Room for so many tokens of history at once, where the length is known before. Fault::memory.
  void reserve(Index tokens);

  // Feeds more tokens and hands out their rows: emit(first token of the sequence, rows).
  using Emit = std::function<void(Index, View<const float, 2>)>;
  void feed(Tokens tokens, const Emit& emit);

  const State& state() const { return state_; }
  void restore(State state) { state_ = std::move(state); }

 private:
  void begin();

  const Model& model_;
  Device& device_;
  Lane lane_;
  State state_;
};

}  // namespace genossm
