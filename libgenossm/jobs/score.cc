#include "libgenossm/jobs/score.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <deque>
#include <limits>
#include <numbers>
#include <optional>

#include "libgenossm/jobs/npy_ids.h"
#include "libgenossm/output/frames.h"
#include "libgenossm/output/kept_tracks.h"
#include "libgenossm/output/track_plot.h"
#include "libgenossm/runtime/windows.h"
#include "libgenossm/tokenizer/nucleotide.h"

namespace genossm {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

constexpr Index kWriteRows = 4096;

// The letters around the last ones asked for: records are read from front to back.
class Letters {
 public:
  explicit Letters(std::shared_ptr<const SequenceText> text) : text_(std::move(text)) {}
  Index length() const { return text_->length(); }
  // [begin, end), until the next call.
  std::string_view piece(Index begin, Index end) {
    if (begin < begin_ || end > begin_ + static_cast<Index>(piece_.size())) {
      constexpr Index kBefore = 1024, kAfter = 1 << 16;
      begin_ = std::max<Index>(0, begin - kBefore);
      piece_ = text_->piece(begin_, std::max(end, std::min(length(), begin + kAfter)));
    }
    return std::string_view(piece_).substr(static_cast<std::size_t>(begin - begin_),
                                           static_cast<std::size_t>(end - begin));
  }
  const std::shared_ptr<const SequenceText>& text() const { return text_; }

 private:
  std::shared_ptr<const SequenceText> text_;
  Index begin_ = 0;
  std::string piece_;
};

// One record while its windows come back. Scores are written as they come when the forward strand
// is read; with the other strand they wait until every window over their base is back.
struct Open {
  RowLabel label;
  Index number = 0;  // of the source
  std::optional<Letters> bases;
  std::shared_ptr<const std::vector<std::int32_t>> ids;
  Index begin = 0, end = 0;  // bases that are ours and not done yet
  bool begun = false;        // the writer knows of it
  bool all_queued = false;
  Index windows_left = 0;
  Index next_base = 0;  // first one not yet written
  // With the other strand, else unused: [bases from next_base on, columns].
  std::vector<float> forward, reverse;
  LikelihoodTotals totals;
};

// What one unit's rows speak of: row r of the unit is about base origin + r (or, on the other
// strand, origin - r); only bases in [begin, end) are taken.
struct Piece {
  std::shared_ptr<Open> open;
  Index origin = 0, begin = 0, end = 0;
  bool reverse = false;
  Index settled = 0;  // with the other strand: bases before this one are done when it is back
};

// Bases [begin, end) of a record that a window reports.
struct Reported {
  Window window;
  Index begin = 0, end = 0;
  bool reverse = false;
};

std::string number(double value) {
  if (std::isnan(value)) return "nan";
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value, std::chars_format::general, 9);
  return std::string(text, end.ptr);
}

// "hg38" of "refs/hg38.fa.gz"; what is no letter, digit, dot, dash or underscore becomes one.
std::string assembly_of(const SourceOptions& source) {
  std::string name = source.fasta_ref;
  if (name.empty() && !source.inputs.empty()) name = source.inputs.front();
  name = name.substr(name.find_last_of('/') + 1);
  for (const char* suffix : {".gz", ".bgz", ".fa", ".fasta", ".fna"}) {
    if (name.ends_with(suffix)) name.resize(name.size() - std::string_view(suffix).size());
  }
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '.' && c != '-') c = '_';
  }
  return name.empty() || name == "-" ? "genome" : name;
}

class ScoreRun {
 public:
  ScoreRun(const OpenedModel& model, Device& device, const ScoreOptions& options)
      : model_(model),
        device_(device),
        options_(options),
        strand_(options.run.strand.value_or(StrandMode::forward)),
        ids_(!options.source.token_ids.empty()),
        window_(window_of(model, options.run)),
        executor_(model.model, device, executor_options()),
        host_(Cpu(options.run.threads)) {
    refuse_senseless();
    choose_alphabet();
    if (!ids_) name_targets();
    type_ = options.logo         ? "hub"
            : options.per_record ? output_type(options.output, {"tsv", "tsv.gz"}, "tsv")
                                 : track_type(options.output);
  }

