// Lane: one stream of work through a model: scratch memory, and the two orders of execution.
//
// Chunk-major (one-way models): a chunk of tokens goes through all layers, then the next; each
// layer carries its state. Layer-major (two-way models, long convolutions): a batch of whole
// sequences goes through one layer before the next. Many short sequences share the rows of one
// batch without padding; a row's result does not depend on the others (see MatmulWeight).
#pragma once

#include <functional>
#include <memory>
#include <span>

#include "libgenossm/runtime/carry.h"
#include "libgenossm/runtime/features.h"

namespace genossm {

// Tokens of one sequence; the memory stays with the caller.
using Tokens = std::span<const std::int32_t>;

class CudaLane;

class Lane {
 public:
  // chunk: rows of one step, a multiple of kTile; slab: see Block::forward.
  Lane(const Model& model, Features features, Index chunk, Index slab);

  // Runs the sequences and hands out their rows in order: emit(sequence, first token, rows
  // [n, columns]). The rows are valid during the call. Throws Fault::usage for a sequence longer
  // than the model's filters.
  using Emit = std::function<void(Index, Index, View<const float, 2>)>;
  void run(Device& device, std::span<const Tokens> sequences, const Emit& emit);

  // One-way models: goes on with one sequence whose carry is `carry`, which moves along. Throws
  // Fault::memory where its history does not fit.
  void advance(Device& device, Tokens tokens, Carry& carry, const Emit& emit);

  // The same for many sequences, each with a carry of its own, whose rows share steps.
  struct Stream {
    Tokens tokens;
    Carry* carry = nullptr;
  };
  void advance_all(Device& device, std::span<const Stream> streams, const Emit& emit);

  // From now on `probe` is shown what happens: on a CPU, one sequence at a time. It must outlive
  // its use; null: nobody watches.
  void watch(Probe* probe) { probe_ = probe; }

  // What does the work on a GPU; null elsewhere.
  CudaLane* on_cuda() const { return cuda_.get(); }

  // A sequence may be cut at multiples of so many tokens without changing a bit; coarser than
  // finest() on a CPU, for those who keep states at the places where it is cut.
  Index tile() const { return model_.card().cuda ? kCudaSegment : kTile; }
  // The least such number: on a CPU every op may be cut anywhere, but for a library's products
  // whose rows are not independent.
  Index finest() const {
    return !model_.card().cuda && model_.card().rows_independent ? 1 : tile();
  }

 private:
  struct Span {
    // Tokens [first, ...) of what was given of a sequence, tokens [position, ...) of all of it, at
    // rows [begin, end).
    Index sequence, first, position, begin, end;
    Carry* carry;
  };
  // All layers over one batch of rows.
  void step(Device& device, std::span<const std::int32_t> tokens, std::span<const Span> spans,
            const Emit& emit);
  void capture(View<const float, 2> x, Index layer, std::span<const Span> spans);
  void finish(Device& device, View<float, 2> x, std::span<const Span> spans, const Emit& emit);

  const Model& model_;
  Features features_;
  Index chunk_, slab_;
  Scratch scratch_;
  Buffer<float> x_, captured_;
  Carry carry_;
  Probe* probe_ = nullptr;
  View<float, 2> captured_view_;
  std::shared_ptr<CudaLane> cuda_;  // does the work where the model is on a GPU
};

}  // namespace genossm
