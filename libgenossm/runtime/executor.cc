#include "libgenossm/runtime/executor.h"

#include <algorithm>

#include "libgenossm/runtime/cuda_lane.h"

namespace genossm {

std::vector<std::int32_t> reverse_complement(std::span<const std::int32_t> tokens,
                                             std::span<const std::int64_t> complement) {
  std::vector<std::int32_t> out(tokens.size());
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const auto token = static_cast<std::size_t>(tokens[tokens.size() - 1 - i]);
    // An id outside the vocabulary stays and is refused by the embedding.
    out[i] = static_cast<std::int32_t>(
        token < complement.size() ? complement[token] : static_cast<std::int64_t>(token));
  }
  return out;
}

// One strand of one batch of units, and its result rows.
struct Executor::Item {
  std::vector<std::size_t> units;  // of the wave
  bool reverse = false;
  Index count = 0;            // wanted rows of all units, one after the other
  float* rows = nullptr;      // in the wave's
  std::vector<Index> offset;  // of each unit in rows
};

Executor::Executor(const Model& model, Device& device, ExecutorOptions options)
    : model_(model), device_(device), options_(std::move(options)) {
  const Card& card = model_.card();
  lane_columns_ = options_.features.columns(card);
  columns_ = lane_columns_ * (options_.strand == StrandMode::both ? 2 : 1);
  const StrandMode mode = options_.strand;
  if (options_.features.logits) {
    if (mode == StrandMode::both) {
      fail(Fault::usage, "--strand both has no meaning for logits; use fwd, rc or avg");
    }
    need_forward_ = card.strands || mode != StrandMode::reverse;
    need_reverse_ = card.strands || mode != StrandMode::forward;
  } else {
    const bool exchanged = card.strands_exchanged;
    need_forward_ = mode != StrandMode::reverse || exchanged;
    need_reverse_ = mode != StrandMode::forward || exchanged;
  }
  fit(options_.window);
}

void Executor::fit(Index longest) {
  PlanRequest request;
  request.window = longest;
  request.chunk = options_.chunk;
  request.memory = options_.memory;
  request.threads = options_.threads;
  request.strand = options_.strand;
  request.columns = lane_columns_;
  wide_.reset();
  if constexpr (build::has_cuda) {
    // A tenth stays free for what the driver and the library take.
    if (const Cuda* cuda = as_cuda(device_)) request.device_memory = cuda->free_memory() / 10 * 9;
  }
  plan_ = make_plan(model_.card(), request);
  options_.window = longest;
  wide_ = std::make_unique<Lane>(model_, options_.features, plan_.chunk, plan_.slab);
  lanes_.clear();
  for (int i = 0; i < plan_.lanes; ++i) {
    lanes_.push_back(
        std::make_unique<Lane>(model_, options_.features, plan_.chunk, plan_.lane_slab));
  }
}

void Executor::run(std::span<const Unit> units, const Take& take) {
  Index longest = 0;
  for (const Unit& unit : units) {
    longest = std::max(longest, unit.length);
  }
  check_length(model_.card(), longest);
  const bool streams = !model_.card().layer_major() && !need_reverse_;
  // What attention remembers grows with the sequence, whatever the order of the work.
  const bool grows = !streams || model_.card().history_bytes > 0;
  if (grows && longest > options_.window) fit(longest);
  // A long one-way sequence goes straight through, its rows never held.
  const Index long_from = std::max<Index>(plan_.wave_tokens, 4 * plan_.chunk);
  std::size_t begin = 0;
  Index tokens = 0;
  const auto flush = [&](std::size_t end) {
    if (end > begin) wave(units.subspan(begin, end - begin), static_cast<Index>(begin), take);
    begin = end;
    tokens = 0;
  };
  for (std::size_t i = 0; i < units.size(); ++i) {
    const auto length = units[i].length;
    if (streams && (length >= long_from || units[i].start > 0)) {
      flush(i);
      stream(units[i], static_cast<Index>(i), take);
      begin = i + 1;
      continue;
    }
    if (tokens > 0 && tokens + length > plan_.wave_tokens) flush(i);
    tokens += length;
  }
  flush(units.size());
  note_shortage();
}

