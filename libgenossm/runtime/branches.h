// Branches: many continuations of shared prefixes, for one-way models.
//
// A sweep runs a sequence from its start and keeps its state at chosen places; a branch starts from
// one of these states with other tokens. What branches of one sweep have in common is computed
// once. States are kept at tile boundaries only, so that on every device a branch gives the bytes
// that its whole sequence would have given. Models of long convolutions have no states: their
// sweeps keep none and every branch begins at 0. Branches are batched without padding and share
// lanes; sweeps run beside each other.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "libgenossm/runtime/lane.h"
#include "libgenossm/runtime/planner.h"

namespace genossm {

struct Sweep {
  // Writes tokens [begin, begin + out.size()). Called from any thread.
  std::function<void(Index begin, std::span<std::int32_t> out)> tokens;
  Index length = 0;
  // Places whose states are kept: ascending, multiples of tile(), in (0, length).
  std::vector<Index> keep;
};

struct Branch {
  std::function<void(Index begin, std::span<std::int32_t> out)> tokens;  // by place in the sequence
  Index begin = 0;        // 0, or one of the places that its sweep keeps
  Index end = 0;          // place after its last token
  std::size_t sweep = 0;  // unused where begin is 0
  // Where its state is compared with the sweep's (see BranchOptions::settle): places that the sweep
  // keeps, ascending, after `begin`. The branch is then at place + shift.
  std::vector<Index> compare;
  Index shift = 0;
};

struct BranchOptions {
  int threads = 1;
  Index chunk = 0;   // 0: planned
  Index memory = 0;  // bytes; 0: no limit
  // A branch ends where its state differs from the sweep's by no more than this: the largest over
  // the layers of |difference| / |sweep's|, 2-norms. 0: every branch runs to its end.
  double settle = 0;
};

class Branches {
 public:
  // Throws Fault::usage for a model without states that is to settle.
  Branches(const Model& model, Device& device, const BranchOptions& options);

  const Plan& plan() const { return plan_; }
  Index state_bytes() const;
  Index tile() const { return wide_->tile(); }

  // Logits [n, V] of the tokens from place `first` on. Called from any thread; for one sweep or
  // branch in order, and by one thread at a time.
  using Take =
      std::function<void(Device& device, std::size_t which, Index first, View<const float, 2>)>;
  // Returns for every branch the place of the sweep where it settled, -1 where it ran to its end.
  std::vector<Index> run(std::span<const Sweep> sweeps, std::span<const Branch> branches,
                         const Take& take_sweep, const Take& take_branch);

  Index tokens() const { return tokens_; }  // computed so far

 private:
  using Body = std::function<void(Device&, Lane&, std::size_t)>;
  std::vector<Index> run_together(std::span<const Sweep> sweeps, std::span<const Branch> branches,
                                  const Take& take_sweep, const Take& take_branch);
  void plan_for(Index longest);
  void in_lanes(std::size_t n, const Body& body);
  void run_sweep(Device& device, Lane& lane, std::size_t index, const Sweep& sweep,
                 const Take& take);
  const float* kept(std::size_t sweep, Index place) const;
  void run_batch(Device& device, Lane& lane, std::span<const Branch> branches, std::size_t first,
                 std::size_t n, const Take& take);
  void run_batch_until_settled(Device& device, Lane& lane, std::span<const Branch> branches,
                               std::size_t first, std::size_t n, const Take& take);
  Carry start(const Branch& branch) const;
  bool settled(const float* a, const float* b) const;

  const Model& model_;
  Device& device_;
  BranchOptions options_;
  Plan plan_;
  std::unique_ptr<Lane> wide_;  // runs with all threads
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::span<const Sweep> sweeps_;
  std::vector<std::vector<Buffer<float>>> states_;  // [sweep][place]
  std::vector<History> histories_;                  // [sweep]
  std::vector<Index> settled_at_;
  std::vector<Index> ran_;  // tokens of each branch
  Index planned_ = 0;       // tokens of the longest sequence that the plan has room for
  Index tokens_ = 0;
};

}  // namespace genossm
