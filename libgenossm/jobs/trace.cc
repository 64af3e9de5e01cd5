#include "libgenossm/jobs/trace.h"

#include <algorithm>

#include "libgenossm/jobs/npy_ids.h"
#include "libgenossm/jobs/trace_probe.h"
#include "libgenossm/output/track_plot.h"
#include "libgenossm/runtime/lane.h"

namespace genossm {
namespace {

constexpr TraceTrack kTracks[] = {TraceTrack::delta,   TraceTrack::half_life,
                                  TraceTrack::slowest, TraceTrack::state_norm,
                                  TraceTrack::memory,  TraceTrack::stream};

// A track of a file that holds one alone: each column of the rows to a file of its own.
class TracksApart final : public TrackWriter {
 public:
  TracksApart(const OutputRequest& request, const std::string& type, const TrackSpec& spec) {
    for (const std::string& name : spec.tracks) {
      OutputRequest one = request;
      const std::string ending = '.' + type;
      if (one.path.ends_with(ending)) one.path.resize(one.path.size() - ending.size());
      one.path += '.' + name + ending;
      TrackSpec alone = spec;
      alone.tracks = {name};
      files_.push_back(open_tracks(one, type, alone));
    }
  }

  void begin_record(const RowLabel& label) override {
    for (const auto& file : files_) file->begin_record(label);
  }
  void rows(const TrackRows& rows) override {
    for (std::size_t k = 0; k < files_.size(); ++k) {
      const Index n = rows.values.extent[0];
      if (column_.size() < n) column_ = Buffer<float>(n);
      for (Index r = 0; r < n; ++r) column_[r] = rows.values.row(r)[k];
      files_[k]->rows({{column_.data(), {n, 1}}, rows.bases, rows.ids});
    }
  }
  void end_record() override {
    for (const auto& file : files_) file->end_record();
  }
  void finish() override {
    for (const auto& file : files_) file->finish();
  }

 private:
  std::vector<std::unique_ptr<TrackWriter>> files_;
  Buffer<float> column_;
};

class TraceRun {
 public:
  TraceRun(const OpenedModel& model, Device& device, const TraceOptions& options)
      : model_(model),
        card_(model.model.card()),
        device_(device),
        options_(options),
        ids_(!options.source.token_ids.empty()),
        columns_(columns()),
        probe_(columns_, card_.layer_major()) {
    refuse_senseless();
  }

  JobReport run() {
    SourceOptions from = options_.source;
    from.lazy = true;
    if (const std::string type = track_type(options_.output); needs_contigs(type)) {
      survey(options_.source,
             [&](const std::string& name, Index length) { records_.emplace_back(name, length); });
    }
    const auto source = SequenceSource::open(from);
    total_ = source->total_bases();
    Sequence sequence;
    bool more = source->next(sequence);
    open_output(*source);
    plan(0);
    while (more) {
      add(sequence);
      more = source->next(sequence);
    }
    for (const auto& [reason, n] : source->tally().warnings) report_.warnings[reason] += n;
    writer_->finish();
    report_.strand = name_of(StrandMode::forward);
    return std::move(report_);
  }

 private:
  bool asked(TraceTrack track) const {
    return std::find(options_.tracks.begin(), options_.tracks.end(), track) !=
           options_.tracks.end();
  }

  std::vector<TraceColumn> columns() const {
    if (card_.cuda) {
      fail(Fault::device, "trace looks into the blocks of a CPU. Use --device cpu");
    }
    std::vector<Index> layers = options_.layers;
    if (layers.empty()) {
      for (Index i = 1; i <= card_.layers; ++i) layers.push_back(i);
    }
    std::vector<TraceColumn> out;
    for (const TraceTrack track : options_.tracks) {
      for (const Index layer : layers) {
        if (track == TraceTrack::stream) {
          out.push_back({layer, track, false});
          continue;
        }
        if (model_.model.block(layer - 1).stepping() == 0) {
          if (!options_.layers.empty()) {
            fail(Fault::usage, model_.name + ": block " + std::to_string(layer) +
                                   " has no recurrence with step sizes, so no " +
                                   std::string(name_of(track)) +
                                   ". --track stream is of every block");
          }
          continue;
        }
        out.push_back({layer, track, false});
        if (model_.model.block(layer - 1).two_way()) out.push_back({layer, track, true});
      }
    }
    if (out.empty()) {
      fail(Fault::usage, model_.name + " (" + card_.family +
                             ") has no recurrence with step sizes: of it only --track stream can "
                             "be traced, and what is not finite");
    }
    return out;
  }

