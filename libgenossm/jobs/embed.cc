#include "libgenossm/jobs/embed.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <optional>

#include "libgenossm/jobs/embed_plot.h"
#include "libgenossm/jobs/npy_ids.h"
#include "libgenossm/output/kept_matrix.h"
#include "libgenossm/runtime/windows.h"

namespace genossm {
namespace {

// A record whose windows have not all come back yet.
struct Pending {
  RowLabel label;
  Index number = 0;  // of the source
  Index rows = 0;    // in all, whoever computes them
  Index done = 0;    // rows that came back, or that others have
  Index until = 0;   // rows that are ours end here
  Index windows_left = 0;
  bool all_queued = false, begun = false;
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

  // `journal`: empty, or asked for after `open` was called.
  JobReport run(SequenceSource& source, const OpenMatrix& open,
                const std::function<Journal*()>& journal = {}) {
    if (total_bases_ == 0) total_bases_ = source.total_bases();
    Sequence sequence;
    // The first record is read before the output is opened: broken input leaves nothing behind.
    bool more = source.next(sequence);
    MatrixSpec spec;
    spec.columns = per_base() ? executor_.columns() : pooling_.columns();
    spec.element = options_.element;
    spec.per_base = per_base();
    spec.provenance = provenance();
    writer_ = open(spec);
    if (journal) go_on(*journal());
    for (Index number = 0; more; ++number) {
      add(sequence, number);
      if (waiting_tokens_ >= patience()) flush();
      more = source.next(sequence);
    }
    flush();
    add_tally(report_, source.tally());
    if (journal_ != nullptr && !finished_ && (journal_->stored() || !whole_)) {
      journal_->commit(kFinished);
    }
    writer_->finish();
    report_.plan = executor_.plan();
    report_.strand = name_of(strand_);
    return report_;
  }

  JobPlan plan() {
    JobPlan plan;
    Survey found;
    const std::vector<Index> lengths = lengths_of(options_.source, found);
    use(found);
    plan.columns = per_base() ? executor_.columns() : pooling_.columns();
    const Index around = special() ? static_cast<Index>(model_.tokenizer->prefix().size() +
                                                        model_.tokenizer->suffix().size())
                                   : 0;
    Index labels = 0;
    for (const Index length : lengths) {
      const auto part = ours(0, length);
      if (!part) continue;
      count_windows(plan, length, options_.source.token_ids.empty() ? window_ : 0,
                    options_.run.stride, model_.model.card().two_way, *part, around);
      const Index rows = rows_of(part->end - part->begin);
      plan.rows += rows;
      labels += per_base() ? 1 : rows;
    }
    plan.records = report_.records;
    plan.bases = report_.bases;
    plan.type = matrix_type(options_.output);
    constexpr Index kLabel = 24;  // a name as regions have them
    if ((plan.type.starts_with("tsv") || plan.type == "h5ad") && per_base()) labels = plan.rows;
    plan.output_bytes = bytes_of_output(plan.type, options_.element, plan.rows * plan.columns,
                                        labels, labels * kLabel);
    if (keeps_journal(options_.run.keep, options_.source, options_.output)) {
      plan.journal_bytes = bytes_of_output("npy", options_.element, plan.rows * plan.columns,
                                           labels, 2 * labels * kLabel);
    }
    plan.plan = executor_.plan();
    add_own_memory(plan);
    const bool twice = strand_ != StrandMode::forward && !model_.model.card().strands;
    expect_time(plan, model_, device_, options_.run, window_, twice ? 2 : 1);
    return plan;
  }

  void use(const Survey& survey) {
    share_ = share_of(survey.bases, options_.run.keep);
    whole_ = options_.run.keep.shards == 0;
    total_bases_ = share_.end - share_.begin;
  }

  Provenance facts() const { return provenance_pairs(); }

  // Of the whole matrix, where this part of it begins; known when the source has been read.
  Index first_row() const { return std::max<Index>(0, first_row_); }

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

  std::string provenance() const { return json_line(provenance_pairs()); }