  JobReport run() {
    const KeepOptions& keep = options_.run.keep;
    const bool kept = keeps_journal(keep, options_.source, options_.output);
    SourceOptions from = options_.source;
    from.lazy = true;
    std::optional<Survey> found;
    if (kept || needs_contigs(type_)) {
      found = survey(options_.source, [&](const std::string& name, Index length) {
        if (needs_contigs(type_)) records_.emplace_back(name, length);
      });
    }
    const auto source = SequenceSource::open(from);
    total_bases_ = source->total_bases();
    Sequence sequence;
    bool more = source->next(sequence);
    if (found) {
      share_ = share_of(found->bases, keep);
      whole_ = keep.shards == 0;
      total_bases_ = share_.end - share_.begin;
    }
    open_output(*source, found, kept);
    for (Index number = 0; more; ++number) {
      add(sequence, number);
      if (waiting_tokens_ >= executor_.plan().wave_tokens) flush();
      more = source->next(sequence);
    }
    flush();
    write_rows();
    add_tally(report_, source->tally());
    if (journal_ != nullptr && !finished_ && (journal_->stored() || !whole_)) {
      journal_->commit(kFinished);
    }
    if (table_) table_->finish();
    if (tracks_) tracks_->finish();
    if (kept_) kept_->finish();
    report_.plan = executor_.plan();
    report_.strand = name_of(strand_);
    return report_;
  }

  JobPlan plan() {
    JobPlan plan;
    Survey found;
    const std::vector<Index> lengths = lengths_of(options_.source, found);
    const KeepOptions& keep = options_.run.keep;
    const Share share = share_of(found.bases, keep);
    Index offset = 0;
    for (const Index length : lengths) {
      RecordShare part{0, length, false};
      if (keep.shards > 0) part = record_share(share, offset, length, grain(length));
      offset += length;
      if (part.none) continue;
      ++plan.records;
      plan.bases += part.end - part.begin;
      if (masked()) {
        plan.windows += part.end - part.begin;
        plan.tokens += (part.end - part.begin) * (window_ > 0 ? std::min(window_, length) : length);
      } else {
        count_windows(plan, length, ids_ ? 0 : window_, stride(), false, part, 0);
      }
    }
    plan.rows = options_.per_record ? plan.records : plan.bases;
    plan.columns = options_.per_record ? 6 : static_cast<Index>(track_names().size());
    plan.type = type_;
    const Index values = plan.rows * plan.columns;
    const bool table = type_.starts_with("tsv");
    if (table || type_.starts_with("bedgraph")) {
      // A contig's name, one place or two, the shortest decimals of most floats.
      plan.output_bytes = plan.rows * (table ? 18 : 26) + values * 11;
      if (type_.ends_with(".gz")) plan.output_bytes = plan.output_bytes * 3 / 10;
    } else {
      plan.output_bytes =
          bytes_of_output(type_, Element::f32, values, plan.records, 8 * plan.records);
    }
    if (keeps_journal(keep, options_.source, options_.output)) {
      plan.journal_bytes = 4 * values + plan.rows;
    }
    plan.plan = executor_.plan();
    add_own_memory(plan);
    if (two_strands()) {
      // Scores that wait for the other strand: of all windows at one place.
      const Index widest =
          window_ > 0 && !ids_ ? std::min(found.longest, 2 * window_) : found.longest;
      const Index strands = strand_ == StrandMode::average ? 2 : 1;
      if (!masked()) plan.plan.peak_bytes += widest * strands * columns() * Index{sizeof(float)};
    }
    expect_time(plan, model_, device_, options_.run, window_,
                strand_ == StrandMode::average ? 2 : 1);
    return plan;
  }

 private:
  bool masked() const { return model_.model.card().objective == Objective::masked; }

  ExecutorOptions executor_options() const {
    ExecutorOptions e;
    e.features.logits = true;
    e.features.layers.clear();
    e.threads = options_.run.threads;
    e.chunk = options_.run.chunk;
    e.memory = options_.run.memory;
    e.window = window_;
    return e;
  }

