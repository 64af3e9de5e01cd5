// The speed of every op on this machine, beside what the same machine can do, measured in the same
// run: the larger of the time that its bytes need at the rate of a plain copy and the time that its
// arithmetic needs at the rate of a large matrix product.
#pragma once

#include <functional>
#include <string>

#include "kernels/core/device.h"

namespace genossm {

// What the machine does with the threads of the device, all together.
struct MachineSpeed {
  double copy_gbytes = 0;  // bytes read and bytes written, 10^9 a second
  double gflops = 0;       // fp32 matrix product, multiply and add counted as two
};

struct OpSpeed {
  std::string op, shape;
  double seconds = 0;  // median
  double gbytes = 0;   // every input read once and every output written once, 10^9 a second
  double gflops = 0;
  double ratio = 0;  // the bound over the time: 1 is as fast as it could be
  bool bound_by_memory = true;
};

MachineSpeed measure_machine(Cpu& cpu, int repetitions);

// Runs every op over `tokens` tokens in the shapes of a model 256 wide, calling take() with each
// result. `device` must be a Cpu (Fault::device).
void measure_ops(Device& device, const MachineSpeed& machine, Index tokens, int repetitions,
                 const std::function<void(const OpSpeed&)>& take);

}  // namespace genossm