  Provenance provenance_pairs() const {
    Provenance p = options_.provenance;
    for (auto& pair : provenance_of(model_)) p.push_back(pair);
    std::string layers = "[";
    for (const Index layer : options_.features.layers) {
      layers += (layers.size() > 1 ? ", " : "") +
                (layer == Features::kLast ? json_text("last") : std::to_string(layer));
    }
    p.emplace_back("what", json_text(options_.features.logits ? "logits" : "hidden states"));
    if (!options_.features.logits) p.emplace_back("layers", layers + "]");
    if (bins()) {
      p.emplace_back("pool", json_text("bins:" + std::to_string(options_.bin)));
    } else if (!per_base()) {
      p.emplace_back("pool", json_text(pool_text(options_.pool)));
    }
    p.emplace_back("strand", json_text(name_of(strand_)));
    p.emplace_back("window", std::to_string(window_));
    p.emplace_back("stride", std::to_string(options_.run.stride));
    p.emplace_back("special_tokens", special() ? "true" : "false");
    return p;
  }

  bool bins() const { return options_.bin > 0; }
  bool per_base() const { return !bins() && options_.pool.empty(); }
  bool special() const { return options_.special_tokens && options_.source.token_ids.empty(); }

  // Where an earlier run of the same job has come to.
  void go_on(Journal& journal) {
    journal_ = &journal;
    if (journal.mark().empty()) return;
    if (journal.mark() == kFinished) {
      finished_ = true;
      return;
    }
    place_ = unpack_place(journal.mark());
    unpack_report(place_.report, report_);
    report_.counts["records found finished"] = place_.record;
  }

  // A record is shared out by its bins, or where windows begin; not where one vector is made of it
  // or one window goes through all of it.
  Index grain(Index length) const {
    if (options_.special_rows || window_ <= 0 || length <= window_ ||
        !options_.source.token_ids.empty()) {
      return 0;
    }
    if (bins()) return options_.bin;
    const Index stride =
        options_.run.stride > 0 ? options_.run.stride : std::max<Index>(1, window_ / 2);
    return per_base() ? stride : 0;
  }

  // Rows of the matrix that `bases` of a record make, from its begin on.
  Index rows_of(Index bases) const {
    return per_base() ? bases : bins() ? (bases + options_.bin - 1) / options_.bin : 1;
  }

  // The part of a record that is ours and not done yet, in rows; none: nothing.
  std::optional<RecordShare> ours(Index number, Index length) {
    const Index offset = offset_, row = row_;
    offset_ += length;
    row_ += rows_of(length);
    RecordShare part{0, length, false};
    if (!whole_) part = record_share(share_, offset, length, grain(length));
    if (part.none) return std::nullopt;
    if (first_row_ < 0) first_row_ = row + (part.begin > 0 ? rows_of(part.begin) : 0);
    ++report_.records;
    report_.bases += part.end - part.begin;
    Index done = 0;
    if (finished_ || number < place_.record) {
      done = part.end - part.begin;
    } else if (number == place_.record && place_.base > 0) {
      done = std::min(place_.base, part.end) - part.begin;
    }
    report_.found += done;
    if (total_bases_ > 0) total_bases_ -= done;  // progress is of what is left
    part.begin += done;
    const bool none_left = part.begin >= part.end && (length > 0 || number < place_.record);
    if (finished_ || none_left) return std::nullopt;
    return part;
  }

  void add(Sequence& sequence, Index number) {
    const auto part = ours(number, sequence.length());
    if (!part) return;
    const bool resumed = number == place_.record && place_.base > 0;
    waiting_.emplace_back();
    Pending& pending = waiting_.back();
    pending.number = number;
    pending.label.name = sequence.name;
    pending.label.contig = sequence.contig;
    pending.label.begin = sequence.begin;
    pending.label.end = sequence.end;
    pending.label.length = sequence.length();
    pending.rows = sequence.length();
    pending.done = part->begin;
    pending.until = part->end;
    pending.begun = part->begin > 0;
    pending.finite = !resumed || place_.flags == 0;
    if (resumed && !place_.task.empty()) {
      begin_group(pending);
      pooling_.restore(place_.task);
    }
    if (sequence.is_ids) {
      add_ids(sequence, *part);
    } else {
      add_windows(sequence, *part, resumed);
    }
    // A long record may have come to its end with its last window.
    if (!waiting_.empty() && waiting_.back().number == number) waiting_.back().all_queued = true;
  }

