// Carry: all that a causal sequence hands on from token to token: the states of its recurrences, of
// a size that the model gives, and the history of its attention layers, which grows.
#pragma once

#include <algorithm>
#include <utility>

#include "libgenossm/model/model.h"

namespace genossm {

struct Carry {
  Carry() = default;
  explicit Carry(const Model& model)
      : state(model.card().state_floats), history(model.new_history()) {}
  Carry(Carry&&) = default;
  Carry& operator=(Carry&&) = default;
  Carry(const Carry& other) : state(other.state.size()) {
    assign(other.state.data(), other.history, other.position, other.position);
  }
  Carry& operator=(const Carry& other) { return *this = Carry(other); }
  // The first `tokens` tokens of another sequence with the state that it had then.
  void assign(const float* state_then, const History& all, Index tokens, Index capacity) {
    std::copy_n(state_then, state.size(), state.data());
    history.assign(all, tokens, capacity);
    position = tokens;
  }

  Buffer<float> state;  // [state_floats], anything at the start of a sequence
  History history;
  Index position = 0;  // tokens seen; 0: the sequence starts here
};

}  // namespace genossm
