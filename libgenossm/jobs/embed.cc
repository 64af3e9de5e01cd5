#include "libgenossm/jobs/embed.h"

#include <algorithm>
#include <deque>

#include "libgenossm/jobs/npy_ids.h"
#include "libgenossm/runtime/windows.h"

namespace genossm {
namespace {

// A record whose windows have not all come back yet.
struct Pending {
  RowLabel label;
  Index windows_left = 0;
  Index rows = 0;
  bool finite = true;
};

class EmbedRun {
 public:
  EmbedRun(const OpenedModel& model, Device& device, const EmbedOptions& options)
      : model_(model),
        device_(device),
        options_(options),
        strand_(options.run.strand.value_or(
            default_strand(model, !options.source.token_ids.empty(), options.features.logits))),
        window_(window_of(model, options.run)),
        executor_(model.model, device, executor_options()),
        pooling_(per_base() ? PoolParts{PoolPart{}} : options.pool, executor_.columns()) {
    refuse_senseless();
  }

  JobReport run(SequenceSource& source, const OpenMatrix& open) {
    total_bases_ = source.total_bases();
    Sequence sequence;
    // The first record is read before the output is opened: broken input leaves nothing behind.
    bool more = source.next(sequence);
    MatrixSpec spec;
    spec.columns = per_base() ? executor_.columns() : pooling_.columns();
    spec.element = options_.element;
    spec.per_base = per_base();
    spec.provenance = provenance();
    writer_ = open(spec);
    while (more) {
      add(sequence);
      if (waiting_tokens_ >= executor_.plan().wave_tokens) flush();
      more = source.next(sequence);
    }
    flush();
    writer_->finish();
    add_tally(report_, source.tally());
    report_.plan = executor_.plan();
    report_.strand = name_of(strand_);
    return report_;
  }

 private:
  ExecutorOptions executor_options() const {
    ExecutorOptions e;
    e.features = options_.features;
    e.strand = strand_;
    e.threads = options_.run.threads;
    e.chunk = options_.run.chunk;
    e.memory = options_.run.memory;
    e.window = window_;
    return e;
  }

  void refuse_senseless() const {
    const Card& card = model_.model.card();
    if (options_.features.logits && !card.strands && strand_ != StrandMode::forward) {
      fail(Fault::usage, "--logits with --strand " + std::string(name_of(strand_)) +
                             ": the logits of the two strands speak of different bases; use fwd");
    }
    if (!options_.source.token_ids.empty() && !card.strands && strand_ != StrandMode::forward) {
      fail(Fault::usage,
           "--token-ids with --strand " + std::string(name_of(strand_)) +
               ": only strand-sharing models know the complement of a token; use fwd");
    }
    if (options_.source.token_ids.empty() && !model_.tokenizer) {
      fail(Fault::checkpoint, model_.path.string() +
                                  ": no tokenizer.json says what its tokens mean. Put one beside "
                                  "the weights, or feed --token-ids");
    }
  }

  std::string provenance() const {
    Provenance p = options_.provenance;
    for (auto& pair : provenance_of(model_)) p.push_back(pair);
    std::string layers = "[";
    for (const Index layer : options_.features.layers) {
      layers += (layers.size() > 1 ? ", " : "") +
                (layer == Features::kLast ? json_text("last") : std::to_string(layer));
    }
    p.emplace_back("what", json_text(options_.features.logits ? "logits" : "hidden states"));
    if (!options_.features.logits) p.emplace_back("layers", layers + "]");
    if (!per_base()) p.emplace_back("pool", json_text(pool_text(options_.pool)));
    p.emplace_back("strand", json_text(name_of(strand_)));
    p.emplace_back("window", std::to_string(window_));
    p.emplace_back("stride", std::to_string(options_.run.stride));
    p.emplace_back("special_tokens", special() ? "true" : "false");
    return json_line(p);
  }

  bool per_base() const { return options_.pool.empty(); }
  bool special() const { return options_.special_tokens && options_.source.token_ids.empty(); }

  void add(Sequence& sequence) {
    Pending pending;
    pending.label.name = sequence.name;
    pending.label.contig = sequence.contig;
    pending.label.begin = sequence.begin;
    pending.label.end = sequence.end;
    pending.label.length = sequence.length();
    ++report_.records;
    report_.bases += sequence.length();
    if (sequence.is_ids) {
      add_ids(sequence, pending);
    } else {
      const auto bases = std::make_shared<const std::string>(std::move(sequence.bases));
      const Tokenizer& tokenizer = *model_.tokenizer;
      const auto P = special() ? static_cast<Index>(tokenizer.prefix().size()) : 0;
      const auto S = special() ? static_cast<Index>(tokenizer.suffix().size()) : 0;
      for (const Window& w : cut_windows(static_cast<Index>(bases->size()), window_,
                                         options_.run.stride, model_.model.card().two_way)) {
        const WindowTokens tokens{&tokenizer, bases, w.begin, w.end, special()};
        Unit unit;
        unit.length = P + (w.end - w.begin) + S;
        unit.tokens = forward_tokens(tokens);
        unit.reverse_tokens = reverse_tokens(tokens);
        unit.first = P + w.report_begin - w.begin;
        unit.count = w.report_end - w.report_begin;
        unit.reverse_last = P + (w.end - 1 - w.report_begin);
        if (options_.special_rows) {
          require(w.end - w.begin == pending.label.length, Fault::input,
                  "record '" + pending.label.name + "' has " +
                      std::to_string(pending.label.length) + " bases, more than the window of " +
                      std::to_string(window_) + ". Give a larger --window, or cut it");
          unit.first = 0;
          unit.count = unit.length;
          unit.reverse_last = unit.length - 1;
        }
        queue(std::move(unit), pending);
      }
    }
    waiting_.push_back(std::move(pending));
  }