  void refuse_senseless() const {
    if (!ids_ && !model_.tokenizer) {
      fail(Fault::checkpoint, model_.path.string() +
                                  ": no tokenizer.json says what its tokens mean. Put one beside "
                                  "the weights, or feed --token-ids");
    }
    if (!card_.layer_major() && options_.run.window > 0) {
      fail(Fault::usage, "--window: " + model_.name +
                             " reads from left to right and is traced over whole records");
    }
  }

  std::string column_name(const TraceColumn& column) const {
    std::string name =
        'L' + std::to_string(column.layer) + '.' + std::string(name_of(column.track));
    const bool directed =
        column.track != TraceTrack::stream && model_.model.block(column.layer - 1).two_way();
    return directed ? name + (column.reverse ? ".rev" : ".fwd") : name;
  }

  void open_output(const SequenceSource& source) {
    TrackSpec spec;
    for (const TraceColumn& column : columns_) spec.tracks.push_back(column_name(column));
    spec.ids = ids_;
    Provenance p = options_.provenance;
    for (auto& pair : provenance_of(model_)) p.push_back(pair);
    std::string tracks;
    for (const TraceTrack track : options_.tracks) {
      tracks += (tracks.empty() ? "" : ",") + std::string(name_of(track));
    }
    p.emplace_back("trace", json_text(tracks));
    if (options_.header) spec.provenance = json_line(p);
    const std::string type = track_type(options_.output);
    if (type == "bam") fail(Fault::usage, "-O bam: a trace is written as tsv, npz, bedgraph or bw");
    if (needs_contigs(type)) {
      spec.contigs = source.contigs();
      if (spec.contigs.empty()) spec.contigs = records_;
    }
    const bool single = type == "bw" || type.starts_with("bedgraph");
    if (single && columns_.size() > 1) {
      writer_ = std::make_unique<TracksApart>(options_.output, type, spec);
    } else {
      writer_ = open_tracks(options_.output, type, spec);
    }
    if (!options_.plot.empty()) {
      writer_ = plot_tracks(std::move(writer_), plot_spec(), options_.plot, options_.output.force);
    }
  }

  TrackPlotSpec plot_spec() const {
    TrackPlotSpec plot;
    plot.title = "trace of " + model_.name;
    for (const TraceTrack track : options_.tracks) {
      for (const bool reverse : {false, true}) {
        PlotPanel panel;
        for (std::size_t k = 0; k < columns_.size(); ++k) {
          if (columns_[k].track != track || columns_[k].reverse != reverse) continue;
          panel.columns.push_back(k);
          panel.names.push_back("block " + std::to_string(columns_[k].layer));
        }
        if (panel.columns.empty()) continue;
        panel.axis = axis_of(track);
        if (panel.columns.size() == 1) panel.axis += ", " + panel.names[0];
        if (card_.two_way && track != TraceTrack::stream) panel.axis += reverse ? ", <-" : ", ->";
        panel.logarithmic = true;
        plot.panels.push_back(std::move(panel));
      }
    }
    return plot;
  }

  static std::string axis_of(TraceTrack track) {
    switch (track) {
      case TraceTrack::delta:
        return "step size";
      case TraceTrack::half_life:
        return "half-life, bases";
      case TraceTrack::slowest:
        return "slowest, bases";
      case TraceTrack::state_norm:
        return "state norm";
      case TraceTrack::memory:
        return "memory, bases";
      case TraceTrack::stream:
        return "stream, rms";
    }
    return "";
  }

  Index window() const {
    if (!card_.layer_major()) return 0;
    return options_.run.window > 0 ? options_.run.window : model_.context;
  }

  void plan(Index length) {
    PlanRequest request;
    request.window = card_.layer_major() || card_.history_bytes > 0 ? length : 0;
    request.chunk = options_.run.chunk;
    request.memory = options_.run.memory;
    request.threads = options_.run.threads;
    request.columns = static_cast<Index>(columns_.size());
    report_.plan = make_plan(card_, request);
    report_.plan.lanes = 1;
  }

