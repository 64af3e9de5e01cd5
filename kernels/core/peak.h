// What this machine can do at most, measured: the limits that the speed of an op is held against.
#pragma once

#include "kernels/core/cpu.h"

namespace genossm {

struct MachineSpeed {
  double fma_gflops = 0;         // multiply-adds from registers; one counts twice
  double copy_gbytes_per_s = 0;  // read and written, memory far beyond the caches
};

// Both with all threads of `cpu`, the best of several short runs.
MachineSpeed measure_machine(Cpu& cpu);

}  // namespace genossm