void Executor::stream(const Unit& unit, Index index, const Take& take) {
  Carry carry(model_);
  carry.history.reserve(unit.length, 0);
  // Keys and values of all tokens so far are too much to keep.
  const bool kept = carry.history.token_bytes() == 0;
  if (unit.start > 0) {
    const auto floats = static_cast<std::size_t>(carry.state.size());
    require(kept && unit.carry && unit.carry->size() == floats && unit.start % wide_->tile() == 0,
            Fault::internal, "a sequence cannot go on where it was left");
    std::copy_n(unit.carry->data(), floats, carry.state.data());
    carry.position = unit.start;
  }
  std::vector<std::int32_t> tokens;
  for (Index done = unit.start; done < unit.length; done += plan_.chunk) {
    tokens.resize(static_cast<std::size_t>(std::min(plan_.chunk, unit.length - done)));
    unit.tokens(done, tokens);
    wide_->advance(device_, tokens, carry, [&](Index, Index offset, View<const float, 2> values) {
      const Index first = done + offset;
      const Index n = values.extent[0];
      const Index from = std::clamp<Index>(unit.first - first, 0, n);
      const Index to = std::clamp<Index>(unit.first + unit.count - first, from, n);
      if (to > from) take(index, first + from - unit.first, rows(values, from, to));
    });
    const Index after = done + static_cast<Index>(tokens.size());
    if (unit.after_chunk && kept && after < unit.length) {
      unit.after_chunk(after, {carry.state.data(), carry.state.data() + carry.state.size()});
    }
  }
}

Index Executor::tokens_of(const Unit& unit, bool reverse, std::vector<std::int32_t>& ids) const {
  ids.resize(static_cast<std::size_t>(unit.length));
  if (!reverse) {
    unit.tokens(0, ids);
    return unit.first;
  }
  // Row first + k of the forward strand is row last - k of the other.
  if (model_.card().strands) {
    unit.tokens(0, ids);
    ids = reverse_complement(ids, model_.complement());
    return unit.length - unit.first - unit.count;
  }
  unit.reverse_tokens(0, ids);
  return unit.reverse_last - unit.count + 1;
}

// What happened to the batches, for the report.
void Executor::note_shortage() {
  if constexpr (build::has_cuda) {
    const CudaLane* lane = wide_->on_cuda();
    if (lane != nullptr && lane->chunk() < plan_.chunk) plan_.halved_to = lane->chunk();
  }
}

void Executor::run_items(Device& device, Lane& lane, std::span<const Unit> units,
                         std::span<Item> items) {
  struct Member {
    Item* item;
    std::size_t of_item;
    Index first_row;
  };
  std::vector<Member> members;
  std::vector<std::vector<std::int32_t>> tokens;
  for (Item& item : items) {
    for (std::size_t i = 0; i < item.units.size(); ++i) {
      const Unit& unit = units[item.units[i]];
      const Index first = tokens_of(unit, item.reverse, tokens.emplace_back());
      members.push_back({&item, i, first});
    }
  }
  const std::vector<Tokens> sequences(tokens.begin(), tokens.end());
  lane.run(device, sequences, [&](Index s, Index first, View<const float, 2> values) {
    const Member& member = members[static_cast<std::size_t>(s)];
    const Item& item = *member.item;
    const Index count = units[item.units[member.of_item]].count;
    for (Index t = 0; t < values.extent[0]; ++t) {
      const Index row = first + t - member.first_row;
      if (row < 0 || row >= count) continue;
      std::copy_n(values.row(t), lane_columns_,
                  item.rows + (item.offset[member.of_item] + row) * lane_columns_);
    }
  });
}

// One block for all rows of a wave, kept for the next: memory given back and taken again would cost
// a page fault for every few rows, and leave gaps that make the peak a matter of luck.
void Executor::hold_rows(std::span<Item> items) {
  Index total = 0;
  for (const Item& item : items) total += item.count * lane_columns_;
  if (held_.size() < total) {
    held_ = Buffer<float>();
    held_ = Buffer<float>(total);
  }
  float* rows = held_.data();
  for (Item& item : items) {
    item.rows = rows;
    rows += item.count * lane_columns_;
  }
}