  void add_windows(Sequence& sequence, const RecordShare& part, bool resumed) {
    const Index length = sequence.length();
    const std::string name = sequence.name;
    const auto text = sequence.take_text();
    const Tokenizer& tokenizer = *model_.tokenizer;
    const auto P = special() ? static_cast<Index>(tokenizer.prefix().size()) : 0;
    const auto S = special() ? static_cast<Index>(tokenizer.suffix().size()) : 0;
    for (const Window& w :
         cut_windows(length, window_, options_.run.stride, model_.model.card().two_way)) {
      const Index from = std::max(w.report_begin, part.begin);
      const Index to = std::min(w.report_end, part.end);
      if (from >= to) continue;
      const WindowTokens tokens{&tokenizer, text, w.begin, w.end, special()};
      Unit unit;
      unit.length = P + (w.end - w.begin) + S;
      unit.tokens = forward_tokens(tokens);
      unit.reverse_tokens = reverse_tokens(tokens);
      unit.first = P + from - w.begin;
      unit.count = to - from;
      unit.reverse_last = P + (w.end - 1 - from);
      if (options_.special_rows) {
        require(w.end - w.begin == length, Fault::input,
                "record '" + name + "' has " + std::to_string(length) +
                    " bases, more than the window of " + std::to_string(window_) +
                    ". Give a larger --window, or cut it");
        unit.first = 0;
        unit.count = unit.length;
        unit.reverse_last = unit.length - 1;
        waiting_.back().rows = waiting_.back().until = unit.count;
      }
      if (resumed && place_.tokens > 0 && from == part.begin) {
        unit.start = place_.tokens;
        unit.carry = std::make_shared<const std::vector<float>>(std::move(place_.carry));
      }
      if (journal_ != nullptr) {
        unit.after_chunk = [this](Index done, const std::vector<float>& carry) {
          safe_point(done, &carry);
        };
      }
      queue(std::move(unit));
    }
  }

  void add_ids(Sequence& sequence, const RecordShare& part) {
    if (sequence.ids.empty()) return;
    check_token_ids(sequence.name, sequence.ids, model_.model.card().vocab);
    const auto ids = std::make_shared<const std::vector<std::int32_t>>(std::move(sequence.ids));
    Unit unit;
    unit.length = static_cast<Index>(ids->size());
    unit.first = part.begin;
    unit.count = part.end - part.begin;
    unit.tokens = [ids](Index begin, std::span<std::int32_t> out) {
      std::copy_n(ids->begin() + begin, out.size(), out.begin());
    };
    queue(std::move(unit));
  }

  void queue(Unit unit) {
    waiting_tokens_ += unit.length;
    report_.tokens += unit.length;
    ++report_.windows;
    ++waiting_.back().windows_left;
    units_.push_back(std::move(unit));
    // A long record does not wait for its last window, unless its sum is made where it is computed.
    if (waiting_tokens_ >= patience() && (bins() || !sums_there())) flush();
  }

  // Whether sums are made where the rows are computed, if there is room for them.
  bool sums_there() const { return as_cuda(device_) != nullptr && !per_base() && pooling_.sums(); }

  // Tokens that wait for each other: a wave; several where but a row a bin comes back from them.
  Index patience() const {
    constexpr Index kSums = Index{1} << 23, kWaves = 16;
    const Index wave = executor_.plan().wave_tokens;
    if (!bins() || !sums_there()) return wave;
    const Index of_wave = (wave / options_.bin + 1) * executor_.columns();
    return wave * std::clamp<Index>(kSums / of_wave, 1, kWaves);
  }

