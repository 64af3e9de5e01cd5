// The speed of single ops at the sizes of a 256-wide model, against the limits of this machine.
#pragma once

#include <string>
#include <vector>

#include "kernels/core/peak.h"

namespace genossm {

struct OpSpeed {
  std::string op;      // "selective_scan"
  std::string sizes;   // "L 32768, D 512, N 16"
  double seconds = 0;  // of one run over all tokens, the best
  // A multiply-add counts twice, an exponential or a division once.
  double gflops = 0;
  // Every input read once, every output written once.
  double gbytes_per_s = 0;
  double fma_ratio = 0;   // of MachineSpeed::fma_gflops
  double copy_ratio = 0;  // of MachineSpeed::copy_gbytes_per_s
  // The larger of the two: the share of the time that the nearer limit alone would take.
  double ratio = 0;
};

struct OpRequest {
  std::string only;  // the name of one op; empty: all
  Index tokens = 32'768;
  int repetitions = 7;
};

// The names that OpRequest::only may hold.
std::vector<std::string> measured_ops();

// Throws Fault::usage for a name that is not among them.
std::vector<OpSpeed> measure_ops(Cpu& cpu, const MachineSpeed& machine, const OpRequest& request);

}  // namespace genossm
