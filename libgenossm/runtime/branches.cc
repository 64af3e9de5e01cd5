#include "libgenossm/runtime/branches.h"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <numeric>

namespace genossm {
namespace {

// States that a batch of branches holds at once take no more than this.
constexpr Index kBatchStateBytes = Index{64} << 20;

Index length_of(const Branch& branch) { return branch.end - branch.begin; }

std::vector<std::int32_t> read(const std::function<void(Index, std::span<std::int32_t>)>& tokens,
                               Index begin, Index end) {
  std::vector<std::int32_t> out(static_cast<std::size_t>(end - begin));
  tokens(begin, out);
  return out;
}

}  // namespace

Branches::Branches(const Model& model, Device& device, const BranchOptions& options)
    : model_(model), device_(device), options_(options) {
  require(!model.card().two_way, Fault::internal, "branches: a two-way model has no prefix");
  if (model.card().whole && options.settle > 0) {
    fail(Fault::usage, "--settle: this model's long filters leave no state that could settle");
  }
  if (model.card().history_bytes > 0 && options.settle > 0) {
    fail(Fault::usage, "--settle: this model attends to all bases before and never settles");
  }
  plan_for(0);
}

// `longest`: of a sequence, for the room of what attention remembers.
void Branches::plan_for(Index longest) {
  PlanRequest request;
  request.chunk = options_.chunk;
  request.memory = options_.memory;
  request.threads = options_.threads;
  request.columns = 0;  // rows are handed out as they come
  // A branch stands beside the sweep that it left.
  request.window = 2 * longest;
  wide_.reset();  // what it holds is free for the next
  if constexpr (build::has_cuda) {
    if (const Cuda* cuda = as_cuda(device_)) request.device_memory = cuda->free_memory() / 10 * 9;
  }
  plan_ = make_plan(model_.card(), request);
  planned_ = longest;
  Features logits;
  logits.logits = true;
  logits.layers.clear();
  wide_ = std::make_unique<Lane>(model_, logits, plan_.chunk, plan_.slab);
  lanes_.clear();
  for (int i = 0; i < plan_.lanes && !model_.card().cuda; ++i) {
    lanes_.push_back(std::make_unique<Lane>(model_, logits, plan_.chunk, plan_.lane_slab));
  }
}

Index Branches::state_bytes() const {
  return model_.card().state_floats * static_cast<Index>(sizeof(float));
}

// As many at once as there are lanes where there is enough to share, else one after the other with
// all threads inside.
void Branches::in_lanes(std::size_t n, const Body& body) {
  if (options_.threads <= 1 || n < static_cast<std::size_t>(options_.threads) ||
      !std::holds_alternative<Cpu>(device_)) {
    for (std::size_t i = 0; i < n; ++i) body(device_, *wide_, i);
    return;
  }
  std::mutex mutex;
  std::size_t next = 0;
  std::get<Cpu>(device_).for_each(plan_.lanes, [&](Index worker) {
    Lane& lane = *lanes_[static_cast<std::size_t>(worker)];
    Device alone{Cpu(1)};
    for (;;) {
      std::size_t i = 0;
      {
        const std::lock_guard lock(mutex);
        if (next >= n) return;
        i = next++;
      }
      body(alone, lane, i);
    }
  });
}

std::vector<Index> Branches::run(std::span<const Sweep> sweeps, std::span<const Branch> branches,
                                 const Take& take_sweep, const Take& take_branch) {
  Index longest = 0;
  for (const Sweep& sweep : sweeps) longest = std::max(longest, sweep.length);
  for (const Branch& branch : branches) longest = std::max(longest, branch.end);
  if (model_.card().history_bytes > 0 && longest > planned_) plan_for(longest);
  if (model_.card().history_bytes == 0 || sweeps.size() < 2) {
    return run_together(sweeps, branches, take_sweep, take_branch);
  }
  // One sweep's history stands in memory at a time, and after it the branches that leave it.
  std::vector<Index> settled(branches.size(), -1);
  std::vector<Branch> own;
  std::vector<std::size_t> which;
  for (std::size_t s = 0; s < sweeps.size(); ++s) {
    own.clear(), which.clear();
    for (std::size_t b = 0; b < branches.size(); ++b) {
      if (branches[b].sweep != s) continue;
      own.push_back(branches[b]);
      own.back().sweep = 0;
      which.push_back(b);
    }
    run_together(
        sweeps.subspan(s, 1), own,
        [&](Device& device, std::size_t, Index first, View<const float, 2> logits) {
          take_sweep(device, s, first, logits);
        },
        [&](Device& device, std::size_t b, Index first, View<const float, 2> logits) {
          take_branch(device, which[b], first, logits);
        });
  }
  return settled;
}

std::vector<Index> Branches::run_together(std::span<const Sweep> sweeps,
                                          std::span<const Branch> branches, const Take& take_sweep,
                                          const Take& take_branch) {
  sweeps_ = sweeps;
  states_.clear();
  states_.resize(sweeps.size());
  histories_.clear();
  histories_.resize(sweeps.size());
  in_lanes(sweeps.size(), [&](Device& device, Lane& lane, std::size_t i) {
    run_sweep(device, lane, i, sweeps[i], take_sweep);
  });
  for (const Sweep& sweep : sweeps) tokens_ += sweep.length;

  settled_at_.assign(branches.size(), -1);
  ran_.assign(branches.size(), 0);
  // Batches of consecutive branches: long enough to fill steps, short enough to share lanes.
  Index total = 0;
  for (const Branch& branch : branches) total += length_of(branch);
  const Index share = total / (4 * std::max<Index>(1, plan_.lanes));
  const Index target = std::clamp<Index>(share, plan_.chunk, 4 * plan_.chunk);
  const Index one = state_bytes() + planned_ * model_.card().history_bytes;
  const auto most =
      static_cast<std::size_t>(std::max<Index>(1, kBatchStateBytes / std::max<Index>(1, one)));
  std::vector<std::size_t> begins;
  Index filled = 0;
  for (std::size_t i = 0; i < branches.size(); ++i) {
    if (begins.empty() || filled >= target || i - begins.back() >= most) {
      begins.push_back(i);
      filled = 0;
    }
    filled += length_of(branches[i]);
  }
  in_lanes(begins.size(), [&](Device& device, Lane& lane, std::size_t b) {
    const std::size_t end = b + 1 < begins.size() ? begins[b + 1] : branches.size();
    if (options_.settle > 0) {
      run_batch_until_settled(device, lane, branches, begins[b], end - begins[b], take_branch);
    } else {
      run_batch(device, lane, branches, begins[b], end - begins[b], take_branch);
    }
  });
  tokens_ += std::accumulate(ran_.begin(), ran_.end(), Index{0});
  states_.clear();
  histories_.clear();
  return settled_at_;
}

void Branches::run_sweep(Device& device, Lane& lane, std::size_t index, const Sweep& sweep,
                         const Take& take) {
  if (model_.card().whole) {
    require(sweep.keep.empty(), Fault::internal, "branches: this model has no states to keep");
    const std::vector<std::int32_t> tokens = read(sweep.tokens, 0, sweep.length);
    const Tokens all(tokens);
    lane.run(device, std::span(&all, 1), [&](Index, Index first, View<const float, 2> logits) {
      take(device, index, first, logits);
    });
    return;
  }
  Carry carry(model_);
  carry.history.reserve(sweep.length, 0);
  std::vector<Buffer<float>>& states = states_[index];
  std::size_t next = 0;
  for (Index at = 0; at < sweep.length;) {
    const Index stop = next < sweep.keep.size() ? sweep.keep[next] : sweep.length;
    const Index end = std::min(stop, at + plan_.chunk);
    const std::vector<std::int32_t> tokens = read(sweep.tokens, at, end);
    lane.advance(device, tokens, carry, [&](Index, Index first, View<const float, 2> logits) {
      take(device, index, at + first, logits);
    });
    at = end;
    if (next < sweep.keep.size() && at == sweep.keep[next]) {
      states.emplace_back(carry.state.size());
      std::copy_n(carry.state.data(), carry.state.size(), states.back().data());
      ++next;
    }
  }
  if (!sweep.keep.empty()) histories_[index] = std::move(carry.history);
}

const float* Branches::kept(std::size_t sweep, Index place) const {
  const std::vector<Index>& keep = sweeps_[sweep].keep;
  const auto found = std::lower_bound(keep.begin(), keep.end(), place);
  require(found != keep.end() && *found == place, Fault::internal,
          "branches: no state is kept at " + std::to_string(place));
  return states_[sweep][static_cast<std::size_t>(found - keep.begin())].data();
}

Carry Branches::start(const Branch& branch) const {
  Carry carry(model_);
  if (branch.begin == 0) return carry;
  carry.assign(kept(branch.sweep, branch.begin), histories_[branch.sweep], branch.begin,
               branch.end);
  return carry;
}

void Branches::run_batch(Device& device, Lane& lane, std::span<const Branch> branches,
                         std::size_t first, std::size_t n, const Take& take) {
  std::vector<Carry> carries(n);
  std::vector<std::vector<std::int32_t>> tokens(n);
  std::vector<Lane::Stream> streams(n);
  for (std::size_t i = 0; i < n; ++i) {
    const Branch& branch = branches[first + i];
    if (!model_.card().whole) carries[i] = start(branch);
    tokens[i] = read(branch.tokens, branch.begin, branch.end);
    streams[i] = {tokens[i], &carries[i]};
    ran_[first + i] = length_of(branch);
  }
  const auto hand_out = [&](Index s, Index at, View<const float, 2> logits) {
    const std::size_t which = first + static_cast<std::size_t>(s);
    take(device, which, branches[which].begin + at, logits);
  };
  if (model_.card().whole) {
    const std::vector<Tokens> whole(tokens.begin(), tokens.end());
    lane.run(device, whole, hand_out);
  } else {
    lane.advance_all(device, streams, hand_out);
  }
}

// All branches of the batch go to their next comparison, then those that have settled leave.
void Branches::run_batch_until_settled(Device& device, Lane& lane, std::span<const Branch> branches,
                                       std::size_t first, std::size_t n, const Take& take) {
  std::vector<Carry> carries(n);
  struct Live {
    std::size_t which;
    Index at;
    std::size_t next;  // comparison
    Carry* carry;
  };
  std::vector<Live> live;
  for (std::size_t i = 0; i < n; ++i) {
    carries[i] = start(branches[first + i]);
    live.push_back({first + i, branches[first + i].begin, 0, &carries[i]});
  }
  while (!live.empty()) {
    std::vector<std::vector<std::int32_t>> tokens(live.size());
    std::vector<Lane::Stream> streams(live.size());
    std::vector<Index> ends(live.size());
    for (std::size_t i = 0; i < live.size(); ++i) {
      const Branch& branch = branches[live[i].which];
      const bool compares = live[i].next < branch.compare.size();
      ends[i] =
          compares ? std::min(branch.end, branch.compare[live[i].next] + branch.shift) : branch.end;
      tokens[i] = read(branch.tokens, live[i].at, ends[i]);
      streams[i] = {tokens[i], live[i].carry};
    }
    lane.advance_all(device, streams, [&](Index s, Index at, View<const float, 2> logits) {
      const Live& one = live[static_cast<std::size_t>(s)];
      take(device, one.which, one.at + at, logits);
    });
    std::vector<Live> left;
    for (std::size_t i = 0; i < live.size(); ++i) {
      Live one = live[i];
      const Branch& branch = branches[one.which];
      ran_[one.which] += ends[i] - one.at;
      one.at = ends[i];
      if (one.at >= branch.end) continue;
      const Index place = branch.compare[one.next++];
      if (settled(one.carry->state.data(), kept(branch.sweep, place))) {
        settled_at_[one.which] = place;
      } else {
        left.push_back(one);
      }
    }
    live = std::move(left);
  }
}

bool Branches::settled(const float* a, const float* b) const {
  const Index layers = model_.card().layers;
  for (Index layer = 0; layer < layers; ++layer) {
    const Index begin = model_.state_offset(layer);
    const Index end =
        layer + 1 < layers ? model_.state_offset(layer + 1) : model_.card().state_floats;
    double difference = 0, norm = 0;
    for (Index i = begin; i < end; ++i) {
      const double d = static_cast<double>(a[i]) - static_cast<double>(b[i]);
      difference += d * d;
      norm += static_cast<double>(b[i]) * static_cast<double>(b[i]);
    }
    if (!(difference <= options_.settle * options_.settle * norm)) return false;
  }
  return true;
}

}  // namespace genossm
