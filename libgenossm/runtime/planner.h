// The planner: which order, how many rows at once, how many lanes, how much memory. A pure
// function, called before anything runs; it refuses with what was asked, what it needs, what there
// is and what to change.
#pragma once

#include <string>

#include "libgenossm/runtime/features.h"

namespace genossm {

enum class StrandMode { forward, reverse, average, both };

struct PlanRequest {
  Index window = 0;         // tokens of the longest window; 0: not known yet
  Index chunk = 0;          // rows asked for by the user; 0: the planner chooses
  Index memory = 0;         // bytes allowed in all; 0: no limit known
  Index device_memory = 0;  // bytes free on the GPU that holds the model; 0: not known
  int threads = 1;
  StrandMode strand = StrandMode::forward;
  Index columns = 0;  // of the result
};

struct Plan {
  bool layer_major = false;
  Index chunk = 0;        // rows of one step
  Index slab = 0;         // rows that go through all ops of a block together
  Index lane_slab = 0;    // the same inside a lane of one thread
  int lanes = 1;          // independent streams at once
  Index wave_tokens = 0;  // tokens whose results are held at once, all lanes together
  Index weight_bytes = 0;
  Index history_bytes = 0;  // of one lane: keys and values of the longest window, on its device
  Index lane_bytes = 0;     // one lane, its results and history included
  Index peak_bytes = 0;
  bool cuda = false;       // chunk is a batch on the GPU
  Index device_bytes = 0;  // of one batch and the history, beside the weights
  Index device_free = 0;   // what the request said is free there
  Index halved_to = 0;     // rows of a batch after device memory fell short; 0: it did not
};

// Throws Fault::memory, and Fault::usage for a window longer than the model's filters.
Plan make_plan(const Card& card, const PlanRequest& request);

// Bytes that this process may use: the smaller of the free memory and the cgroup's limit.
Index available_memory();

}  // namespace genossm
