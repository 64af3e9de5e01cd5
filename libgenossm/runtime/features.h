// What a run is asked for: the columns that every token's row consists of.
#pragma once

#include <vector>

#include "libgenossm/model/model.h"

namespace genossm {

struct Features {
  // Residual stream after block i (0: the embedding); kLast: after the final norm. Concatenated in
  // the order given. Ignored with logits.
  static constexpr Index kLast = -1;
  std::vector<Index> layers{kLast};
  bool logits = false;

  Index columns(const Card& card) const {
    return logits ? card.vocab : static_cast<Index>(layers.size()) * card.d_model;
  }
};

}  // namespace genossm
