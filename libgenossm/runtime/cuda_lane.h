// CudaLane: Lane on a GPU. Batches of whole sequences (two-way models) or of sequences cut at
// segment borders (one-way models) go through all layers in device memory; while one batch
// computes, the rows of the batch before are handed out.
#pragma once

#include <optional>
#include <vector>

#include "libgenossm/model/cuda_model.h"
#include "libgenossm/runtime/lane.h"

namespace genossm {

class CudaLane {
 public:
  // chunk: rows of a batch, a multiple of kCudaSegment; halved when device memory does not suffice.
  CudaLane(const Model& model, Features features, Index chunk);

  void run(Cuda& cuda, std::span<const Tokens> sequences, const Lane::Emit& emit);
  // See Lane::advance(). The carry's history stays on the device, its state comes and goes.
  void advance(Cuda& cuda, Tokens tokens, Carry& carry, const Lane::Emit& emit);

  // The batch alone, its rows left on the device: [tokens, columns], the sequences one after the
  // other. Throws Fault::internal unless they fit into one batch; a single one always does.
  View<const float, 2> forward(Cuda& cuda, std::span<const Tokens> sequences);
  // The mark that a batch passes when its tokens are on the device.
  static constexpr int kBegunMark = 5;

  Index chunk() const { return chunk_; }
  // After Fault::memory: gives all back and halves the chunk, which was used for `rows`.
  void shrink(Cuda& cuda, Index rows);
  Index device_bytes() const;

 private:
  // Tokens [first, ...) of what was given of a sequence, tokens [position, ...) of all of it, at
  // rows [begin, end) of a batch.
  struct Span {
    Index sequence, first, position, begin, end;
    bool goes_on = false;  // into the next batch
  };
  struct Batch {
    std::vector<std::int32_t> tokens;
    std::vector<Span> spans;
  };
  // A batch whose rows are on their way to the host.
  struct Arriving {
    std::vector<Span> spans;
    int side = 0;
  };

  Batch next_batch(std::span<const Tokens> sequences, std::size_t& sequence, Index& done) const;
  void check_tokens(std::span<const std::int32_t> tokens) const;
  // `history`: of the sequences of the batch, which use it in turn.
  void compute(Cuda& cuda, const Batch& batch, bool with_state, const History& history);
  void remember(std::span<const Tokens> sequences);
  void send(Cuda& cuda, Index rows, int side);
  void hand_out(Cuda& cuda, const Arriving& arriving, const Lane::Emit& emit) const;
  void capture(Cuda& cuda, View<const float, 2> x, Index layer);

  const Model& model_;
  const CudaModel& net_;
  Features features_;
  Index chunk_, columns_;
  CudaScratch scratch_;
  CudaScratch results_;  // x, tokens, captured layers, logits
  SequenceTable table_;
  std::vector<CudaSpan> spans_;  // of the batch under way
  CudaBuffer<float> state_;      // of two sequences
  Index state_side_ = 0;         // the one in use
  History history_;              // of the sequences of run(), one after the other
  View<float, 2> rows_;          // of the last batch computed
  struct Pinned {
    std::shared_ptr<void> memory;
    Index bytes = 0;
    void want(const Cuda& cuda, Index size) {
      if (bytes >= size) return;
      memory.reset();
      bytes = 0;
      memory = cuda_pinned(cuda, size);
      bytes = size;
    }
  };
  Pinned pinned_[2];
  // Tokens wait in page-locked memory, so that the next batch is put together while one computes.
  Pinned tokens_[2];
  int tokens_side_ = 0;
};

}  // namespace genossm
