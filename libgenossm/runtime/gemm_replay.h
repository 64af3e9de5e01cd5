// The matrix products of a forward pass, and its long convolutions, and nothing else: the floor
// under the time of a model whose other work were free. Same ops, same packed weights, same slabs
// as the model's own run; inputs and outputs are a slab's dense rows, which stay in the cache.
#pragma once

#include "libgenossm/model/model.h"

namespace genossm {

// Wall time, and the processor time of all threads together: the second is what a loaded machine
// leaves meaningful.
struct Timing {
  double seconds = 0;
  double cpu_seconds = 0;
};

// Processor time of this process so far, all threads, in seconds.
double process_cpu_seconds();

// Multiply-adds count twice; products of every block for `rows` rows. The vocabulary head is left
// out, as it is when embedding.
double product_flop(const Model& model, Index rows);

// The long convolutions of a forward pass over sequences of `tokens` tokens, of one sequence: timed
// on a few channels and scaled to all; filters ready-made. Zero for models that have none.
Timing replay_long_convs(const Model& model, Cpu& cpu, Index tokens);

// Runs the products of every block for `rows` rows, block after block and walk after walk over the
// rows, in slabs of `slab` rows that the threads share out among themselves.
Timing replay_products(const Model& model, Cpu& cpu, Index rows, Index slab);

}  // namespace genossm
