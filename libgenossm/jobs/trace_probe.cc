#include "libgenossm/jobs/trace_probe.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace genossm {
namespace {

// A step that has underflowed to nothing still has a logarithm.
double log_of(float step) {
  return std::log(std::max(double{step}, std::numeric_limits<double>::min()));
}

double squared_norm(const RecurrenceStep& step) {
  double sum = 0;
  for (Index r = 0; r < step.h.extent[0]; ++r) {
    double row = 0;
    for (Index c = 0; c < step.h.extent[1]; ++c) {
      row += double{step.h.row(r)[c]} * double{step.h.row(r)[c]};
    }
    const double scale = step.scale.empty() ? 1.0 : double{step.scale.data[r]};
    sum += row * scale * scale;
  }
  return sum;
}

}  // namespace

TraceProbe::TraceProbe(std::vector<TraceColumn> columns, bool layers_first)
    : columns_(std::move(columns)), layers_first_(layers_first) {
  Index last = 0;
  for (const TraceColumn& column : columns_) last = std::max(last, column.layer);
  forward_.resize(static_cast<std::size_t>(last + 1));
  reverse_.resize(static_cast<std::size_t>(last + 1));
}

void TraceProbe::begin() { flaw_.reset(); }

void TraceProbe::stretch(Index first, Index n) {
  first_ = first;
  count_ = n;
  if (rows_.size() < n * width()) rows_ = Buffer<float>(n * width());
  std::fill_n(rows_.data(), n * width(), std::numeric_limits<float>::quiet_NaN());
}

void TraceProbe::note(Index layer, Index token, const char* what) {
  const auto order = [this](Index l, Index t) {
    return layers_first_ ? std::pair(l, t) : std::pair(t, l);
  };
  if (flaw_ && order(flaw_->layer, flaw_->token) <= order(layer, token)) return;
  flaw_ = {layer, token, what};
}

void TraceProbe::stream(Index layer, Index first, View<const float, 2> x) {
  layer_ = layer;
  const Index D = x.extent[1];
  for (Index t = 0; t < x.extent[0]; ++t) {
    double sum = 0;
    for (Index c = 0; c < D; ++c) sum += double{x.row(t)[c]} * double{x.row(t)[c]};
    if (!std::isfinite(sum)) note(layer, first + t, layer == 0 ? "the embedding" : "the output");
    for (Index k = 0; k < width(); ++k) {
      const TraceColumn& column = columns_[static_cast<std::size_t>(k)];
      if (column.track != TraceTrack::stream || column.layer != layer) continue;
      rows_[(first + t - first_) * width() + k] =
          static_cast<float>(std::sqrt(sum / static_cast<double>(D)));
    }
  }
}

bool TraceProbe::wants_steps() const {
  return std::any_of(columns_.begin(), columns_.end(), [this](const TraceColumn& column) {
    return column.layer == layer_ + 1 && column.track != TraceTrack::stream;
  });
}

void TraceProbe::prepare(Memory& memory, View<const float, 2> A, bool fresh) const {
  const auto [N, C] = A.extent;
  if (!memory.ready) {
    memory.least.assign(static_cast<std::size_t>(C), std::numeric_limits<double>::infinity());
    double sum = 0;
    for (Index n = 0; n < N; ++n) {
      for (Index c = 0; c < C; ++c) {
        const double rate = std::abs(double{A.row(n)[c]});
        double& least = memory.least[static_cast<std::size_t>(c)];
        least = std::min(least, rate);
        sum += std::log(std::max(rate, std::numeric_limits<double>::min()));
      }
    }
    memory.mean_log_rate = sum / static_cast<double>(N * C);
    memory.sums = Buffer<float>(N * C);
    memory.ready = true;
  }
  if (fresh) std::fill(memory.sums.begin(), memory.sums.end(), 0.0f);
}

double TraceProbe::remembered(Memory& memory, const RecurrenceStep& step) const {
  const auto [N, C] = step.A.extent;
  double sum = 0;
  for (Index n = 0; n < N; ++n) {
    for (Index c = 0; c < C; ++c) {
      float& m = memory.sums[n * C + c];
      m = 1.0f + std::exp(step.delta.data[c] * step.A.row(n)[c]) * m;
      sum += double{m};
    }
  }
  return sum / static_cast<double>(N * C);
}

double TraceProbe::value(TraceTrack track, const RecurrenceStep& step, Memory& memory) const {
  const Index C = step.delta.extent[0];
  double sum = 0;
  switch (track) {
    case TraceTrack::delta:
      for (Index c = 0; c < C; ++c) sum += double{step.delta.data[c]};
      return sum / static_cast<double>(C);
    case TraceTrack::half_life:
      for (Index c = 0; c < C; ++c) sum += log_of(step.delta.data[c]);
      return std::numbers::ln2 / std::exp(sum / static_cast<double>(C) + memory.mean_log_rate);
    case TraceTrack::slowest: {
      double slowest = std::numeric_limits<double>::infinity();
      for (Index c = 0; c < C; ++c) {
        slowest = std::min(slowest,
                           double{step.delta.data[c]} * memory.least[static_cast<std::size_t>(c)]);
      }
      return std::numbers::ln2 / slowest;
    }
    case TraceTrack::state_norm:
      return std::sqrt(squared_norm(step));
    case TraceTrack::memory:
      return remembered(memory, step);
    case TraceTrack::stream:
      break;
  }
  return 0;  // not reached: stream() has its own way
}

void TraceProbe::step(const RecurrenceStep& step) {
  const Index layer = layer_ + 1;
  Memory& memory = (step.reverse ? reverse_ : forward_)[static_cast<std::size_t>(layer)];
  prepare(memory, step.A, step.fresh);
  for (Index c = 0; c < step.delta.extent[0]; ++c) {
    if (!std::isfinite(step.delta.data[c])) note(layer, step.token, "a step size");
  }
  for (Index k = 0; k < width(); ++k) {
    const TraceColumn& column = columns_[static_cast<std::size_t>(k)];
    if (column.layer != layer || column.reverse != step.reverse ||
        column.track == TraceTrack::stream) {
      continue;
    }
    const double v = value(column.track, step, memory);
    if (column.track == TraceTrack::state_norm && !std::isfinite(v)) {
      note(layer, step.token, "the state");
    }
    rows_[(step.token - first_) * width() + k] = static_cast<float>(v);
  }
}

}  // namespace genossm