  void add(Sequence& sequence) {
    const Index length = sequence.length();
    RowLabel label{sequence.name, sequence.contig, sequence.begin, sequence.end, length};
    ++report_.records;
    report_.bases += length;
    report_.tokens += length;
    ++report_.windows;
    if (sequence.is_ids) check_token_ids(sequence.name, sequence.ids, card_.vocab);
    if (window() > 0 && length > window()) {
      fail(Fault::usage, "record '" + sequence.name + "' has " + std::to_string(length) +
                             " bases, more than the " + std::to_string(window()) +
                             " that this two-way model sees at once. Give regions by -r or -R, or "
                             "a longer --window");
    }
    if (card_.layer_major() || card_.history_bytes > 0) plan(length);
    Lane lane(model_.model, Features{}, report_.plan.chunk, report_.plan.slab);
    lane.watch(&probe_);
    probe_.begin();
    writer_->begin_record(label);
    const Index step = card_.layer_major() ? std::max<Index>(length, 1) : report_.plan.chunk;
    Carry carry;
    if (!card_.layer_major()) {
      carry = Carry(model_.model);
      carry.history.reserve(length, 0);
    }
    for (Index begin = 0; begin < length; begin += step) {
      const Index n = std::min(step, length - begin);
      probe_.stretch(begin, n);
      std::string bases;
      const std::vector<std::int32_t> tokens = tokens_of(sequence, begin, n, bases);
      const auto nothing = [](Index, Index, View<const float, 2>) {};
      if (card_.layer_major()) {
        const Tokens all(tokens);
        lane.run(device_, std::span(&all, 1), nothing);
      } else {
        lane.advance(device_, tokens, carry, nothing);
      }
      const std::span<const std::int32_t> ids =
          sequence.is_ids ? std::span(tokens) : std::span<const std::int32_t>();
      writer_->rows({probe_.rows(), bases, ids});
      done_ += n;
      if (options_.run.progress) options_.run.progress(done_, total_);
    }
    writer_->end_record();
    report_flaw(label);
  }

  std::vector<std::int32_t> tokens_of(const Sequence& sequence, Index begin, Index n,
                                      std::string& bases) const {
    if (sequence.is_ids) {
      return {sequence.ids.begin() + begin, sequence.ids.begin() + begin + n};
    }
    bases = sequence.piece(begin, begin + n);
    std::vector<std::int32_t> tokens(static_cast<std::size_t>(n));
    model_.tokenizer->encode(bases, tokens);
    return tokens;
  }

  void report_flaw(const RowLabel& label) {
    if (!probe_.flaw()) return;
    const auto& [layer, token, what] = *probe_.flaw();
    const std::string unit = ids_ ? "token " : "base ";
    std::string text =
        "record '" + label.name + "': not finite from " + unit + std::to_string(token + 1) + " on";
    if (!label.contig.empty()) {
      text += " (" + label.contig + ':' + std::to_string(label.begin + token + 1) + ')';
    }
    text += layer == 0 ? ", in the embedding"
                       : ", in block " + std::to_string(layer) + " (" + what + ')';
    if (options_.run.strict) fail(Fault::input, text);
    ++report_.warnings[text];
  }

  const OpenedModel& model_;
  const Card& card_;
  Device& device_;
  const TraceOptions& options_;
  bool ids_;
  std::vector<TraceColumn> columns_;
  TraceProbe probe_;
  std::vector<std::pair<std::string, Index>> records_;
  std::unique_ptr<TrackWriter> writer_;
  Index done_ = 0, total_ = 0;
  JobReport report_;
};

}  // namespace

std::string_view name_of(TraceTrack track) {
  constexpr std::string_view kNames[] = {"delta",      "half_life", "slowest",
                                         "state_norm", "memory",    "stream"};
  return kNames[static_cast<std::size_t>(track)];
}

std::vector<TraceTrack> parse_trace_tracks(const std::string& text) {
  std::vector<TraceTrack> tracks;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    const std::string word = text.substr(at, comma - at);
    at = comma + 1;
    const auto found = std::find_if(std::begin(kTracks), std::end(kTracks),
                                    [&](TraceTrack track) { return name_of(track) == word; });
    if (found == std::end(kTracks)) {
      std::string all;
      for (const TraceTrack track : kTracks) {
        all += (all.empty() ? "" : ", ") + std::string(name_of(track));
      }
      fail(Fault::usage, "--track '" + word + "' is none of " + all);
    }
    if (std::find(tracks.begin(), tracks.end(), *found) != tracks.end()) {
      fail(Fault::usage, "--track names " + word + " twice");
    }
    tracks.push_back(*found);
  }
  return tracks;
}

JobReport trace(const OpenedModel& model, Device& device, const TraceOptions& options) {
  return TraceRun(model, device, options).run();
}

}  // namespace genossm
