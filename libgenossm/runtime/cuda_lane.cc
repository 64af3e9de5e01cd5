#include "libgenossm/runtime/cuda_lane.h"

#include <algorithm>

#include "kernels/activation/activation.h"
#include "libgenossm/model/cuda_mixer.h"

namespace genossm {
namespace {

enum ResultSlot : int { kTokens, kStream, kCaptured, kLogits };
constexpr int kTokensMark = 3;  // and 4

}  // namespace

CudaLane::CudaLane(const Model& model, Features features, Index chunk)
    : model_(model),
      net_(*model.on_cuda()),
      features_(std::move(features)),
      chunk_(std::max(kCudaSegment, chunk / kCudaSegment * kCudaSegment)),
      columns_(features_.columns(model.card())) {}

Index CudaLane::device_bytes() const {
  return scratch_.size() + results_.size() + state_.bytes() + table_.bytes();
}

// Whole sequences as far as they fit, for models with a state the beginning of one more, cut where
// a cut does not show; at least one piece.
CudaLane::Batch CudaLane::next_batch(std::span<const Tokens> sequences, std::size_t& sequence,
                                     Index& done) const {
  Batch batch;
  const bool whole = model_.card().layer_major();
  while (sequence < sequences.size()) {
    const Tokens all = sequences[sequence];
    check_length(model_.card(), static_cast<Index>(all.size()));
    const Index left = static_cast<Index>(all.size()) - done;
    const auto used = static_cast<Index>(batch.tokens.size());
    Index n = left;
    if (used + left > chunk_) {
      if (!whole) n = (chunk_ - used) / kCudaSegment * kCudaSegment;
      if ((whole && used > 0) || n == 0) break;
    }
    if (n > 0) {
      batch.spans.push_back({static_cast<Index>(sequence), done, done, used, used + n, n < left});
      const auto part = all.subspan(static_cast<std::size_t>(done), static_cast<std::size_t>(n));
      batch.tokens.insert(batch.tokens.end(), part.begin(), part.end());
    }
    if (n < left) {
      done += n;
      break;
    }
    done = 0;
    ++sequence;
  }
  return batch;
}

void CudaLane::check_tokens(std::span<const std::int32_t> tokens) const {
  const Index V = model_.card().vocab;
  for (std::size_t t = 0; t < tokens.size(); ++t) {
    if (tokens[t] >= 0 && tokens[t] < V) continue;
    fail(Fault::shape, "embedding: token " + std::to_string(t) + " is " +
                           std::to_string(tokens[t]) + ", want 0 to " + std::to_string(V - 1));
  }
}

void CudaLane::capture(Cuda& cuda, View<const float, 2> x, Index layer) {
  if (features_.logits) return;
  const Index D = x.extent[1];
  for (std::size_t i = 0; i < features_.layers.size(); ++i) {
    if (features_.layers[i] != layer) continue;
    const Index at = static_cast<Index>(i) * D;
    launch_on(cuda,
              Activation{.kind = ActivationKind::identity, .x = x, .y = cols(rows_, at, at + D)});
  }
}

// Everything that allocates comes first: when it throws, nothing has happened to the states.
void CudaLane::compute(Cuda& cuda, const Batch& batch, bool with_state, const History& history) {
  const Card& card = model_.card();
  const auto L = static_cast<Index>(batch.tokens.size());
  check_tokens(batch.tokens);
  net_.reserve(cuda, scratch_, L, static_cast<Index>(batch.spans.size()));
  auto* tokens = reinterpret_cast<std::int32_t*>(results_.bytes(cuda, kTokens, L * 4));
  const View<float, 2> x = results_.matrix<float>(cuda, kStream, L, card.d_model);
  const bool only_last =
      !features_.logits && features_.layers == std::vector<Index>{Features::kLast};
  if (only_last) {
    rows_ = x;
  } else {
    rows_ = results_.matrix<float>(cuda, features_.logits ? kLogits : kCaptured, L, columns_);
  }
  if (with_state && state_.size() == 0) state_ = CudaBuffer<float>(cuda, 2 * net_.state_floats());
  if (features_.logits) scratch_.bytes(cuda, kCudaHead, L * (card.d_model + 8) * 4);

  std::vector<SequenceRows> sequences;
  spans_.clear();
  for (const Span& span : batch.spans) {
    // Only a sequence that comes from or goes into another batch needs its state. Two memories do
    // for that: the first span of a batch may end with one while the last begins with the other.
    const bool fresh = span.position == 0, carried = with_state && (!fresh || span.goes_on);
    if (carried && fresh) state_side_ = 1 - state_side_;
    const Index state = carried ? state_side_ * net_.state_floats() : -1;
    sequences.push_back({span.begin, span.end, state, fresh, 0});
    spans_.push_back({span.begin, span.end, state, fresh, span.position, nullptr});
  }
  table_.assign(cuda, std::move(sequences));
  Pinned& waiting = tokens_[tokens_side_];
  cuda.wait_for(kTokensMark + tokens_side_);  // the batch before the last has read them
  waiting.want(cuda, L * 4);
  std::copy(batch.tokens.begin(), batch.tokens.end(),
            static_cast<std::int32_t*>(waiting.memory.get()));
  cuda.copy_in_later(tokens, waiting.memory.get(), L * 4);
  cuda.mark(kTokensMark + tokens_side_);
  tokens_side_ = 1 - tokens_side_;
  cuda.mark(kBegunMark);

  net_.embed(cuda, {tokens, {L}}, x);
  if (!only_last) capture(cuda, x, 0);
  for (Index layer = 0; layer < features_.depth(card); ++layer) {
    // A layer's memory serves the sequences one after the other: the work on one is asked for after
    // that on the one before.
    for (CudaSpan& span : spans_) {
      span.history = card.history_bytes > 0 ? history.rows(layer) : nullptr;
    }
    net_.block(cuda, scratch_, layer, x, {table_.view(), spans_},
               with_state ? state_.data() : nullptr);
    if (!only_last) capture(cuda, x, layer + 1);
  }
  if (features_.logits) {
    net_.head(cuda, scratch_, x, rows_);
  } else if (std::find(features_.layers.begin(), features_.layers.end(), Features::kLast) !=
             features_.layers.end()) {
    net_.final_norm(cuda, x, x);
    if (!only_last) capture(cuda, x, Features::kLast);
  }
}

void CudaLane::send(Cuda& cuda, Index rows, int side) {
  Pinned& pinned = pinned_[side];
  pinned.want(cuda, rows * columns_ * Index{sizeof(float)});
  cuda.copy_out_later(pinned.memory.get(), rows_.data, rows, columns_ * Index{sizeof(float)},
                      rows_.stride[0] * Index{sizeof(float)});
  cuda.mark(side);
}

void CudaLane::hand_out(Cuda& cuda, const Arriving& arriving, const Lane::Emit& emit) const {
  cuda.wait_for(arriving.side);
  const auto* values = static_cast<const float*>(pinned_[arriving.side].memory.get());
  for (const Span& span : arriving.spans) {
    emit(span.sequence, span.first,
         {values + span.begin * columns_, {span.end - span.begin, columns_}});
  }
}

// Room for the keys and values of the longest of them.
void CudaLane::remember(std::span<const Tokens> sequences) {
  if (model_.card().history_bytes == 0) return;
  Index longest = 0;
  for (const Tokens& sequence : sequences) {
    longest = std::max(longest, static_cast<Index>(sequence.size()));
  }
  if (history_.layers() == 0) history_ = model_.new_history();
  history_.reserve(longest, 0);
}

void CudaLane::run(Cuda& cuda, std::span<const Tokens> sequences, const Lane::Emit& emit) {
  const bool with_state = !model_.card().layer_major();
  remember(sequences);
  std::optional<Arriving> arriving;
  std::size_t sequence = 0;
  Index done = 0;
  int side = 0;
  while (sequence < sequences.size()) {
    const std::size_t from = sequence;
    const Index from_token = done;
    const Batch batch = next_batch(sequences, sequence, done);
    if (batch.tokens.empty()) continue;
    try {
      compute(cuda, batch, with_state, history_);
      send(cuda, static_cast<Index>(batch.tokens.size()), side);
    } catch (const Error& error) {
      // Less at once may do; a single sequence that must be whole cannot be cut.
      const bool can_shrink = chunk_ > kCudaSegment && (with_state || batch.spans.size() > 1);
      if (error.fault() != Fault::memory || !can_shrink) throw;
      shrink(cuda, static_cast<Index>(batch.tokens.size()));
      sequence = from;
      done = from_token;
      continue;
    }
    if (arriving) hand_out(cuda, *arriving, emit);
    arriving = Arriving{batch.spans, side};
    side = 1 - side;
  }
  if (arriving) hand_out(cuda, *arriving, emit);
}

void CudaLane::shrink(Cuda& cuda, Index rows) {
  cuda.wait();
  scratch_.clear();
  results_.clear();
  chunk_ = std::max(kCudaSegment, std::min(chunk_, rows) / 2 / kCudaSegment * kCudaSegment);
}

void CudaLane::advance(Cuda& cuda, Tokens tokens, Carry& carry, const Lane::Emit& emit) {
  const Index bytes = net_.state_floats() * Index{sizeof(float)};
  if (state_.size() == 0) state_ = CudaBuffer<float>(cuda, 2 * net_.state_floats());
  if (carry.position > 0 && bytes > 0) {
    cuda.copy_in(state_.data() + state_side_ * net_.state_floats(), carry.state.data(), bytes);
  }
  const auto length = static_cast<Index>(tokens.size());
  carry.history.grow(carry.position + length, carry.position);
  for (Index done = 0; done < length; done += chunk_) {
    const Index n = std::min(chunk_, length - done);
    Batch batch;
    const auto part = tokens.subspan(static_cast<std::size_t>(done), static_cast<std::size_t>(n));
    batch.tokens.assign(part.begin(), part.end());
    batch.spans = {{0, done, carry.position, 0, n, true}};
    compute(cuda, batch, true, carry.history);
    send(cuda, n, 0);
    hand_out(cuda, {batch.spans, 0}, emit);
    carry.position += n;
  }
  if (bytes > 0)
    cuda.copy_out(carry.state.data(), state_.data() + state_side_ * net_.state_floats(), bytes);
}

View<const float, 2> CudaLane::forward(Cuda& cuda, std::span<const Tokens> sequences) {
  std::size_t sequence = 0;
  Index done = 0;
  const Batch batch = next_batch(sequences, sequence, done);
  require(sequence == sequences.size(), Fault::internal, "cuda: more than one batch");
  remember(sequences);
  compute(cuda, batch, !model_.card().layer_major(), history_);
  return rows_;
}

}  // namespace genossm
