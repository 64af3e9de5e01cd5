// What a run is asked for: the columns that every token's row consists of.
#pragma once

#include <algorithm>
#include <vector>

#include "libgenossm/model/model.h"

namespace genossm {

struct Features {
  // Residual stream after block i (0: the embedding); kLast: after the final norm. Concatenated in
  // the order given. Ignored with logits.
  static constexpr Index kLast = -1;
  std::vector<Index> layers{kLast};
  bool logits = false;

  // Blocks that have to run: those after the last layer asked for would change nothing.
  Index depth(const Card& card) const {
    if (logits) return card.layers;
    Index last = 0;
    for (const Index layer : layers) last = std::max(last, layer == kLast ? card.layers : layer);
    return last;
  }

  Index columns(const Card& card) const {
    return logits ? card.vocab : static_cast<Index>(layers.size()) * card.d_model;
  }
};

}  // namespace genossm
