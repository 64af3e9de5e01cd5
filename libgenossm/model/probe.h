// Probe: is shown what a model does while it does it: the residual stream after every block, and
// the recurrence of a block token by token. Changes no result; costs time.
#pragma once

#include "kernels/core/view.h"

namespace genossm {

// One token of a recurrence h[t] = exp(delta[t] A) h[t-1] + ..., after it.
struct RecurrenceStep {
  Index token = 0;             // of the sequence
  bool reverse = false;        // the direction that runs right to left
  bool fresh = false;          // the first token that this direction meets
  View<const float, 1> delta;  // [C]  step sizes, after bias, softplus and clamp
  View<const float, 2> A;      // [N, C]  the continuous rates, below zero
  // The state in rows, row r times scale[r] where there is a scale.
  View<const float, 2> h;
  View<const float, 1> scale;
};

class Probe {
 public:
  virtual ~Probe() = default;
  // x [n, D]: the residual stream of tokens [first, first + n) before block `layer`; layer 0 is the
  // embedding, the number of blocks the end of the last.
  virtual void stream(Index layer, Index first, View<const float, 2> x) = 0;
  // Whether step() is wanted of the block that comes next. Without, recurrences run as ever.
  virtual bool wants_steps() const = 0;
  virtual void step(const RecurrenceStep& step) = 0;
};

// softplus(dt + bias) as the ops have it, in double. bias: empty for none.
View<const float, 1> step_sizes(View<const float, 1> dt, View<const float, 1> bias, float least,
                                float most, View<float, 1> out);

}  // namespace genossm