  void refuse_senseless() const {
    if (masked() && !options_.masked) {
      fail(Fault::usage,
           model_.name +
               " is a masked model: it has no left-to-right likelihood. --masked scores each "
               "base with one pass (meant for regions), or use a causal model");
    }
    if (!masked() && options_.masked) {
      fail(Fault::usage, model_.name + " is a causal model: --masked does not apply");
    }
    if (strand_ == StrandMode::both) {
      fail(Fault::usage, "--strand both has no meaning for score; use fwd, rc or avg");
    }
    if (ids_ && strand_ != StrandMode::forward) {
      fail(Fault::usage, "--token-ids with --strand " + std::string(name_of(strand_)) +
                             ": the complement of a token is not known; use fwd");
    }
    if (!ids_ && !model_.tokenizer) {
      fail(Fault::checkpoint, model_.path.string() +
                                  ": no tokenizer.json says what its tokens mean. Put one beside "
                                  "the weights, or feed --token-ids");
    }
    if (options_.logo && (options_.per_record || ids_ || full())) {
      fail(Fault::usage,
           "--logo-hub speaks of A, C, G and T at every base: it does not go with "
           "--per-record, --token-ids or --alphabet full");
    }
    const auto plain = [](unsigned char c) { return std::isgraph(c) != 0; };
    if (!std::all_of(options_.assembly.begin(), options_.assembly.end(), plain)) {
      fail(Fault::usage,
           "--assembly '" + options_.assembly + "': want a name without blanks, such as hg38");
    }
    if (!options_.assembly.empty() && !options_.logo) {
      fail(Fault::usage, "--assembly is the name in the files of --logo-hub, which is not given");
    }
    if (!options_.plot.empty() &&
        (options_.per_record || options_.logo || options_.run.keep.shards > 0)) {
      fail(Fault::usage,
           "--plot draws all tracks of all bases: it does not go with --per-record, --logo-hub or "
           "--shard");
    }
    if (options_.bos && (ids_ || masked() || !model_.tokenizer->bos())) {
      fail(Fault::usage,
           "--bos on: only causal models whose tokenizer has a token for the beginning "
           "of a text, and no --token-ids");
    }
    if (masked() && options_.run.stride > 0) {
      fail(Fault::usage, "--stride with --masked, where every base has a window of its own");
    }
    if (masked() && ids_) fail(Fault::usage, "--masked works on sequences, not on --token-ids");
    if (masked() && !model_.tokenizer->mask()) {
      fail(Fault::checkpoint, model_.path.string() + ": the tokenizer has no [MASK]");
    }
    if (model_.tokenizer && !full()) {
      for (const std::int32_t id : model_.tokenizer->acgt()) {
        if (id < 0 || id >= model_.model.card().vocab) {
          fail(Fault::checkpoint, model_.path.string() + ": the tokenizer lacks A, C, G or T");
        }
      }
    }
  }

  // Raw ids have no bases: their probabilities are over the whole vocabulary.
  bool full() const { return options_.full_alphabet || ids_; }

  void choose_alphabet() {
    if (full()) return;
    const auto& acgt = model_.tokenizer->acgt();
    alphabet_.assign(acgt.begin(), acgt.end());
  }

  Provenance provenance() const {
    Provenance p = options_.provenance;
    for (auto& pair : provenance_of(model_)) p.push_back(pair);
    p.emplace_back("score", json_text(masked() ? "ln p(base | all other bases of the window)"
                                               : "ln p(base | bases to its left in the window)"));
    if (!options_.per_record) {
      std::string tracks;
      for (const std::string& name : track_names()) tracks += (tracks.empty() ? "" : ",") + name;
      p.emplace_back("track", json_text(tracks));
    }
    p.emplace_back("alphabet", json_text(full() ? "full" : "acgt"));
    if (options_.bos) p.emplace_back("bos", "true");
    p.emplace_back("strand", json_text(name_of(strand_)));
    p.emplace_back("window", std::to_string(window_));
    p.emplace_back("stride", std::to_string(stride()));
    return p;
  }

  std::vector<std::string> track_names() const {
    if (options_.logo) return {"A", "C", "G", "T"};
    std::vector<std::string> names;
    for (const Track track : options_.tracks) names.emplace_back(name_of(track));
    return names;
  }

  std::vector<std::string> table_lines() const {
    std::vector<std::string> lines;
    if (options_.header) lines.push_back("##genossm=" + json_line(provenance()));
    lines.emplace_back("#name\tlength\tscored\tsum_logp\tmean_logp\tbits_per_base\tperplexity");
    return lines;
  }

  TrackSpec track_spec(const SequenceSource& source) const {
    TrackSpec spec;
    spec.tracks = track_names();
    spec.ids = ids_;
    if (options_.header) spec.provenance = json_line(provenance());
    if (needs_contigs(type_)) {
      spec.contigs = source.contigs();
      if (spec.contigs.empty()) spec.contigs = records_;
    }
    if (type_ == "hub") {
      spec.assembly = options_.assembly.empty() ? assembly_of(options_.source) : options_.assembly;
    }
    if (type_ == "bam") {
      const SourceOptions& s = options_.source;
      if (s.inputs.size() != 1 || !s.regions.empty() || !s.regions_file.empty()) {
        fail(Fault::usage, "bam is written from one SAM, BAM or CRAM file, without regions");
      }
      if (s.inputs[0] == "-") {
        fail(Fault::usage,
             "bam: the alignments are read twice, which standard input does not "
             "allow; want a file");
      }
      spec.input = s.inputs[0];
      spec.reference = s.fasta_ref;
      spec.version = options_.version;
      spec.command = options_.command;
    }
    return spec;
  }