void Executor::wave(std::span<const Unit> units, Index first_unit, const Take& take) {
  // Batches of about equal size, at least one a lane where there is enough to share.
  Index total = 0;
  for (const Unit& unit : units) total += unit.length;
  const int strands = (need_forward_ ? 1 : 0) + (need_reverse_ ? 1 : 0);
  const Index shares = std::max<Index>(1, (plan_.lanes + strands - 1) / strands);
  const Index batch = std::max<Index>(1, std::min(plan_.chunk, (total + shares - 1) / shares));
  std::vector<std::vector<std::size_t>> batches;
  Index filled = 0;
  for (std::size_t u = 0; u < units.size(); ++u) {
    const auto length = units[u].length;
    if (batches.empty() || filled + length > batch) {
      batches.emplace_back();
      filled = 0;
    }
    batches.back().push_back(u);
    filled += length;
  }
  std::vector<Item> items;
  for (const auto& members : batches) {
    Item item{members, false, 0, nullptr, {}};
    for (const std::size_t u : members) {
      item.offset.push_back(item.count);
      item.count += units[u].count;
    }
    if (need_forward_) items.push_back(item);
    item.reverse = true;
    if (need_reverse_) items.push_back(std::move(item));
  }
  hold_rows(items);
  if (static_cast<Index>(items.size()) >= options_.threads && options_.threads > 1 &&
      std::holds_alternative<Cpu>(device_)) {
    // As many items at once as there are lanes; each lane is used by one task at a time.
    std::vector<Lane*> idle;
    for (const auto& lane : lanes_) idle.push_back(lane.get());
    std::mutex mutex;
    Index next = 0;
    const auto count = static_cast<Index>(items.size());
    std::get<Cpu>(device_).for_each(plan_.lanes, [&](Index worker) {
      Lane& lane = *lanes_[static_cast<std::size_t>(worker)];
      Device alone{Cpu(1)};
      for (;;) {
        Index i = 0;
        {
          const std::lock_guard lock(mutex);
          if (next >= count) return;
          i = next++;
        }
        run_items(alone, lane, units, std::span(&items[static_cast<std::size_t>(i)], 1));
      }
    });
  } else if (model_.card().cuda) {
    run_items(device_, *wide_, units, items);  // the lane batches them and overlaps the batches
  } else {
    for (Item& item : items) run_items(device_, *wide_, units, std::span(&item, 1));
  }
  // Join the strands and hand out, in order.
  const std::size_t step = static_cast<std::size_t>(strands);
  for (std::size_t b = 0; b < batches.size(); ++b) {
    const Item& one = items[b * step];
    const Item& two = items[b * step + step - 1];
    for (std::size_t i = 0; i < batches[b].size(); ++i) {
      const std::size_t u = batches[b][i];
      const Unit& unit = units[u];
      if (unit.count == 0) continue;
      const auto part = [&](const Item& item) {
        return View<const float, 2>(item.rows + item.offset[i] * lane_columns_,
                                    {unit.count, lane_columns_});
      };
      const Index index = first_unit + static_cast<Index>(u);
      if (strands == 1 && need_forward_ && !model_.card().strands_exchanged) {
        take(index, 0, part(one));
        continue;
      }
      if (joined_.size() < unit.count * columns_) joined_ = Buffer<float>(unit.count * columns_);
      const View<float, 2> out = joined_.matrix(unit.count, columns_);
      join(unit, need_forward_ ? part(one) : View<const float, 2>(),
           need_reverse_ ? part(two) : View<const float, 2>(), out);
      take(index, 0, out);
    }
  }
}

// a: rows of the forward strand; b: rows of the reverse strand in its own order, so that row i of a
// stands at row n-1-i of b.
void Executor::join(const Unit& unit, View<const float, 2> a, View<const float, 2> b,
                    View<float, 2> out) {
  const Card& card = model_.card();
  const Index n = unit.count;
  const StrandMode mode = options_.strand;
  for (Index i = 0; i < n; ++i) {
    const float* f = a.empty() ? nullptr : a.row(i);
    const float* r = b.empty() ? nullptr : b.row(n - 1 - i);
    float* y = out.row(i);
    if (options_.features.logits) {
      const auto& complement = model_.complement();
      for (Index v = 0; v < card.vocab; ++v) {
        if (card.strands) {
          const Index w = complement[static_cast<std::size_t>(v)];
          y[v] = card.strands_exchanged ? r[v] + f[w] : f[v] + r[w];
        } else {
          // Logits of the other strand speak of its own bases; only the position is mapped back.
          y[v] = mode == StrandMode::forward ? f[v] : r[v];
        }
      }
      continue;
    }
    const Index D = card.d_model;
    const bool twice = mode == StrandMode::both;
    for (std::size_t k = 0; k < options_.features.layers.size(); ++k) {
      const Index in = static_cast<Index>(k) * D;
      float* to = y + in * (twice ? 2 : 1);
      // Upstream's two halves at this position, the second flipped along the channels.
      const bool exchanged =
          card.strands_exchanged && options_.features.layers[k] == Features::kLast;
      const float* first = f ? f + in : nullptr;
      const float* second = r ? r + in : nullptr;
      if (exchanged) std::swap(first, second);
      for (Index c = 0; c < D; ++c) {
        const Index turned = D - 1 - c;
        const Index own = exchanged ? turned : c;
        switch (mode) {
          case StrandMode::forward:
            to[c] = first[own];
            break;
          case StrandMode::reverse:
            to[c] = second[own];
            break;
          case StrandMode::average:
            to[c] = 0.5f * (first[own] + second[own]);
            break;
          case StrandMode::both:
            to[c] = first[own];
            // Strand-sharing models give the reverse stream flipped along the channels, as
            // upstream.
            to[D + c] = second[card.strands ? (exchanged ? c : turned) : c];
            break;
        }
      }
    }
  }
}

}  // namespace genossm
