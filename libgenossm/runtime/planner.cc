#include "libgenossm/runtime/planner.h"

#include <algorithm>
#include <fstream>

namespace genossm {
namespace {

// Two tiles' worth of rows keep a 256-wide block's activations in the second-level cache.
constexpr Index kSlab = 64;
constexpr Index kOneWayChunk = 2048;
constexpr Index kTwoWayChunk = 4096;

std::string in_words(Index bytes) {
  const double mib = static_cast<double>(bytes) / (1 << 20);
  if (mib < 10'000) return std::to_string(static_cast<Index>(mib + 0.5)) + " MiB";
  return std::to_string(static_cast<Index>(mib / 1024 + 0.5)) + " GiB";
}

// Enough rows to fill the largest GPUs; both strands of a window of 131,072 tokens.
constexpr Index kCudaChunk = 262144;

// One stream of batches. The host holds the rows of a wave, of both strands where they are joined.
Plan plan_for_cuda(const Card& card, const PlanRequest& request) {
  Plan plan;
  plan.cuda = true;
  plan.layer_major = card.layer_major();
  plan.weight_bytes = card.weight_bytes;
  plan.lanes = 1;
  const Index asked =
      request.chunk > 0 ? std::max(kCudaSegment, request.chunk / kCudaSegment * kCudaSegment) : 0;
  plan.chunk = asked > 0 ? asked : kCudaChunk;
  const auto batch = [&] {
    return card.layer_major() ? std::max(plan.chunk, request.window) : plan.chunk;
  };
  check_length(card, request.window);
  plan.history_bytes = request.window * card.history_bytes;
  const auto device_bytes = [&] {
    return batch() * (card.cuda_row_bytes + request.columns * Index{sizeof(float)} + 4) +
           card.cuda_fixed_bytes + plan.history_bytes;
  };
  if (request.device_memory > 0) {
    while (asked == 0 && plan.chunk > kCudaSegment && device_bytes() > request.device_memory) {
      plan.chunk = std::max(kCudaSegment, plan.chunk / 2 / kCudaSegment * kCudaSegment);
    }
    if (device_bytes() > request.device_memory && plan.history_bytes > 0) {
      fail(Fault::memory,
           "not enough memory on the GPU: keys and values of " + std::to_string(request.window) +
               " tokens (" + in_words(plan.history_bytes) + ") and a chunk of " +
               std::to_string(plan.chunk) + " tokens need " + in_words(device_bytes()) +
               ", free are " + in_words(request.device_memory) +
               ". Use a smaller --window, --precision bf16 or --device cpu");
    }
    if (device_bytes() > request.device_memory) {
      fail(Fault::memory,
           "not enough memory on the GPU: " +
               (card.layer_major() ? "a window of " + std::to_string(request.window) + " tokens"
                                   : "a chunk of " + std::to_string(plan.chunk) + " tokens") +
               " needs " + in_words(device_bytes()) + ", free are " +
               in_words(request.device_memory) +
               (card.layer_major() ? ". Use a smaller --window" : ". Use a smaller --chunk"));
    }
  }
  plan.slab = plan.lane_slab = plan.chunk;
  plan.device_bytes = device_bytes();
  plan.device_free = request.device_memory;
  const Index row = request.columns * Index{sizeof(float)};
  const Index strands = request.strand == StrandMode::forward ? 1 : 2;
  plan.wave_tokens = std::max(4 * kCudaChunk, batch());
  // Two batches arrive in page-locked memory while a wave is collected.
  plan.lane_bytes = 2 * batch() * row + plan.wave_tokens * row * strands;
  while (request.memory > 0 && plan.lane_bytes > request.memory && plan.wave_tokens > batch()) {
    plan.wave_tokens = std::max(batch(), plan.wave_tokens / 2);
    plan.lane_bytes = 2 * batch() * row + plan.wave_tokens * row * strands;
  }
  plan.peak_bytes = plan.lane_bytes;
  return plan;
}

}  // namespace

Plan make_plan(const Card& card, const PlanRequest& request) {
  constexpr Index kMost = Index{1} << 40;  // beyond it bytes would no longer fit a number
  for (const Index tokens : {request.window, request.chunk}) {
    if (tokens <= kMost) continue;
    fail(Fault::usage, "--window or --chunk: " + std::to_string(tokens) + " tokens, want at most " +
                           std::to_string(kMost));
  }
  if (card.cuda) return plan_for_cuda(card, request);
  Plan plan;
  plan.layer_major = card.layer_major();
  plan.weight_bytes = card.weight_bytes;
  plan.lane_slab = kSlab;
  plan.slab = std::max<Index>(kSlab, kTile * request.threads);
  const int threads = std::max(1, request.threads);
  const Index asked = request.chunk > 0 ? std::max(kTile, request.chunk / kTile * kTile) : 0;
  // Both strands of one batch are held until they are joined.
  const bool two_results =
      card.strands ? request.strand != StrandMode::forward || card.strands_exchanged
                   : request.strand == StrandMode::average || request.strand == StrandMode::both;

  const auto lane_bytes = [&](Index batch) {
    Index floats = batch * card.d_model;                        // the residual stream
    floats += batch * request.columns * (two_results ? 2 : 1);  // results kept for the writer
    floats += std::max<Index>(plan.slab, kSlab) * card.slab_columns;
    if (card.layer_major() && batch > kSlab) floats += batch * card.kept_columns;
    floats += card.layer_major() ? card.fixed_floats : card.state_floats;
    return floats * Index{sizeof(float)} + plan.history_bytes;
  };

  plan.chunk = asked > 0 ? asked : card.layer_major() ? kTwoWayChunk : kOneWayChunk;
  const Index window = request.window;
  check_length(card, window);
  plan.history_bytes = window * card.history_bytes;
  // Layer-major work holds a whole window whatever the chunk.
  Index batch = card.layer_major() ? std::max(plan.chunk, window) : plan.chunk;
  plan.lanes = threads;
  const auto peak = [&] { return plan.weight_bytes + plan.lanes * lane_bytes(batch); };
  if (request.memory > 0) {
    while (plan.lanes > 1 && peak() > request.memory) --plan.lanes;
    while (plan.chunk > kTile && peak() > request.memory && asked == 0) {
      plan.chunk = std::max(kTile, plan.chunk / 2 / kTile * kTile);
      batch = card.layer_major() ? std::max(plan.chunk, window) : plan.chunk;
    }
    if (peak() > request.memory && plan.history_bytes > 0) {
      fail(Fault::memory, "not enough memory: weights of " + in_words(plan.weight_bytes) +
                              ", keys and values of " + std::to_string(window) + " tokens (" +
                              in_words(plan.history_bytes) + ") and a chunk of " +
                              std::to_string(plan.chunk) + " tokens need " + in_words(peak()) +
                              ", allowed are " + in_words(request.memory) +
                              ". Use a smaller --window, --precision bf16 or more --memory");
    }
    if (peak() > request.memory) {
      fail(Fault::memory,
           "not enough memory: " +
               (card.layer_major() ? "a window of " + std::to_string(window) + " tokens"
                                   : "a chunk of " + std::to_string(plan.chunk) + " tokens") +
               " needs " + in_words(peak()) + ", allowed are " + in_words(request.memory) +
               (card.layer_major() ? ". Use a smaller --window or more --memory"
                                   : ". Use a smaller --chunk or more --memory"));
    }
  }
  plan.lane_bytes = lane_bytes(batch);
  plan.peak_bytes = peak();
  plan.wave_tokens = plan.lanes * batch;
  return plan;
}

Index available_memory() {
  Index available = 0;
  std::ifstream info("/proc/meminfo");
  std::string key;
  Index kib = 0;
  std::string unit;
  while (info >> key >> kib) {
    std::getline(info, unit);
    if (key == "MemAvailable:") available = kib * 1024;
  }
  for (const char* file :
       {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    std::ifstream limit(file);
    Index bytes = 0;
    if (limit >> bytes && bytes > 0 && (available == 0 || bytes < available)) available = bytes;
  }
  return available;
}

}  // namespace genossm