  // The output's name is taken first: whoever has it is the one that works on it.
  void open_output(const SequenceSource& source, const std::optional<Survey>& found, bool kept) {
    const bool part = options_.run.keep.shards > 0;
    const OutputRequest request = kept ? own_output(options_.output) : options_.output;
    Facts facts = provenance();
    facts.emplace_back("type", type_);
    facts.emplace_back("per record", options_.per_record ? "true" : "false");
    if (options_.per_record) {
      const std::vector<std::string> lines = table_lines();
      if (!part) table_ = open_table(request, lines);
      if (!kept) return;
      for (auto& fact : facts_of_table(lines)) facts.push_back(std::move(fact));
      go_on(*found, std::move(facts));
      table_ = std::make_unique<KeptTable>(std::move(table_), *journal_);
    } else {
      const TrackSpec spec = track_spec(source);
      if (!part) tracks_ = open_tracks(request, type_, spec);
      if (!options_.plot.empty()) {
        tracks_ = plot_tracks(std::move(tracks_), plot_spec(), options_.plot, request.force);
      }
      if (!kept) return;
      for (auto& fact : facts_of(spec)) facts.push_back(std::move(fact));
      go_on(*found, std::move(facts));
      tracks_ = std::make_unique<KeptTracks>(std::move(tracks_), spec, *journal_);
    }
  }

  TrackPlotSpec plot_spec() const {
    TrackPlotSpec plot;
    plot.title = std::string(masked() ? "each base masked" : "left to right") + ", " + model_.name;
    for (std::size_t i = 0; i < options_.tracks.size(); ++i) {
      const Track track = options_.tracks[i];
      const char* axis = track == Track::logp      ? "ln p(base)"
                         : track == Track::entropy ? "entropy, nats"
                                                   : "information, bits";
      plot.panels.push_back({axis, {i}, {}, false});
    }
    return plot;
  }

  void go_on(const Survey& found, Facts facts) {
    for (auto& fact : facts_of(found)) facts.push_back(std::move(fact));
    kept_ = std::make_unique<JobJournal>(options_.run.keep, options_.output, std::move(facts));
    journal_ = &kept_->journal();
    if (journal_->mark().empty()) return;
    finished_ = journal_->mark() == kFinished;
    if (finished_) return;
    place_ = unpack_place(journal_->mark());
    unpack_report(place_.report, report_);
    report_.counts["records found finished"] = place_.record;
  }

  // One base of overlap lets a causal window predict the base that the one before ends at.
  Index stride() const {
    if (options_.run.stride > 0 || masked() || window_ <= 1) return options_.run.stride;
    return window_ - 1;
  }

  bool two_strands() const { return strand_ != StrandMode::forward; }

  // What two strands wait in.
  Index columns() const { return options_.logo ? 4 : 2; }

  // A record can be cut where windows begin; a state that is carried goes through all of it.
  Index grain(Index length) const {
    const bool cut = !ids_ && window_ > 0 && length > window_;
    if (options_.per_record || !cut) return 0;
    return masked() ? 1 : std::max<Index>(1, stride());
  }

  void add(Sequence& sequence, Index number) {
    const Index length = sequence.length(), offset = offset_;
    offset_ += length;
    RecordShare part{0, length, false};
    if (!whole_) part = record_share(share_, offset, length, grain(length));
    if (part.none) return;
    ++report_.records;
    report_.bases += part.end - part.begin;
    const bool resumed = !finished_ && number == place_.record && place_.base > 0;
    const bool done = finished_ || number < place_.record;
    const Index before = done ? part.end - part.begin : resumed ? place_.base - part.begin : 0;
    report_.found += before;
    if (total_bases_ > 0) total_bases_ -= before;  // progress is of what is left
    if (done) return;
    const auto open = std::make_shared<Open>();
    open->number = number;
    open->label = {sequence.name, sequence.contig, sequence.begin, sequence.end, length};
    open->begin = open->next_base = part.begin + before;
    open->end = part.end;
    open->begun = open->begin > 0;
    if (resumed && !place_.task.empty()) {
      Unpacker in(place_.task);
      open->totals.scored = in.number<std::int64_t>();
      open->totals.unscored = in.number<std::int64_t>();
      open->totals.sum = in.number<double>();
    }
    if (sequence.is_ids) {
      check_token_ids(sequence.name, sequence.ids, model_.model.card().vocab);
      open->ids = std::make_shared<const std::vector<std::int32_t>>(std::move(sequence.ids));
    } else {
      open->bases.emplace(sequence.take_text());
    }
    waiting_.push_back(open);
    if (masked()) {
      add_masked(open);
    } else {
      add_causal(open, resumed);
    }
    open->all_queued = true;
  }

  bool reads(bool reverse) const {
    return reverse ? two_strands() : strand_ != StrandMode::reverse;
  }