  void add_ids(Sequence& sequence, Pending& pending) {
    if (sequence.ids.empty()) return;
    check_token_ids(sequence.name, sequence.ids, model_.model.card().vocab);
    const auto ids = std::make_shared<const std::vector<std::int32_t>>(std::move(sequence.ids));
    Unit unit;
    unit.length = static_cast<Index>(ids->size());
    unit.count = unit.length;
    unit.tokens = [ids](Index begin, std::span<std::int32_t> out) {
      std::copy_n(ids->begin() + begin, out.size(), out.begin());
    };
    queue(std::move(unit), pending);
  }

  void queue(Unit unit, Pending& pending) {
    waiting_tokens_ += unit.length;
    report_.tokens += unit.length;
    ++report_.windows;
    ++pending.windows_left;
    pending.rows += unit.count;
    units_.push_back(std::move(unit));
  }

  void flush() {
    std::size_t done = 0;  // units finished
    open_next();
    executor_.run(units_, [&](Index u, Index first, View<const float, 2> rows) {
      check_finite(rows);
      if (per_base()) {
        writer_->rows(rows);
      } else {
        pooling_.take(device_, rows);
      }
      rows_done_ += rows.extent[0];
      if (options_.run.progress) options_.run.progress(rows_done_, total_bases_);
      const Unit& unit = units_[static_cast<std::size_t>(u)];
      if (first + rows.extent[0] < unit.count) return;
      ++done;
      if (--waiting_.front().windows_left == 0) {
        close_record();
        open_next();
      }
    });
    require(done == units_.size() && waiting_.empty(), Fault::internal,
            "embed: windows without rows");
    units_.clear();
    waiting_tokens_ = 0;
  }

  // Begins the record at the front; empty records are written at once.
  void open_next() {
    while (!waiting_.empty()) {
      writer_->begin_record(waiting_.front().label);
      pooling_.begin(waiting_.front().rows);
      if (waiting_.front().windows_left > 0) return;
      close_record();
    }
  }

  void close_record() {
    if (!per_base()) {
      const std::vector<float> vector = pooling_.finish();
      writer_->rows({vector.data(), {1, static_cast<Index>(vector.size())}});
    }
    writer_->end_record();
    if (!waiting_.front().finite) {
      ++report_.skipped["non-finite values"];
      if (options_.run.strict) {
        fail(Fault::input, "record '" + waiting_.front().label.name + "': non-finite values");
      }
    }
    waiting_.pop_front();
  }

  void check_finite(View<const float, 2> rows) {
    // NaN and infinity survive the sum of squares; one value a row is enough to see them.
    for (Index t = 0; t < rows.extent[0]; ++t) {
      float sum = 0;
      for (Index c = 0; c < rows.extent[1]; ++c) sum += rows.row(t)[c] * 0.0f;
      if (!(sum == 0.0f)) waiting_.front().finite = false;
    }
  }

  const OpenedModel& model_;
  Device& device_;
  const EmbedOptions& options_;
  StrandMode strand_;
  Index window_;
  Executor executor_;
  Pooling pooling_;
  std::unique_ptr<MatrixWriter> writer_;
  std::deque<Pending> waiting_;
  std::vector<Unit> units_;
  Index waiting_tokens_ = 0;
  Index rows_done_ = 0, total_bases_ = 0;
  JobReport report_;
};

}  // namespace

StrandMode default_strand(const OpenedModel& model, bool token_ids, bool logits) {
  const Card& card = model.model.card();
  if (card.strands) {
    if (logits) return StrandMode::forward;
    return token_ids ? StrandMode::both : StrandMode::average;
  }
  // Published usage of Caduceus-Ph averages the embeddings of both strands (caduceus.md section 6).
  if (card.family == "caduceus-ph" && !token_ids && !logits) return StrandMode::average;
  return StrandMode::forward;
}

JobReport embed(const OpenedModel& model, Device& device, const EmbedOptions& options,
                SequenceSource& source, const OpenMatrix& open) {
  return EmbedRun(model, device, options).run(source, open);
}

JobReport embed(const OpenedModel& model, Device& device, const EmbedOptions& options) {
  EmbedRun run(model, device, options);
  const auto source = SequenceSource::open(options.source);
  return run.run(*source,
                 [&](const MatrixSpec& spec) { return open_matrix(options.output, spec); });
}

}  // namespace genossm
