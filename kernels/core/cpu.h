// Cpu: the host processor with a fixed number of threads (a oneTBB arena). Reference: the plain
// double-precision definition of every op, one thread, for tests.
#pragma once

#include <functional>
#include <memory>

#include "kernels/core/view.h"

namespace genossm {

struct Reference {};

class Cpu {
 public:
  // threads >= 1; 1 runs everything on the calling thread.
  explicit Cpu(int threads = 1);
  ~Cpu();
  Cpu(Cpu&&) noexcept;
  Cpu& operator=(Cpu&&) noexcept;

  int threads() const { return threads_; }

  // Runs body(i) for every i in [0, n), in parallel and in any order. The bodies must write
  // disjoint outputs: nothing here depends on which thread runs what. Exceptions reach the caller.
  void for_each(Index n, const std::function<void(Index)>& body);

 private:
  struct Arena;
  int threads_;
  std::unique_ptr<Arena> arena_;  // none for one thread
};

// The number of threads that the affinity mask and the cgroup CPU quota allow.
int available_threads();

}  // namespace genossm