  // By their first base, so that of two strands no more waits than their windows hold.
  std::vector<Reported> reported(const Open& open) const {
    const Index length = open.label.length;
    std::vector<Reported> out;
    for (const bool reverse : {false, true}) {
      if (!reads(reverse)) continue;
      for (const Window& w : cut_windows(length, ids_ ? 0 : window_, stride(), false)) {
        // The other strand is cut into the mirror image of the same windows.
        const Index begin = reverse ? length - w.report_end : w.report_begin;
        const Index end = reverse ? length - w.report_begin : w.report_end;
        const Reported one{w, std::max(begin, open.begin), std::min(end, open.end), reverse};
        if (one.begin < one.end) out.push_back(one);
      }
    }
    std::stable_sort(out.begin(), out.end(),
                     [](const Reported& a, const Reported& b) { return a.begin < b.begin; });
    return out;
  }

  void add_causal(const std::shared_ptr<Open>& open, bool resumed) {
    const Index length = open->label.length;
    const std::vector<Reported> all = reported(*open);
    for (std::size_t i = 0; i < all.size(); ++i) {
      const Window& w = all[i].window;
      const bool reverse = all[i].reverse;
      Unit unit;
      unit.length = w.end - w.begin;
      unit.count = unit.length;
      const Index begin = reverse ? length - w.end : w.begin;
      unit.tokens = read(open, begin, begin + unit.length, reverse);
      // Row r has seen r + 1 bases of the window and speaks of the next one; r behind a bos.
      const Index first = options_.bos ? w.begin : w.begin + 1;
      if (options_.bos) unit.tokens = shifted(std::move(unit.tokens));
      Piece piece{open, first, all[i].begin, all[i].end, reverse};
      piece.settled = i + 1 < all.size() ? all[i + 1].begin : open->end;
      if (reverse) {
        piece.origin = length - 1 - first;
      }
      if (!reverse && resumed && place_.tokens > 0 && piece.begin == open->begin) {
        unit.start = place_.tokens;
        unit.carry = std::make_shared<const std::vector<float>>(std::move(place_.carry));
      }
      if (journal_ != nullptr && !two_strands()) {
        unit.after_chunk = [this](Index done, const std::vector<float>& carry) {
          safe_point(done, &carry);
        };
      }
      queue(std::move(unit), std::move(piece));
      if (waiting_tokens_ >= executor_.plan().wave_tokens) flush();
    }
  }

  // The same tokens one place later, behind the beginning of a text.
  Unit::Read shifted(Unit::Read plain) const {
    const std::int32_t bos = *model_.tokenizer->bos();
    return [plain = std::move(plain), bos](Index begin, std::span<std::int32_t> out) {
      if (out.empty()) return;
      if (begin > 0) return plain(begin - 1, out);
      out[0] = bos;
      if (out.size() > 1) plain(0, out.subspan(1));
    };
  }

  void add_masked(const std::shared_ptr<Open>& open) {
    for (Index i = open->begin; i < open->end; ++i) {
      const Index settled = strand_ == StrandMode::average ? i : i + 1;
      if (reads(false)) add_masked(open, i, false, settled);
      if (reads(true)) add_masked(open, i, true, i + 1);
    }
  }

  void add_masked(const std::shared_ptr<Open>& open, Index i, bool reverse, Index settled) {
    const std::int32_t mask = *model_.tokenizer->mask();
    const Index length = open->label.length;
    const Index size = window_ > 0 ? std::min(window_, length) : length;
    // The base stands in the middle of its window where the record allows it.
    const Index begin = std::clamp<Index>(i - size / 2, 0, length - size);
    const Index at = reverse ? begin + size - 1 - i : i - begin;
    const Unit::Read plain = read(open, begin, begin + size, reverse);
    Unit unit;
    unit.length = size;
    unit.first = at;
    unit.count = 1;
    unit.tokens = [plain, at, mask](Index from, std::span<std::int32_t> out) {
      plain(from, out);
      if (at >= from && at - from < static_cast<Index>(out.size())) {
        out[static_cast<std::size_t>(at - from)] = mask;
      }
    };
    queue(std::move(unit), {open, i, i, i + 1, reverse, settled});
    if (waiting_tokens_ >= executor_.plan().wave_tokens) flush();
  }

  Unit::Read read(const std::shared_ptr<Open>& open, Index begin, Index end, bool reverse) const {
    if (open->ids) {
      const auto ids = open->ids;
      return [ids, begin](Index from, std::span<std::int32_t> out) {
        std::copy_n(ids->begin() + begin + from, out.size(), out.begin());
      };
    }
    const WindowTokens tokens{&*model_.tokenizer, open->bases->text(), begin, end, false};
    return reverse ? reverse_tokens(tokens) : forward_tokens(tokens);
  }

  void queue(Unit unit, Piece piece) {
    waiting_tokens_ += unit.length;
    report_.tokens += unit.length;
    ++report_.windows;
    ++piece.open->windows_left;
    units_.push_back(std::move(unit));
    pieces_.push_back(std::move(piece));
  }

