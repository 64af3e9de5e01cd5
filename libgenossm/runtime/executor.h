// Executor: runs windows through a model, both strands where asked, in parallel, and hands out
// their rows in order. The only place that knows how strands are joined (caduceus.md sections 3 and
// 6, product.md section 7).
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "libgenossm/runtime/lane.h"
#include "libgenossm/runtime/planner.h"

namespace genossm {

// One window: where its tokens come from and the rows wanted of it. Tokens are asked for piece by
// piece, so that a chromosome never stands in memory as numbers.
struct Unit {
  // Writes tokens [begin, begin + out.size()).
  using Read = std::function<void(Index begin, std::span<std::int32_t> out)>;
  Index length = 0;
  Read tokens;
  // The other strand's tokens, as many; needed for every mode but forward, except with
  // strand-sharing models, whose other strand is computed from `tokens`.
  Read reverse_tokens;
  Index first = 0;  // row of `tokens` wanted first
  Index count = 0;  // rows wanted
  // Row of reverse_tokens that stands for row `first`; row `first + i` is reverse_last - i.
  Index reverse_last = 0;
  // One-way models read in one strand: goes on at token `start`, a multiple of Lane::tile(), with
  // the carry that after_chunk was given there, and calls after_chunk(tokens done, carry) when a
  // chunk's rows have been taken. Short units, which run with others, have no chunks.
  Index start = 0;
  std::shared_ptr<const std::vector<float>> carry;
  std::function<void(Index, const std::vector<float>&)> after_chunk;
};

// Rows wanted of a unit, from the first that no stretch before has taken on, that are reduced into
// row `record` of the sums.
struct Stretch {
  std::size_t unit = 0;
  Index count = 0;
  Index record = 0;
};

struct ExecutorOptions {
  Features features;
  StrandMode strand = StrandMode::forward;
  int threads = 1;
  Index chunk = 0;   // 0: planned
  Index memory = 0;  // bytes; 0: no limit
  Index window = 0;  // tokens, for the first plan
};

class Executor {
 public:
  // `device` runs single long streams with all its threads.
  Executor(const Model& model, Device& device, ExecutorOptions options);

  // Columns of a result row: the features', twice with StrandMode::both.
  Index columns() const { return columns_; }
  const Plan& plan() const { return plan_; }

  // take(unit, first row of the unit's wanted rows, rows). Units in order; a unit's rows in order,
  // in one or more pieces. Throws Fault::memory when a unit does not fit.
  using Take = std::function<void(Index, Index, View<const float, 2>)>;
  void run(std::span<const Unit> units, const Take& take);

  // The same with rows reduced on the GPU instead of handed out: sum [records, columns()] += the
  // rows of a record's stretches, in token order, and max likewise (empty: not wanted); the bits of
  // Pool. The stretches are all rows wanted, in order, their records rising. done(rows) after each
  // batch.
  bool reduces(std::span<const Unit> units, Index records) const;
  void reduce(std::span<const Unit> units, std::span<const Stretch> stretches, View<double, 2> sum,
              View<double, 2> max, const std::function<void(Index)>& done);

 private:
  struct Item;
  struct Reduction;
  void reduce_batch(Reduction& reduction, std::size_t begin, std::size_t end);
  // One strand's tokens of a unit, and the place of the first wanted row among them.
  Index tokens_of(const Unit& unit, bool reverse, std::vector<std::int32_t>& ids) const;
  void note_shortage();
  void hold_rows(std::span<Item> items);
  void wave(std::span<const Unit> units, Index first_unit, const Take& take);
  void stream(const Unit& unit, Index index, const Take& take);
  void run_items(Device& device, Lane& lane, std::span<const Unit> units, std::span<Item> items);
  void join(const Unit& unit, View<const float, 2> a, View<const float, 2> b, View<float, 2> out);
  void fit(Index longest);

  const Model& model_;
  Device& device_;
  ExecutorOptions options_;
  Plan plan_;
  Index lane_columns_, columns_;
  bool need_forward_, need_reverse_;
  std::unique_ptr<Lane> wide_;  // runs with all threads
  std::vector<std::unique_ptr<Lane>> lanes_;
  Buffer<float> held_;    // rows of a wave
  Buffer<float> joined_;  // of a unit
};

// Reverse complement of token ids by the checkpoint's map.
std::vector<std::int32_t> reverse_complement(std::span<const std::int32_t> tokens,
                                             std::span<const std::int64_t> complement);

}  // namespace genossm