  void flush() {
    const bool whole = std::all_of(waiting_.begin(), waiting_.end(), [](const Pending& record) {
      return record.all_queued && record.done == 0 && record.until == record.rows;
    });
    if (bins() && sums_there()) {
      flush_binned();
    } else if (whole && sums_there() &&
               executor_.reduces(units_, static_cast<Index>(waiting_.size()))) {
      flush_reduced();
    } else {
      flush_rows();
    }
    require(waiting_.empty() || !waiting_.front().all_queued, Fault::internal,
            "embed: windows without rows");
    units_.clear();
    waiting_tokens_ = 0;
  }

  // The records' sums come from where their rows were computed.
  void flush_reduced() {
    const auto records = static_cast<Index>(waiting_.size());
    std::vector<Stretch> stretches;
    for (Index r = 0; r < records; ++r) {
      for (Index w = 0; w < waiting_[static_cast<std::size_t>(r)].windows_left; ++w) {
        const std::size_t u = stretches.size();
        stretches.push_back({u, units_[u].count, r});
      }
    }
    begin_sums(records);
    reduce(stretches);
    for (Index r = 0; r < records; ++r) {
      Pending& record = waiting_.front();
      begin_group(record);
      put_sums(record, r, record.rows);
      end_group(record);
      close_record();
    }
  }

  // The same with a sum a bin. The first bin may have been begun by a flush before, the last one is
  // finished by the next.
  void flush_binned() {
    open_next();
    if (units_.empty()) return;
    struct Bin {
      std::size_t record;
      Index rows;
    };
    std::vector<Bin> bins;
    std::vector<Stretch> stretches;
    std::size_t u = 0;
    for (std::size_t r = 0; r < waiting_.size(); ++r) {
      Index done = waiting_[r].done;
      for (Index w = 0; w < waiting_[r].windows_left; ++w, ++u) {
        for (Index left = units_[u].count; left > 0;) {
          const auto [begin, end] = group_at(waiting_[r], done);
          const Index n = std::min(left, end - done);
          if (done == begin || bins.empty() || bins.back().record != r) bins.push_back({r, 0});
          bins.back().rows += n;
          stretches.push_back({u, n, static_cast<Index>(bins.size()) - 1});
          done += n;
          left -= n;
        }
      }
    }
    const auto count = static_cast<Index>(bins.size());
    if (!executor_.reduces(units_, count)) return flush_rows();
    begin_sums(count);
    if (count > 0 &&
        waiting_.front().done > group_at(waiting_.front(), waiting_.front().done).first) {
      pooling_.get(sum_.data(), max_.empty() ? nullptr : max_.data());
    }
    reduce(stretches);
    for (Index b = 0; b < count; ++b) {
      const Bin& bin = bins[static_cast<std::size_t>(b)];
      Pending& record = waiting_.front();
      const auto [begin, end] = group_at(record, record.done);
      if (record.done == begin) begin_group(record);
      put_sums(record, b, bin.rows);
      record.done += bin.rows;
      if (record.done == end) end_group(record);
      if (b + 1 < count && bins[static_cast<std::size_t>(b) + 1].record == bin.record) continue;
      record.windows_left = 0;
      if (record.done == record.until) {
        close_record();
        open_next();
      }
    }
    safe_point(0, nullptr);
  }

  void begin_sums(Index groups) {
    const auto n = static_cast<std::size_t>(groups * executor_.columns());
    sum_.assign(n, 0.0);
    max_.assign(pooling_.maxima() ? n : 0, -std::numeric_limits<double>::infinity());
  }

  void reduce(std::span<const Stretch> stretches) {
    const Index columns = executor_.columns(), groups = static_cast<Index>(sum_.size()) / columns;
    executor_.reduce(units_, stretches, {sum_.data(), {groups, columns}},
                     {max_.empty() ? nullptr : max_.data(), {groups, columns}},
                     [&](Index done) { progress(done); });
  }