  void flush() {
    close_finished();  // empty records before the first window
    executor_.run(units_, [&](Index u, Index first, View<const float, 2> logits) {
      const Piece& piece = pieces_[static_cast<std::size_t>(u)];
      take(piece, first, logits);
      rows_done_ += logits.extent[0];
      if (options_.run.progress) {
        options_.run.progress(
            two_strands() && strand_ == StrandMode::average ? rows_done_ / 2 : rows_done_,
            total_bases_);
      }
      if (first + logits.extent[0] == units_[static_cast<std::size_t>(u)].count) {
        --piece.open->windows_left;
        if (two_strands()) settle(*piece.open, piece.settled);
        close_finished();
        safe_point(0, nullptr);
      }
    });
    units_.clear();
    pieces_.clear();
    waiting_tokens_ = 0;
    close_finished();
  }

  // The position of each letter in the alphabet as either strand reads it, -1 for none.
  void name_targets() {
    const Tokenizer& tokenizer = *model_.tokenizer;
    for (int letter = 0; letter < 256; ++letter) {
      const char base = static_cast<char>(letter);
      const int index = Tokenizer::base_index(base);
      for (const bool reverse : {false, true}) {
        // A C G T and its complement T G C A.
        const auto read = static_cast<std::size_t>(reverse ? 3 - index : index);
        std::int32_t& target = letter_targets_[reverse ? 1 : 0][static_cast<std::size_t>(letter)];
        if (full() && tokenizer.every_letter()) {
          target = tokenizer.token(reverse ? complement(base) : base);
        } else if (index < 0) {
          target = -1;
        } else {
          target = full() ? tokenizer.acgt()[read] : static_cast<std::int32_t>(read);
        }
      }
    }
  }

  // Targets of the bases [begin, end), in their order.
  void find_targets(Open& open, Index begin, Index end, bool reverse, std::int32_t* out) const {
    if (open.ids) {
      std::copy(open.ids->begin() + begin, open.ids->begin() + end, out);
      return;
    }
    const auto& targets = letter_targets_[reverse ? 1 : 0];
    for (const char base : open.bases->piece(begin, end)) {
      *out++ = targets[static_cast<unsigned char>(base)];
    }
  }

  // Scores of the rows [first, first + n) of a piece.
  void take(const Piece& piece, Index first, View<const float, 2> logits) {
    Open& open = *piece.open;
    const Index n = logits.extent[0];
    // The bases that they speak of, and of these the ones that are wanted.
    const Index lowest = piece.reverse ? piece.origin - first - (n - 1) : piece.origin + first;
    const Index begin = std::max({lowest, piece.begin, Index{0}});
    const Index end = std::min({lowest + n, piece.end, open.label.length});
    if (begin >= end) return;
    const Index from = piece.reverse ? lowest + n - end : begin - lowest;
    score_bases(open, begin, end, piece.reverse, rows(logits, from, from + end - begin));
    if (two_strands()) {
      std::vector<float>& all = piece.reverse ? open.reverse : open.forward;
      const auto needed = static_cast<std::size_t>((piece.end - open.next_base) * columns());
      if (all.size() < needed) all.resize(needed, kNaN);
      std::copy(values_.begin(), values_.end(), all.begin() + (begin - open.next_base) * columns());
    } else {
      write_until(open, begin);
      write(open, values_);
    }
  }

  // values_ of the bases [begin, end), of which the rows of logits speak, from the last one on for
  // the other strand.
  void score_bases(Open& open, Index begin, Index end, bool reverse, View<const float, 2> logits) {
    const Index n = end - begin;
    targets_.resize(static_cast<std::size_t>(n));
    find_targets(open, begin, end, reverse, targets_.data());
    if (reverse) std::reverse(targets_.begin(), targets_.end());
    fresh_.logp.clear();
    fresh_.entropy.clear();
    // Logits of a GPU are in host memory.
    Device& device = as_cuda(device_) != nullptr ? host_ : device_;
    score_rows(device, logits, alphabet_, {targets_.data(), {n}}, fresh_);
    for (Index r = 0; r < n; ++r) {
      const auto k = static_cast<std::size_t>(r);
      if (targets_[k] >= 0 && !std::isfinite(fresh_.logp[k])) {
        fail(Fault::input, "record '" + open.label.name + "': base " +
                               std::to_string((reverse ? end - 1 - r : begin + r) + 1) +
                               ": the model gives a non-finite score");
      }
    }
    values_.resize(static_cast<std::size_t>(n * columns()));
    const auto place = [&](Index r) {
      return values_.data() + columns() * (reverse ? n - 1 - r : r);
    };
    if (!options_.logo) {
      for (Index r = 0; r < n; ++r) {
        place(r)[0] = fresh_.logp[static_cast<std::size_t>(r)];
        place(r)[1] = fresh_.entropy[static_cast<std::size_t>(r)];
      }
      return;
    }
    constexpr Index kRows = 512;  // of a range that a thread takes
    std::get<Cpu>(host_).for_each((n + kRows - 1) / kRows, [&](Index range) {
      for (Index r = range * kRows; r < std::min(n, (range + 1) * kRows); ++r) {
        std::array<float, 4> heights{};
        logo_heights({logits.row(r), static_cast<std::size_t>(logits.extent[1])}, alphabet_,
                     heights);
        if (reverse) std::reverse(heights.begin(), heights.end());  // A C G T, T G C A
        std::copy(heights.begin(), heights.end(), place(r));
      }
    });
  }

