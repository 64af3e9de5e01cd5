#include "apps/machine.h"

#include <dlfcn.h>
#include <sched.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

namespace genossm {

MachineCores machine_cores() {
  MachineCores cores;
  cores.online = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (sched_getaffinity(0, sizeof mask, &mask) == 0) cores.affinity = CPU_COUNT(&mask);
  // cgroup v2, then v1.
  std::ifstream both("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (both >> quota >> period) {
    if (quota != "max" && period > 0) cores.quota = std::atof(quota.c_str()) / period;
    return cores;
  }
  std::ifstream first("/sys/fs/cgroup/cpu/cpu.cfs_quota_us");
  std::ifstream second("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  double limit = -1;
  if (first >> limit && second >> period && limit > 0 && period > 0) cores.quota = limit / period;
  return cores;
}

MachineMemory machine_memory() {
  MachineMemory memory;
  std::ifstream info("/proc/meminfo");
  std::string key, unit;
  Index kib = 0;
  while (info >> key >> kib) {
    std::getline(info, unit);
    if (key == "MemTotal:") memory.total = kib * 1024;
    if (key == "MemAvailable:") memory.available = kib * 1024;
  }
  for (const char* file :
       {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    std::ifstream limit(file);
    Index bytes = 0;
    // Without a limit the first says "max" and the second a number beyond any memory.
    if (limit >> bytes && bytes > 0 && bytes < (Index{1} << 60)) memory.limit = bytes;
  }
  return memory;
}

std::string processor_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    const auto colon = line.find(':');
    if (line.starts_with("model name") && colon != std::string::npos && colon + 2 <= line.size()) {
      return line.substr(colon + 2);
    }
  }
  return "";
}

std::string why_not_opened(const char* library) {
  void* const opened = dlopen(library, RTLD_LAZY | RTLD_LOCAL);
  if (opened != nullptr) {
    dlclose(opened);
    return "";
  }
  const char* why = dlerror();
  return why != nullptr ? why : "for an unknown reason";
}

GpuDriver gpu_driver() {
  GpuDriver driver;
  std::ifstream version("/proc/driver/nvidia/version");
  std::getline(version, driver.module);
  constexpr const char* kLibrary = "libcuda.so.1";
  driver.not_opened = why_not_opened(kLibrary);
  if (!driver.not_opened.empty()) return driver;
  void* const opened = dlopen(kLibrary, RTLD_LAZY | RTLD_LOCAL);
  using Version = int (*)(int*);
  const auto ask = reinterpret_cast<Version>(dlsym(opened, "cuDriverGetVersion"));
  if (ask == nullptr || ask(&driver.cuda) != 0) driver.cuda = 0;
  dlclose(opened);
  return driver;
}

}  // namespace genossm
