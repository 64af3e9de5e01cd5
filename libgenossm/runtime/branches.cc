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
  PlanRequest request;
  request.chunk = options.chunk;
  request.memory = options.memory;
  request.threads = options.threads;
  request.columns = 0;  // rows are handed out as they come
  if constexpr (build::has_cuda) {
    if (const Cuda* cuda = as_cuda(device)) request.device_memory = cuda->free_memory() / 10 * 9;
  }
  plan_ = make_plan(model.card(), request);
  Features logits;
  logits.logits = true;
  logits.layers.clear();
  wide_ = std::make_unique<Lane>(model, logits, plan_.chunk, plan_.slab);
  for (int i = 0; i < plan_.lanes && !model.card().cuda; ++i) {
    lanes_.push_back(std::make_unique<Lane>(model, logits, plan_.chunk, plan_.lane_slab));
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
  sweeps_ = sweeps;
  states_.clear();
  states_.resize(sweeps.size());
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
  const auto most = static_cast<std::size_t>(
      std::max<Index>(1, kBatchStateBytes / std::max<Index>(1, state_bytes())));
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
  Buffer<float> state(model_.card().state_floats);
  std::vector<Buffer<float>>& states = states_[index];
  std::size_t next = 0;
  for (Index at = 0; at < sweep.length;) {
    const Index stop = next < sweep.keep.size() ? sweep.keep[next] : sweep.length;
    const Index end = std::min(stop, at + plan_.chunk);
    const std::vector<std::int32_t> tokens = read(sweep.tokens, at, end);
    lane.advance(device, tokens, state.data(), at == 0,
                 [&](Index, Index first, View<const float, 2> logits) {
                   take(device, index, at + first, logits);
                 });
    at = end;
    if (next < sweep.keep.size() && at == sweep.keep[next]) {
      states.emplace_back(state.size());
      std::copy_n(state.data(), state.size(), states.back().data());
      ++next;
    }
  }
}

const float* Branches::kept(std::size_t sweep, Index place) const {
  const std::vector<Index>& keep = sweeps_[sweep].keep;
  const auto found = std::lower_bound(keep.begin(), keep.end(), place);
  require(found != keep.end() && *found == place, Fault::internal,
          "branches: no state is kept at " + std::to_string(place));
  return states_[sweep][static_cast<std::size_t>(found - keep.begin())].data();
}

void Branches::start(const Branch& branch, float* state) const {
  if (branch.begin == 0) return;
  std::copy_n(kept(branch.sweep, branch.begin), model_.card().state_floats, state);
}

void Branches::run_batch(Device& device, Lane& lane, std::span<const Branch> branches,
                         std::size_t first, std::size_t n, const Take& take) {
  const Index size = model_.card().state_floats;
  const Buffer<float> states(static_cast<Index>(n) * size);
  std::vector<std::vector<std::int32_t>> tokens(n);
  std::vector<Lane::Stream> streams(n);
  for (std::size_t i = 0; i < n; ++i) {
    const Branch& branch = branches[first + i];
    float* state = states.data() + static_cast<Index>(i) * size;
    start(branch, state);
    tokens[i] = read(branch.tokens, branch.begin, branch.end);
    streams[i] = {tokens[i], state, branch.begin == 0};
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
  const Index size = model_.card().state_floats;
  const Buffer<float> states(static_cast<Index>(n) * size);
  struct Live {
    std::size_t which;
    Index at;
    std::size_t next;  // comparison
    float* state;
  };
  std::vector<Live> live;
  for (std::size_t i = 0; i < n; ++i) {
    float* state = states.data() + static_cast<Index>(i) * size;
    start(branches[first + i], state);
    live.push_back({first + i, branches[first + i].begin, 0, state});
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
      streams[i] = {tokens[i], live[i].state, live[i].at == 0};
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
      if (settled(one.state, kept(branch.sweep, place))) {
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