  // Bases without a prediction up to `base`.
  void write_until(Open& open, Index base) {
    std::vector<float> none;
    while (open.next_base < base) {
      const Index n = std::min(base - open.next_base, kWriteRows);
      none.resize(static_cast<std::size_t>(n * columns()), kNaN);
      write(open, none);
    }
  }

  // What there is of the next bases, [n, columns()]: ln p and entropy, or the heights of a logo.
  void write(Open& open, std::span<const float> values) {
    const auto width = static_cast<std::size_t>(columns());
    const Index begin = open.next_base, end = begin + static_cast<Index>(values.size() / width);
    open.next_base = end;
    for (std::size_t k = 0; k < values.size(); k += width) {
      if (!options_.logo) {
        open.totals.add(values[k]);
      } else if (std::isnan(values[k])) {
        ++open.totals.unscored;
      }
    }
    if (options_.per_record) return;
    this->begin(open);
    for (Index at = begin; at < end;) {
      const Index waiting = static_cast<Index>(row_ids_.size() + row_bases_.size());
      const Index n = std::min(end - at, kWriteRows - waiting);
      if (open.ids) {
        row_ids_.insert(row_ids_.end(), open.ids->begin() + at, open.ids->begin() + at + n);
      } else {
        row_bases_ += open.bases->piece(at, at + n);
      }
      add_rows(values.subspan(static_cast<std::size_t>(at - begin) * width,
                              static_cast<std::size_t>(n) * width));
      at += n;
      if (waiting + n >= kWriteRows) write_rows();
    }
  }

  // The tracks of some bases.
  void add_rows(std::span<const float> values) {
    if (options_.logo) {
      rows_.insert(rows_.end(), values.begin(), values.end());
      return;
    }
    for (std::size_t k = 0; k < values.size(); k += 2) {
      for (const Track track : options_.tracks) {
        const float bits = 2.0f - values[k + 1] / static_cast<float>(std::numbers::ln2);
        rows_.push_back(track == Track::logp      ? values[k]
                        : track == Track::entropy ? values[k + 1]
                                                  : bits);
      }
    }
  }

  void begin(Open& open) {
    if (!open.begun) tracks_->begin_record(open.label);
    open.begun = true;
  }

  // Hands over the rows that were collected.
  void write_rows() {
    if (rows_.empty()) return;
    const auto n = static_cast<Index>(row_ids_.size() + row_bases_.size());
    tracks_->rows(
        {{rows_.data(), {n, static_cast<Index>(rows_.size()) / n}}, row_bases_, row_ids_});
    rows_.clear();
    row_bases_.clear();
    row_ids_.clear();
  }

  void close_finished() {
    while (!waiting_.empty() && waiting_.front()->all_queued &&
           waiting_.front()->windows_left == 0) {
      Open& open = *waiting_.front();
      write_until(open, open.end);
      if (open.totals.unscored > 0) {
        report_.skipped["base without a score"] += open.totals.unscored;
      }
      if (options_.per_record) {
        const LikelihoodTotals& t = open.totals;
        table_->line(open.label.name + '\t' + std::to_string(open.label.length) + '\t' +
                     std::to_string(t.scored) + '\t' + number(t.scored > 0 ? t.sum : kNaN) + '\t' +
                     number(t.mean()) + '\t' + number(t.bits_per_base()) + '\t' +
                     number(t.perplexity()));
      } else {
        begin(open);
        write_rows();
        if (open.end == open.label.length) tracks_->end_record();
      }
      last_finished_ = open.number;
      waiting_.pop_front();
    }
  }

