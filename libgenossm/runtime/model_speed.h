// The speed of a model on this machine, beside that of its matrix products and long convolutions
// alone (gemm_replay.h).
#pragma once

#include "libgenossm/runtime/executor.h"
#include "libgenossm/runtime/gemm_replay.h"

namespace genossm {

struct SpeedRequest {
  Index tokens = 0;     // length of the sequences
  Index sequences = 1;  // how many in one run
  int repetitions = 3;  // the medians count; a run to warm up goes before
  Index chunk = 0;      // 0: planned
  Index memory = 0;     // bytes; 0: no limit
};

// Tokens are those of the input: a strand-sharing model runs each twice, once a strand, and its
// rows are the mean of both. The last hidden state is computed, not the head.
struct ModelSpeed {
  int threads = 1;
  double tokens_per_s = 0;       // wall time
  double gemm_tokens_per_s = 0;  // the products and long convolutions alone, wall time
  double ratio = 0;              // of the two
  // The same by processor time, a thread: what the machine would do if nobody else used it.
  double cpu_tokens_per_s = 0;
  double cpu_gemm_tokens_per_s = 0;
  double cpu_ratio = 0;
  double gemm_gflops = 0;  // of the products alone, all threads, wall time
};

// `device`: a Cpu, whose threads do the work and where the replay runs between the model's runs, so
// that both meet the same machine; or a Cuda, where there is no replay: only tokens_per_s is
// measured, the way of the rows to the host included.
ModelSpeed measure_model(const Model& model, Device& device, const SpeedRequest& request);

}  // namespace genossm