  void put_sums(Pending& record, Index group, Index rows) {
    const Index columns = executor_.columns();
    const double* sum = sum_.data() + group * columns;
    pooling_.put(sum, max_.empty() ? nullptr : max_.data() + group * columns, rows);
    // NaN and infinity survive a sum.
    for (Index c = 0; c < columns; ++c) {
      if (!std::isfinite(sum[c])) record.finite = false;
    }
  }

  void flush_rows() {
    open_next();
    executor_.run(units_, [&](Index u, Index first, View<const float, 2> rows) {
      take(rows);
      const Unit& unit = units_[static_cast<std::size_t>(u)];
      progress(rows.extent[0]);
      if (first + rows.extent[0] < unit.count) return;
      Pending& record = waiting_.front();
      if (--record.windows_left == 0 && record.done == record.until) {
        close_record();
        open_next();
      } else {
        safe_point(0, nullptr);
      }
    });
  }

  void progress(Index rows) {
    rows_done_ += rows;
    if (options_.run.progress) options_.run.progress(rows_done_, total_bases_);
  }

  // Begins the record at the front; empty records are written at once.
  void open_next() {
    while (!waiting_.empty()) {
      Pending& record = waiting_.front();
      if (per_base() && !record.begun) writer_->begin_record(record.label);
      record.begun = true;
      if (record.rows > 0) return;
      if (!per_base() && !bins()) {
        begin_group(record);
        end_group(record);
      }
      close_record();
    }
  }

  // Rows that are pooled into one: all of the record, or a bin of it.
  std::pair<Index, Index> group_at(const Pending& record, Index row) const {
    if (!bins()) return {0, record.rows};
    const Index begin = row / options_.bin * options_.bin;
    return {begin, std::min(begin + options_.bin, record.rows)};
  }

  void begin_group(const Pending& record) {
    const auto [begin, end] = group_at(record, record.done);
    pooling_.begin(end - begin);
  }

  void end_group(const Pending& record) {
    RowLabel label = record.label;
    if (bins()) {
      const auto [begin, end] = group_at(record, record.done - 1);
      const Index origin = std::max<Index>(label.begin, 0);
      if (label.contig.empty()) label.contig = label.name;
      label.begin = origin + begin;
      label.end = origin + end;
      label.length = end - begin;
      label.name =
          label.contig + ':' + std::to_string(label.begin + 1) + '-' + std::to_string(label.end);
    }
    writer_->begin_record(label);
    const std::vector<float> vector = pooling_.finish();
    writer_->rows({vector.data(), {1, static_cast<Index>(vector.size())}});
    writer_->end_record();
  }

  void take(View<const float, 2> rows) {
    Pending& record = waiting_.front();
    check_finite(rows);
    if (per_base()) {
      writer_->rows(rows);
      record.done += rows.extent[0];
      return;
    }
    for (Index at = 0; at < rows.extent[0];) {
      const auto [begin, end] = group_at(record, record.done);
      if (record.done == begin) begin_group(record);
      const Index n = std::min(rows.extent[0] - at, end - record.done);
      pooling_.take(device_, genossm::rows(rows, at, at + n));
      record.done += n;
      at += n;
      if (record.done == end) end_group(record);
    }
  }

  void close_record() {
    Pending& record = waiting_.front();
    if (per_base() && record.until == record.rows) writer_->end_record();
    note_finite(record);
    last_finished_ = record.number;
    waiting_.pop_front();
    safe_point(0, nullptr);
  }

  void note_finite(Pending& record) {
    if (record.finite) return;
    ++report_.skipped["non-finite values"];
    if (options_.run.strict) {
      fail(Fault::input, "record '" + record.label.name + "': non-finite values");
    }
    record.finite = true;
  }

