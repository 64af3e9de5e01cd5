// What the machine offers to this process, as the system tells it.
#pragma once

#include <optional>
#include <string>

#include "kernels/core/view.h"

namespace genossm {

struct MachineCores {
  int online = 0;               // of the machine
  int affinity = 0;             // that this process may run on
  std::optional<double> quota;  // CPUs' worth of time that the cgroup grants; none: no limit
};
MachineCores machine_cores();

struct MachineMemory {
  Index total = 0, available = 0;  // bytes, of the machine
  std::optional<Index> limit;      // of the cgroup; none: no limit
};
MachineMemory machine_memory();

std::string processor_name();  // "" where the system does not say

// The NVIDIA driver: what the kernel module says of itself, and whether its library can be opened.
struct GpuDriver {
  std::string module;      // "" without one
  std::string not_opened;  // why its library is not; "" if it is
  int cuda = 0;            // newest CUDA that the driver knows, 13000 for 13.0; 0 if not known
};
GpuDriver gpu_driver();

// Whether a shared library can be opened; "" if so, else why not.
std::string why_not_opened(const char* library);

}  // namespace genossm
