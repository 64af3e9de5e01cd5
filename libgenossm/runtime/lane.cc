#include "libgenossm/runtime/lane.h"

#include <algorithm>

#include "libgenossm/runtime/cuda_lane.h"

namespace genossm {

Lane::Lane(const Model& model, Features features, Index chunk, Index slab)
    : model_(model),
      features_(std::move(features)),
      chunk_(std::max(kTile, chunk / kTile * kTile)),
      slab_(std::max(kTile, slab / kTile * kTile)) {
  for (const Index layer : features_.layers) {
    if (layer < Features::kLast || layer > model.card().layers) {
      fail(Fault::usage, "layer " + std::to_string(layer) + " does not exist: the model has " +
                             std::to_string(model.card().layers) + " (0 is the embedding)");
    }
  }
  if constexpr (build::has_cuda) {
    if (model.card().cuda) cuda_ = std::make_shared<CudaLane>(model, features_, chunk);
  }
}

void Lane::run(Device& device, std::span<const Tokens> sequences, const Emit& emit) {
  if constexpr (build::has_cuda) {
    if (cuda_) return cuda_->run(*as_cuda(device), sequences, emit);
  }
  // Rows are collected until a step is full; a one-way sequence may be cut at a step's end.
  std::vector<std::int32_t> tokens;
  std::vector<Span> spans;
  const bool whole = model_.card().layer_major();
  if (!whole) {
    if (carry_.state.size() == 0) carry_ = Carry(model_);
    Index longest = 0;
    for (const Tokens& sequence : sequences) {
      longest = std::max(longest, static_cast<Index>(sequence.size()));
    }
    carry_.history.reserve(longest, 0);
  }
  const auto flush = [&] {
    if (!tokens.empty()) step(device, tokens, spans, emit);
    tokens.clear();
    spans.clear();
  };
  for (std::size_t s = 0; s < sequences.size(); ++s) {
    const Tokens all = sequences[s];
    const auto sequence = static_cast<Index>(s);
    const auto length = static_cast<Index>(all.size());
    check_length(model_.card(), length);
    Index done = 0;
    while (done < length) {
      const auto used = static_cast<Index>(tokens.size());
      Index n = length - done;
      if (whole) {
        if (used > 0 && used + n > chunk_) {
          flush();
          continue;
        }
      } else {
        n = std::min(n, chunk_ - used);
      }
      spans.push_back({sequence, done, done, used, used + n, whole ? nullptr : &carry_});
      const auto part = all.subspan(static_cast<std::size_t>(done), static_cast<std::size_t>(n));
      tokens.insert(tokens.end(), part.begin(), part.end());
      done += n;
      if (static_cast<Index>(tokens.size()) >= chunk_ || !model_.card().rows_independent) flush();
    }
  }
  flush();
}

void Lane::advance(Device& device, Tokens tokens, Carry& carry, const Emit& emit) {
  require(!model_.card().layer_major(), Fault::internal, "this model has no state to go on from");
  if constexpr (build::has_cuda) {
    if (cuda_) {
      return cuda_->advance(*as_cuda(device), tokens, carry, emit);
    }
  }
  const auto length = static_cast<Index>(tokens.size());
  carry.history.grow(carry.position + length, carry.position);
  for (Index done = 0; done < length; done += chunk_) {
    const Index n = std::min(chunk_, length - done);
    const Span span{0, done, carry.position, 0, n, &carry};
    step(device, tokens.subspan(static_cast<std::size_t>(done), static_cast<std::size_t>(n)),
         std::span(&span, 1), emit);
    carry.position += n;
  }
}

void Lane::advance_all(Device& device, std::span<const Stream> streams, const Emit& emit) {
  require(!model_.card().layer_major(), Fault::internal, "this model has no state to go on from");
  if constexpr (build::has_cuda) {
    for (std::size_t s = 0; cuda_ && s < streams.size(); ++s) {
      const Stream& stream = streams[s];
      cuda_->advance(*as_cuda(device), stream.tokens, *stream.carry,
                     [&](Index, Index first, View<const float, 2> values) {
                       emit(static_cast<Index>(s), first, values);
                     });
    }
    if (cuda_) return;
  }
  std::vector<std::int32_t> tokens;
  std::vector<Span> spans;
  const auto flush = [&] {
    if (!tokens.empty()) step(device, tokens, spans, emit);
    tokens.clear();
    spans.clear();
  };
  for (std::size_t s = 0; s < streams.size(); ++s) {
    const Stream& stream = streams[s];
    const auto length = static_cast<Index>(stream.tokens.size());
    Carry& carry = *stream.carry;
    carry.history.grow(carry.position + length, carry.position);
    for (Index done = 0; done < length;) {
      const auto used = static_cast<Index>(tokens.size());
      const Index n = std::min(length - done, chunk_ - used);
      spans.push_back({static_cast<Index>(s), done, carry.position, used, used + n, &carry});
      carry.position += n;
      const auto part =
          stream.tokens.subspan(static_cast<std::size_t>(done), static_cast<std::size_t>(n));
      tokens.insert(tokens.end(), part.begin(), part.end());
      done += n;
      if (static_cast<Index>(tokens.size()) >= chunk_ || !model_.card().rows_independent) flush();
    }
  }
  flush();
}

void Lane::step(Device& device, std::span<const std::int32_t> tokens, std::span<const Span> spans,
                const Emit& emit) {
  const Card& card = model_.card();
  const auto L = static_cast<Index>(tokens.size());
  const Index D = card.d_model;
  if (x_.size() < L * D) x_ = Buffer<float>(L * D);
  const View<float, 2> x = x_.matrix(L, D);
  if (!features_.logits) {
    const Index columns = features_.columns(card);
    const bool only_last = features_.layers == std::vector<Index>{Features::kLast};
    if (!only_last && captured_.size() < L * columns) captured_ = Buffer<float>(L * columns);
    captured_view_ = only_last ? View<float, 2>() : captured_.matrix(L, columns);
  }
  model_.embed(device, {tokens.data(), {L}}, x);
  capture(x, 0, spans);
  std::vector<Piece> pieces(spans.size());
  for (Index layer = 0; layer < features_.depth(card); ++layer) {
    for (std::size_t i = 0; i < spans.size(); ++i) {
      const Span& span = spans[i];
      pieces[i] = {span.begin, span.end, nullptr, span.position == 0};
      pieces[i].position = span.position;
      pieces[i].probe = probe_;
      // The spans of a step that share one carry are whole but for the first and the last, so each
      // layer's part is free again when the next span starts.
      if (span.carry == nullptr) continue;
      pieces[i].state = span.carry->state.data() + model_.state_offset(layer);
      pieces[i].history = card.history_bytes > 0 ? span.carry->history.rows(layer) : nullptr;
    }
    model_.block(layer).forward(device, scratch_, x, pieces, slab_);
    capture(x, layer + 1, spans);
  }
  finish(device, x, spans, emit);
}

void Lane::capture(View<const float, 2> x, Index layer, std::span<const Span> spans) {
  for (const Span& span : spans) {
    if (probe_ != nullptr) probe_->stream(layer, span.position, rows(x, span.begin, span.end));
  }
  if (features_.logits || captured_view_.empty()) return;
  const Index D = x.extent[1];
  for (std::size_t i = 0; i < features_.layers.size(); ++i) {
    if (features_.layers[i] != layer) continue;
    for (Index t = 0; t < x.extent[0]; ++t) {
      std::copy_n(x.row(t), D, captured_view_.row(t) + static_cast<Index>(i) * D);
    }
  }
}

void Lane::finish(Device& device, View<float, 2> x, std::span<const Span> spans, const Emit& emit) {
  const Index L = x.extent[0], D = x.extent[1];
  const bool want_last =
      features_.logits || std::find(features_.layers.begin(), features_.layers.end(),
                                    Features::kLast) != features_.layers.end();
  View<const float, 2> out = x;
  if (want_last) model_.final_norm(device, x, x);
  if (!captured_view_.empty() && !features_.logits) {
    for (std::size_t i = 0; want_last && i < features_.layers.size(); ++i) {
      if (features_.layers[i] != Features::kLast) continue;
      for (Index t = 0; t < L; ++t) {
        std::copy_n(x.row(t), D, captured_view_.row(t) + static_cast<Index>(i) * D);
      }
    }
    out = captured_view_;
  }
  for (const Span& span : spans) {
    if (!features_.logits) {
      emit(span.sequence, span.first, rows(out, span.begin, span.end));
      continue;
    }
    // The table of logits exists for one slab at a time.
    for (Index begin = span.begin; begin < span.end; begin += slab_) {
      const Index end = std::min(span.end, begin + slab_);
      const View<float, 2> logits = scratch_.matrix(kSlotHidden, end - begin, model_.card().vocab);
      model_.head(device, rows(View<const float, 2>(x), begin, end), logits);
      emit(span.sequence, span.first + begin - span.begin, logits);
    }
  }
}

}  // namespace genossm
