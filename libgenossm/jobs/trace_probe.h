// TraceProbe: turns what a Probe is shown into rows of numbers, one a token.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kernels/core/buffer.h"
#include "libgenossm/jobs/trace.h"
#include "libgenossm/model/probe.h"

namespace genossm {

// One column: a quantity of a layer (1 to the number of blocks), of one direction.
struct TraceColumn {
  Index layer = 0;
  TraceTrack track{};
  bool reverse = false;
};

class TraceProbe final : public Probe {
 public:
  // `layers_first`: the model takes a sequence through one layer after the other, so that the
  // lowest layer, not the lowest token, is where something went wrong first.
  TraceProbe(std::vector<TraceColumn> columns, bool layers_first);

  // A new sequence, whose rows are asked for in stretches from the front.
  void begin();
  // Rows of tokens [first, first + n) from now on; what was there is gone.
  void stretch(Index first, Index n);
  View<const float, 2> rows() const { return rows_.matrix(count_, width()); }
  Index width() const { return static_cast<Index>(columns_.size()); }

  // Where something was not finite for the first time; layer 0 is the embedding.
  struct Flaw {
    Index layer = 0, token = 0;
    const char* what = "";
  };
  const std::optional<Flaw>& flaw() const { return flaw_; }

  void stream(Index layer, Index first, View<const float, 2> x) override;
  bool wants_steps() const override;
  void step(const RecurrenceStep& step) override;

 private:
  // What a layer's recurrence carries from token to token.
  struct Memory {
    Buffer<float> sums;         // M [N, C]
    double mean_log_rate = 0;   // of ln |A|
    std::vector<double> least;  // [C]  the smallest |A| of a channel
    bool ready = false;
  };
  void prepare(Memory& memory, View<const float, 2> A, bool fresh) const;
  double remembered(Memory& memory, const RecurrenceStep& step) const;
  double value(TraceTrack track, const RecurrenceStep& step, Memory& memory) const;
  void note(Index layer, Index token, const char* what);

  std::vector<TraceColumn> columns_;
  bool layers_first_;
  Index layer_ = 0;  // blocks that have begun
  Index first_ = 0, count_ = 0;
  Buffer<float> rows_;
  std::vector<Memory> forward_, reverse_;  // one a layer
  std::optional<Flaw> flaw_;
};

}  // namespace genossm
