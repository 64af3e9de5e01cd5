#include "kernels/core/cpu.h"

#include <sched.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>

namespace genossm {

struct Cpu::Arena {
  explicit Arena(int threads)
      : control(tbb::global_control::max_allowed_parallelism, static_cast<std::size_t>(threads)),
        arena(threads) {}
  // oneTBB would otherwise cap the arena at the number of cores; results are tested with more.
  tbb::global_control control;
  tbb::task_arena arena;
};

Cpu::Cpu(int threads) : threads_(std::max(threads, 1)) {
  if (threads_ > 1) arena_ = std::make_unique<Arena>(threads_);
}
Cpu::~Cpu() = default;
Cpu::Cpu(Cpu&&) noexcept = default;
Cpu& Cpu::operator=(Cpu&&) noexcept = default;

void Cpu::for_each(Index n, const std::function<void(Index)>& body) {
  if (!arena_ || n <= 1) {
    for (Index i = 0; i < n; ++i) body(i);
    return;
  }
  arena_->arena.execute([&] {
    // Isolated: a thread that waits here must not start an unrelated outer task, whose end the
    // inner loop would then have to await.
    tbb::this_task_arena::isolate(
        [&] { tbb::parallel_for(Index{0}, n, body, tbb::simple_partitioner()); });
  });
}

namespace {

// cgroup v2 "cpu.max" or v1 quota: the CPUs that a container may use at once; 0 when unlimited.
int cgroup_cpus() {
  std::ifstream v2("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (v2 >> quota >> period && quota != "max" && period > 0) {
    return static_cast<int>(std::ceil(std::atof(quota.c_str()) / period));
  }
  std::ifstream q("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), p("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  double limit = -1;
  if (q >> limit && p >> period && limit > 0 && period > 0) {
    return static_cast<int>(std::ceil(limit / period));
  }
  return 0;
}

}  // namespace

int available_threads() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  int n = 1;
  if (sched_getaffinity(0, sizeof mask, &mask) == 0) n = std::max(1, CPU_COUNT(&mask));
  const int quota = cgroup_cpus();
  return quota > 0 ? std::min(n, quota) : n;
}

}  // namespace genossm
