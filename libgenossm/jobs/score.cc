#include "libgenossm/jobs/score.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <deque>
#include <limits>
#include <numbers>

#include "libgenossm/jobs/npy_ids.h"
#include "libgenossm/runtime/windows.h"
#include "libgenossm/tokenizer/nucleotide.h"

namespace genossm {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

// One record while its windows come back. Scores are written as they come when one strand is read;
// with the other strand they wait for the end of the record.
struct Open {
  Sequence sequence;  // name and place; the letters are below
  std::shared_ptr<const std::string> bases;
  std::shared_ptr<const std::vector<std::int32_t>> ids;
  bool all_queued = false;
  Index windows_left = 0;
  Index next_base = 0;          // first one not yet written
  BaseScores forward, reverse;  // [length] with two strands, else unused
  LikelihoodTotals totals;
  Index length() const { return static_cast<Index>(bases ? bases->size() : ids->size()); }
};

// What one unit's rows speak of: row r of the unit is about base origin + r (or, on the other
// strand, origin - r); only bases in [begin, end) are taken.
struct Piece {
  std::shared_ptr<Open> open;
  Index origin = 0, begin = 0, end = 0;
  bool reverse = false;
};

std::string number(double value) {
  if (std::isnan(value)) return "nan";
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value, std::chars_format::general, 9);
  return std::string(text, end.ptr);
}
void put(std::string& line, float value) {
  if (std::isnan(value)) {
    line += "nan";
    return;
  }
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value);
  line.append(text, end.ptr);
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
        executor_(model.model, device, executor_options()) {
    refuse_senseless();
    choose_alphabet();
  }

  JobReport run() {
    const auto source = SequenceSource::open(options_.source);
    total_bases_ = source->total_bases();
    Sequence sequence;
    bool more = source->next(sequence);
    table_ = open_table(options_.output, header());
    while (more) {
      add(sequence);
      if (waiting_tokens_ >= executor_.plan().wave_tokens) flush();
      more = source->next(sequence);
    }
    flush();
    table_->finish();
    add_tally(report_, source->tally());
    report_.plan = executor_.plan();
    report_.strand = name_of(strand_);
    return report_;
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
    if (options_.bos && (ids_ || masked() || !model_.tokenizer->bos())) {
      fail(Fault::usage,
           "--bos on: only causal models whose tokenizer has a token for the beginning "
           "of a text, and no --token-ids");
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

  std::vector<std::string> header() const {
    std::vector<std::string> lines;
    if (options_.header) {
      Provenance p = options_.provenance;
      for (auto& pair : provenance_of(model_)) p.push_back(pair);
      p.emplace_back("score", json_text(masked() ? "ln p(base | all other bases of the window)"
                                                 : "ln p(base | bases to its left in the window)"));
      p.emplace_back("alphabet", json_text(full() ? "full" : "acgt"));
      if (options_.bos) p.emplace_back("bos", "true");
      p.emplace_back("strand", json_text(name_of(strand_)));
      p.emplace_back("window", std::to_string(window_));
      p.emplace_back("stride", std::to_string(stride()));
      lines.push_back("##genossm=" + json_line(p));
    }
    if (options_.per_record) {
      lines.push_back("#name\tlength\tscored\tsum_logp\tmean_logp\tbits_per_base\tperplexity");
    } else {
      std::string line = "#contig\tpos\tbase";
      for (const Track track : options_.tracks) {
        line += track == Track::logp ? "\tlogp" : track == Track::entropy ? "\tentropy" : "\tinfo";
      }
      lines.push_back(line);
    }
    return lines;
  }

  // One base of overlap lets a causal window predict the base that the one before ends at.
  Index stride() const {
    if (options_.run.stride > 0 || masked() || window_ <= 1) return options_.run.stride;
    return window_ - 1;
  }

  bool two_strands() const { return strand_ != StrandMode::forward; }

  void add(Sequence& sequence) {
    const auto open = std::make_shared<Open>();
    ++report_.records;
    report_.bases += sequence.length();
    if (sequence.is_ids) {
      check_token_ids(sequence.name, sequence.ids, model_.model.card().vocab);
      open->ids = std::make_shared<const std::vector<std::int32_t>>(std::move(sequence.ids));
    } else {
      open->bases = std::make_shared<const std::string>(std::move(sequence.bases));
    }
    open->sequence = std::move(sequence);
    if (two_strands()) {
      const auto n = static_cast<std::size_t>(open->length());
      for (BaseScores* scores : {&open->forward, &open->reverse}) {
        scores->logp.assign(n, kNaN);
        scores->entropy.assign(n, kNaN);
      }
    }
    waiting_.push_back(open);
    for (const bool reverse : {false, true}) {
      if (reverse ? !two_strands() : strand_ == StrandMode::reverse) continue;
      if (masked()) {
        add_masked(open, reverse);
      } else {
        add_causal(open, reverse);
      }
    }
    open->all_queued = true;
  }

  void add_causal(const std::shared_ptr<Open>& open, bool reverse) {
    const Index length = open->length();
    for (const Window& w : cut_windows(length, ids_ ? 0 : window_, stride(), false)) {
      Unit unit;
      unit.length = w.end - w.begin;
      unit.count = unit.length;
      // The other strand is cut into the mirror image of the same windows.
      const Index begin = reverse ? length - w.end : w.begin;
      unit.tokens = read(open, begin, begin + unit.length, reverse);
      // Row r has seen r + 1 bases of the window and speaks of the next one; r behind a bos.
      const Index first = options_.bos ? w.begin : w.begin + 1;
      if (options_.bos) unit.tokens = shifted(std::move(unit.tokens));
      Piece piece{open, first, w.report_begin, w.report_end, reverse};
      if (reverse) {
        piece.origin = length - 1 - first;
        piece.begin = length - w.report_end;
        piece.end = length - w.report_begin;
      }
      queue(std::move(unit), std::move(piece));
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

  void add_masked(const std::shared_ptr<Open>& open, bool reverse) {
    const std::int32_t mask = *model_.tokenizer->mask();
    const Index length = open->length();
    const Index size = window_ > 0 ? std::min(window_, length) : length;
    for (Index i = 0; i < length; ++i) {
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
      queue(std::move(unit), {open, i, i, i + 1, reverse});
      if (waiting_tokens_ >= executor_.plan().wave_tokens) flush();
    }
  }

  Unit::Read read(const std::shared_ptr<Open>& open, Index begin, Index end, bool reverse) const {
    if (open->ids) {
      const auto ids = open->ids;
      return [ids, begin](Index from, std::span<std::int32_t> out) {
        std::copy_n(ids->begin() + begin + from, out.size(), out.begin());
      };
    }
    const WindowTokens tokens{&*model_.tokenizer, open->bases, begin, end, false};
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
        close_finished();
      }
    });
    units_.clear();
    pieces_.clear();
    waiting_tokens_ = 0;
    close_finished();
  }

  // The position of base i in the alphabet as the piece's strand reads it, -1 for none.
  std::int32_t target(const Open& open, Index i, bool reverse) const {
    if (open.ids) return (*open.ids)[static_cast<std::size_t>(i)];
    const char base = (*open.bases)[static_cast<std::size_t>(i)];
    if (full() && model_.tokenizer->every_letter()) {
      return model_.tokenizer->token(reverse ? complement(base) : base);
    }
    const int index = Tokenizer::base_index(base);
    if (index < 0) return -1;
    if (full()) {
      const std::int32_t token =
          model_.tokenizer->acgt()[static_cast<std::size_t>(reverse ? 3 - index : index)];
      return token;
    }
    return reverse ? 3 - index : index;  // A C G T and its complement T G C A
  }

  void take(const Piece& piece, Index first, View<const float, 2> logits) {
    Open& open = *piece.open;
    const Index n = logits.extent[0], length = open.length();
    targets_.assign(static_cast<std::size_t>(n), -1);
    for (Index r = 0; r < n; ++r) {
      const Index base = piece.reverse ? piece.origin - first - r : piece.origin + first + r;
      if (base < piece.begin || base >= piece.end || base < 0 || base >= length) continue;
      targets_[static_cast<std::size_t>(r)] = target(open, base, piece.reverse);
    }
    fresh_.logp.clear();
    fresh_.entropy.clear();
    score_rows(device_, logits, alphabet_, {targets_.data(), {n}}, fresh_);
    for (Index r = 0; r < n; ++r) {
      const Index base = piece.reverse ? piece.origin - first - r : piece.origin + first + r;
      if (base < piece.begin || base >= piece.end) continue;
      const float logp = fresh_.logp[static_cast<std::size_t>(r)];
      const float entropy = fresh_.entropy[static_cast<std::size_t>(r)];
      if (targets_[static_cast<std::size_t>(r)] >= 0 && !std::isfinite(logp)) {
        fail(Fault::input, "record '" + open.sequence.name + "': base " + std::to_string(base + 1) +
                               ": the model gives a non-finite score");
      }
      if (two_strands()) {
        BaseScores& scores = piece.reverse ? open.reverse : open.forward;
        scores.logp[static_cast<std::size_t>(base)] = logp;
        scores.entropy[static_cast<std::size_t>(base)] = entropy;
      } else {
        write_until(open, base);
        write(open, logp, entropy);
      }
    }
  }

  // Bases without a prediction up to `base`.
  void write_until(Open& open, Index base) {
    while (open.next_base < base) write(open, kNaN, kNaN);
  }

  void write(Open& open, float logp, float entropy) {
    const Index i = open.next_base++;
    open.totals.add(logp);
    if (options_.per_record) return;
    const Sequence& s = open.sequence;
    line_.assign(s.contig.empty() ? s.name : s.contig);
    line_ += '\t';
    line_ += std::to_string((s.begin >= 0 ? s.begin : 0) + i + 1);
    line_ += '\t';
    if (open.ids) {
      line_ += std::to_string((*open.ids)[static_cast<std::size_t>(i)]);
    } else {
      line_ += (*open.bases)[static_cast<std::size_t>(i)];
    }
    for (const Track track : options_.tracks) {
      line_ += '\t';
      const float bits = 2.0f - entropy / static_cast<float>(std::numbers::ln2);
      put(line_, track == Track::logp ? logp : track == Track::entropy ? entropy : bits);
    }
    table_->line(line_);
  }

  void close_finished() {
    while (!waiting_.empty() && waiting_.front()->all_queued &&
           waiting_.front()->windows_left == 0) {
      Open& open = *waiting_.front();
      if (two_strands()) {
        for (Index i = 0; i < open.length(); ++i) {
          const auto k = static_cast<std::size_t>(i);
          if (strand_ == StrandMode::reverse) {
            write(open, open.reverse.logp[k], open.reverse.entropy[k]);
          } else {
            // Where one strand has no prediction the mean has none: half of it would be silent.
            write(open, 0.5f * (open.forward.logp[k] + open.reverse.logp[k]),
                  0.5f * (open.forward.entropy[k] + open.reverse.entropy[k]));
          }
        }
      }
      write_until(open, open.length());
      if (open.totals.unscored > 0) {
        report_.skipped["base without a score"] += open.totals.unscored;
      }
      if (options_.per_record) {
        const LikelihoodTotals& t = open.totals;
        table_->line(open.sequence.name + '\t' + std::to_string(open.length()) + '\t' +
                     std::to_string(t.scored) + '\t' + number(t.scored > 0 ? t.sum : kNaN) + '\t' +
                     number(t.mean()) + '\t' + number(t.bits_per_base()) + '\t' +
                     number(t.perplexity()));
      }
      waiting_.pop_front();
    }
  }

  const OpenedModel& model_;
  Device& device_;
  const ScoreOptions& options_;
  StrandMode strand_;
  bool ids_;
  Index window_;
  Executor executor_;
  std::vector<std::int32_t> alphabet_;
  std::unique_ptr<TableWriter> table_;
  std::deque<std::shared_ptr<Open>> waiting_;
  std::vector<Unit> units_;
  std::vector<Piece> pieces_;
  std::vector<std::int32_t> targets_;
  BaseScores fresh_;
  std::string line_;
  Index waiting_tokens_ = 0;
  Index rows_done_ = 0, total_bases_ = 0;
  JobReport report_;
};

}  // namespace

std::vector<Track> parse_tracks(const std::string& text) {
  std::vector<Track> tracks;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    const std::string word = text.substr(at, comma - at);
    if (word == "logp") {
      tracks.push_back(Track::logp);
    } else if (word == "entropy") {
      tracks.push_back(Track::entropy);
    } else if (word == "info") {
      tracks.push_back(Track::info);
    } else {
      fail(Fault::usage, "--track '" + word + "' is none of logp, entropy, info");
    }
    at = comma + 1;
  }
  return tracks;
}

JobReport score(const OpenedModel& model, Device& device, const ScoreOptions& options) {
  return ScoreRun(model, device, options).run();
}

}  // namespace genossm