  // All that came back until now is finished: it may be kept, and the job may end here. With
  // `carry` the unit is in its middle, `tokens` done.
  void safe_point(Index tokens, const std::vector<float>* carry) {
    const int signal = options_.run.keep.stopped ? options_.run.keep.stopped() : 0;
    if (journal_ == nullptr) {
      if (signal != 0) throw Stopped(signal, false);
      return;
    }
    if (signal == 0 && !journal_->due()) return;
    Place place;
    place.record = last_finished_ + 1;
    if (!waiting_.empty()) {
      const Pending& record = waiting_.front();
      if (carry != nullptr && record.done == 0) return;  // no row came back yet
      place.record = record.number;
      place.base = record.done;
      place.flags = record.finite ? 0 : 1;
      if (!per_base() && record.done > group_at(record, record.done).first) {
        place.task = pooling_.state();
      }
      if (carry != nullptr) {
        place.tokens = tokens;
        place.carry = *carry;
      }
    }
    place.report = pack_report(report_);
    journal_->commit(pack_place(place));
    if (signal != 0) throw Stopped(signal, true);
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
  std::vector<double> sum_, max_;  // of a flush whose rows are reduced where they are computed
  std::unique_ptr<MatrixWriter> writer_;
  Journal* journal_ = nullptr;
  Place place_;            // where this run goes on
  bool finished_ = false;  // nothing is left but to write the output
  bool whole_ = true;      // no other part of the job exists
  Share share_;
  Index offset_ = 0;          // bases of the source before the next record
  Index row_ = 0;             // and rows
  Index first_row_ = -1;      // of ours
  Index last_finished_ = -1;  // record
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

JobPlan plan_embed(const OpenedModel& model, Device& device, const EmbedOptions& options) {
  return EmbedRun(model, device, options).plan();
}

namespace {

void refuse_senseless_plot(const EmbedOptions& options) {
  if (options.plot.empty()) return;
  if (options.pool.empty() && options.bin == 0) {
    fail(Fault::usage, "--plot draws a point a vector, of which --pool none has one a base");
  }
  if (options.run.keep.shards > 0) {
    fail(Fault::usage, "--plot with --shard: a part is not all there is to draw");
  }
}

std::unique_ptr<MatrixWriter> open_drawn(const OpenedModel& model, const EmbedOptions& options,
                                         const OutputRequest& request, const MatrixSpec& spec) {
  auto file = open_matrix(request, spec);
  if (options.plot.empty()) return file;
  return plot_components(std::move(file), "vectors of " + model.name, options.plot, request.force);
}

}  // namespace

JobReport embed(const OpenedModel& model, Device& device, const EmbedOptions& options) {
  refuse_senseless_plot(options);
  EmbedRun run(model, device, options);
  const KeepOptions& keep = options.run.keep;
  EmbedOptions plain = options;
  plain.source.lazy = true;
  if (!keeps_journal(keep, options.source, options.output)) {
    const auto source = SequenceSource::open(plain.source);
    return run.run(*source, [&](const MatrixSpec& spec) {
      return open_drawn(model, options, options.output, spec);
    });
  }
  const Survey found = survey(options.source);
  run.use(found);
  const auto source = SequenceSource::open(plain.source);
  std::unique_ptr<JobJournal> journal;
  MatrixSpec matrix;
  const JobReport report = run.run(
      *source,
      [&](const MatrixSpec& spec) -> std::unique_ptr<MatrixWriter> {
        matrix = spec;
        // The output's name is taken first: whoever has it is the one that works on it.
        auto file = keep.shards > 0 ? nullptr
                                    : open_drawn(model, options, own_output(options.output), spec);
        Facts facts = run.facts();
        facts.emplace_back("type", matrix_type(options.output));
        const Facts more = facts_of(spec);
        facts.insert(facts.end(), more.begin(), more.end());
        for (auto& fact : facts_of(found)) facts.push_back(std::move(fact));
        journal = std::make_unique<JobJournal>(keep, options.output, std::move(facts));
        return std::make_unique<KeptMatrix>(std::move(file), spec, journal->journal());
      },
      [&] { return &journal->journal(); });
  if (keep.shards > 0 && matrix_type(options.output) == "zarr") {
    journal->finish_zarr(matrix, run.first_row());
  } else {
    journal->finish();
  }
  return report;
}

}  // namespace genossm