  // Writes the bases before `until`, which no window has yet to speak of.
  void settle(Open& open, Index until) {
    const auto width = static_cast<std::size_t>(columns());
    const auto n = static_cast<std::size_t>(until - open.next_base);
    if (strand_ == StrandMode::average) {
      open.forward.resize(std::max(open.forward.size(), n * width), kNaN);
    }
    open.reverse.resize(std::max(open.reverse.size(), n * width), kNaN);
    // Where one strand has no prediction the mean has none: half of it would be silent.
    values_.assign(open.reverse.begin(),
                   open.reverse.begin() + static_cast<std::ptrdiff_t>(n * width));
    if (strand_ == StrandMode::average) {
      for (std::size_t k = 0; k < n * width; ++k) {
        values_[k] = 0.5f * (open.forward[k] + values_[k]);
      }
    }
    write(open, values_);
    for (auto* held : {&open.forward, &open.reverse}) {
      held->erase(held->begin(),
                  held->begin() + static_cast<std::ptrdiff_t>(std::min(held->size(), n * width)));
    }
  }

  // All that was written until now is finished: it may be kept, and the job may end here. With
  // `carry` a window is in its middle, `tokens` done.
  void safe_point(Index tokens, const std::vector<float>* carry) {
    const int signal = options_.run.keep.stopped ? options_.run.keep.stopped() : 0;
    if (journal_ == nullptr) {
      if (signal != 0) throw Stopped(signal, false);
      return;
    }
    if (signal == 0 && !journal_->due() && rows_.empty()) return;
    if (carry != nullptr && waiting_.front()->next_base == 0) return;  // no row came back yet
    write_rows();
    if (signal == 0 && !journal_->due()) return;
    Place place;
    place.record = last_finished_ + 1;
    if (!waiting_.empty()) {
      const Open& open = *waiting_.front();
      place.record = open.number;
      place.base = open.next_base;
      place.task = Packer()
                       .number(static_cast<std::int64_t>(open.totals.scored))
                       .number(static_cast<std::int64_t>(open.totals.unscored))
                       .number(open.totals.sum)
                       .bytes();
      if (carry != nullptr) {
        place.tokens = tokens;
        place.carry = *carry;
      }
    }
    place.report = pack_report(report_);
    journal_->commit(pack_place(place));
    if (signal != 0) throw Stopped(signal, true);
  }

  const OpenedModel& model_;
  Device& device_;
  const ScoreOptions& options_;
  StrandMode strand_;
  bool ids_;
  Index window_;
  Executor executor_;
  std::vector<std::int32_t> alphabet_;
  std::string type_;
  std::vector<std::pair<std::string, Index>> records_;  // names and lengths, for bigWigs
  std::unique_ptr<TableWriter> table_;                  // one of the two
  std::unique_ptr<TrackWriter> tracks_;
  std::unique_ptr<JobJournal> kept_;
  Journal* journal_ = nullptr;
  Place place_;            // where this run goes on
  bool finished_ = false;  // nothing is left but to write the output
  bool whole_ = true;      // no other part of the job exists
  Share share_;
  Index offset_ = 0;          // bases of the source before the next record
  Index last_finished_ = -1;  // record
  std::deque<std::shared_ptr<Open>> waiting_;
  std::vector<Unit> units_;
  std::vector<Piece> pieces_;
  Device host_;  // a Cpu with all threads, for what comes from a GPU
  std::array<std::array<std::int32_t, 256>, 2> letter_targets_{};  // of each strand
  std::vector<std::int32_t> targets_;
  BaseScores fresh_;
  std::vector<float> values_;  // of the bases at hand, [n, columns()]
  std::vector<float> rows_;    // written, but not handed over
  std::string row_bases_;
  std::vector<std::int32_t> row_ids_;
  Index waiting_tokens_ = 0;
  Index rows_done_ = 0, total_bases_ = 0;
  JobReport report_;
};

}  // namespace

std::string_view name_of(Track track) {
  return track == Track::logp ? "logp" : track == Track::entropy ? "entropy" : "info";
}

std::vector<Track> parse_tracks(const std::string& text) {
  std::vector<Track> tracks;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    const std::string word = text.substr(at, comma - at);
    const std::size_t before = tracks.size();
    if (word == "logp") {
      tracks.push_back(Track::logp);
    } else if (word == "entropy") {
      tracks.push_back(Track::entropy);
    } else if (word == "info") {
      tracks.push_back(Track::info);
    } else {
      fail(Fault::usage, "--track '" + word + "' is none of logp, entropy, info");
    }
    if (std::count(tracks.begin(), tracks.end(), tracks[before]) > 1) {
      fail(Fault::usage, "--track names " + word + " twice");
    }
    at = comma + 1;
  }
  return tracks;
}

JobPlan plan_score(const OpenedModel& model, Device& device, const ScoreOptions& options) {
  return ScoreRun(model, device, options).plan();
}

JobReport score(const OpenedModel& model, Device& device, const ScoreOptions& options) {
  return ScoreRun(model, device, options).run();
}

}  // namespace genossm
