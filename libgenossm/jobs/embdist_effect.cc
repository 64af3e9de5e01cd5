// embdist: how far the model's view of the window moves: the mean of the last hidden states around
// the variant, with REF and with ALT; their L2 and cosine distance, and the vectors themselves.
//
// Recipe and order of the vectors: Caduceus vep_embeddings (variant_scoring.md section 4). Nothing
// is masked, both windows have the same number of bases, and both strands are read where the
// published usage reads them: strand-sharing models and Caduceus-Ph.
#include <algorithm>
#include <cmath>
#include <map>

#include "libgenossm/jobs/effect.h"

namespace genossm {
namespace {

// A window whose mean is wanted, and the sums so far.
struct Ask {
  std::vector<double> sums;  // [columns]
  std::vector<float> means;
};

class EmbdistEffect final : public EffectScorer {
 public:
  EmbdistEffect(const OpenedModel& model, Device& device, ContigText* text,
                const EffectOptions& options)
      : model_(model),
        text_(*text),
        card_(model.model.card()),
        strand_(
            options.run.strand.value_or(card_.two_way ? StrandMode::both : StrandMode::forward)),
        window_(effect_window(model, options)),
        anchor_(options.anchor >= 0 ? options.anchor : window_ / 2),
        reach_(options.pool / 2),
        block_(paced_block(model, options, 2 * window_)),
        executor_(model.model, device, executor_options(options)) {
    if (strand_ != StrandMode::both && strand_ != StrandMode::forward) {
      fail(Fault::usage, "--score embdist reads the strands apart: use --strand both or fwd");
    }
    if (anchor_ >= window_) {
      fail(Fault::usage, "--anchor " + std::to_string(anchor_) + " lies outside a window of " +
                             std::to_string(window_) + " bases (counted from 0)");
    }
    forward_ = rows_around(anchor_, reach_, window_);
    reverse_ = forward_;
    if (card_.strands) {
      // The other stream is indexed in its own order by the same number.
      reverse_ = rows_around(window_ - 1 - anchor_, reach_, window_);
    }
    first_ = std::min(forward_.first, reverse_.first);
    end_ = std::max(last(forward_), last(reverse_));
  }

  void score(std::span<Site> sites) override {
    asks_.clear();
    for (Site& site : sites) {
      for (Allele& allele : site.alleles) {
        if (allele.status != AlleleStatus::ok) continue;
        const Change& change = allele.change;
        if (static_cast<Index>(std::max(change.ref.size(), change.alt.size())) >
            window_ - anchor_) {
          allele.status = AlleleStatus::too_long;
          continue;
        }
        ask(site.contig, change, site.ref_differs ? change.ref : std::string(), !site.ref_differs);
        ask(site.contig, change, change.alt, false);
      }
    }
    flush();
    for (Site& site : sites) {
      for (Allele& allele : site.alleles) {
        if (allele.status == AlleleStatus::ok) take(site, allele);
      }
    }
  }

  std::vector<VariantField> fields() const override {
    return {{"GSSM_L2", VariantField::Type::real,
             "L2 distance of the mean hidden states around the variant with REF and with ALT"},
            {"GSSM_COSINE", VariantField::Type::real, "1 - cosine of the same two vectors"},
            status_field()};
  }
  FieldValues value(const Site& site, std::size_t field) const override {
    if (field == 0) return reals(site, &Allele::l2);
    return field == 1 ? reals(site, &Allele::cosine) : statuses(site);
  }
  Provenance definition() const override {
    return {{"score", json_text("embdist")},
            {"score_definition",
             json_text("distance of the mean final hidden states of the window with REF and ALT")},
            {"columns", json_text(strand_ == StrandMode::both
                                      ? "forward REF, forward ALT, reverse REF, reverse ALT"
                                      : "forward REF, forward ALT")},
            {"strand", json_text(name_of(strand_))},
            {"window", std::to_string(window_)},
            {"anchor", std::to_string(anchor_)},
            {"pool", std::to_string(2 * reach_ + 1)}};
  }
  Index block() const override {
    return std::min(block_,
                    std::clamp<Index>((Index{64} << 20) / (feature_columns() * 4), 16, 4096));
  }
  void add_to(JobReport& report) const override {
    report.windows += windows_;
    report.tokens += windows_ * window_;
    report.plan = executor_.plan();
    report.strand = name_of(strand_);
  }
  Index feature_columns() const override { return 2 * columns(); }

 private:
  using Key = std::tuple<std::string, Index, Index, std::string>;

  Index columns() const { return card_.d_model * (strand_ == StrandMode::both ? 2 : 1); }
  static Index last(const RowWeights& rows) {
    return rows.first + static_cast<Index>(rows.weights.size());
  }

  ExecutorOptions executor_options(const EffectOptions& options) const {
    ExecutorOptions e;
    e.strand = strand_;
    e.threads = options.run.threads;
    e.chunk = options.run.chunk;
    e.memory = options.run.memory;
    e.window = window_;
    return e;
  }

  // The reference's window of a place is the same whatever is replaced there.
  Key key(const std::string& contig, const Change& change, const std::string& allele,
          bool reference) const {
    if (reference) return {contig, change.at, 0, ""};
    return {contig, change.at, static_cast<Index>(change.ref.size()) + 1, allele};
  }

  void ask(const std::string& contig, const Change& change, const std::string& allele,
           bool reference) {
    const auto [found, fresh] = asks_.try_emplace(key(contig, change, allele, reference));
    if (!fresh) return;
    const Index begin = change.at - anchor_;
    std::string bases;
    if (reference) {
      bases = text_.window(contig, begin, begin + window_);
    } else {
      const Index after = change.at + static_cast<Index>(change.ref.size());
      const Index rest = window_ - anchor_ - static_cast<Index>(allele.size());
      bases = text_.window(contig, begin, change.at) + allele +
              text_.window(contig, after, after + rest);
    }
    const auto text = std::make_shared<const SequenceText>(std::move(bases));
    const WindowTokens tokens{&*model_.tokenizer, text, 0, window_, false};
    Unit unit;
    unit.length = window_;
    unit.first = first_;
    unit.count = end_ - first_;
    unit.tokens = forward_tokens(tokens);
    unit.reverse_tokens = reverse_tokens(tokens);
    unit.reverse_last = window_ - 1 - first_;
    units_.push_back(std::move(unit));
    open_.push_back(&found->second);
    ++windows_;
    if (static_cast<Index>(units_.size()) * window_ >= executor_.plan().wave_tokens) flush();
  }

  void flush() {
    executor_.run(units_, [&](Index u, Index first, View<const float, 2> rows) {
      Ask& one = *open_[static_cast<std::size_t>(u)];
      if (first == 0) one.sums.assign(static_cast<std::size_t>(columns()), 0.0);
      for (Index i = 0; i < rows.extent[0]; ++i) add(one.sums, first_ + first + i, rows.row(i));
      if (first + rows.extent[0] < end_ - first_) return;
      one.means.assign(one.sums.begin(), one.sums.end());
      one.sums = {};
    });
    units_.clear();
    open_.clear();
  }

  void add(std::vector<double>& sums, Index row, const float* values) const {
    const Index D = card_.d_model;
    const double forward = weight(forward_, row);
    for (Index c = 0; forward > 0 && c < D; ++c) {
      sums[static_cast<std::size_t>(c)] += forward * static_cast<double>(values[c]);
    }
    if (strand_ != StrandMode::both) return;
    const double reverse = weight(reverse_, row);
    for (Index c = 0; reverse > 0 && c < D; ++c) {
      // The executor gives the stream of strand-sharing models flipped along the channels.
      const Index from = card_.strands ? 2 * D - 1 - c : D + c;
      sums[static_cast<std::size_t>(D + c)] += reverse * static_cast<double>(values[from]);
    }
  }

  static double weight(const RowWeights& rows, Index row) {
    if (row < rows.first || row >= last(rows)) return 0;
    return rows.weights[static_cast<std::size_t>(row - rows.first)];
  }

  void take(const Site& site, Allele& allele) {
    const Change& change = allele.change;
    const std::vector<float>& ref =
        asks_
            .at(key(site.contig, change, site.ref_differs ? change.ref : std::string(),
                    !site.ref_differs))
            .means;
    const std::vector<float>& alt = asks_.at(key(site.contig, change, change.alt, false)).means;
    allele.l2 = static_cast<float>(l2_distance(ref.data(), alt.data(), columns()));
    allele.cosine = static_cast<float>(cosine_distance(ref.data(), alt.data(), columns()));
    if (!std::isfinite(allele.l2)) {
      allele.status = AlleleStatus::not_finite;
      return;
    }
    const auto D = static_cast<std::ptrdiff_t>(card_.d_model);
    for (std::ptrdiff_t from = 0; from < static_cast<std::ptrdiff_t>(ref.size()); from += D) {
      for (const std::vector<float>* mean : {&ref, &alt}) {
        allele.features.insert(allele.features.end(), mean->begin() + from,
                               mean->begin() + from + D);
      }
    }
  }

  const OpenedModel& model_;
  ContigText& text_;
  const Card& card_;
  StrandMode strand_;
  Index window_, anchor_, reach_;
  Index block_;
  Executor executor_;
  RowWeights forward_, reverse_;
  Index first_ = 0, end_ = 0;  // rows wanted of a window
  std::map<Key, Ask> asks_;
  std::vector<Unit> units_;
  std::vector<Ask*> open_;
  Index windows_ = 0;
};

}  // namespace

std::unique_ptr<EffectScorer> make_embdist_effect(const OpenedModel& model, Device& device,
                                                  ContigText* text, const EffectOptions& options) {
  return std::make_unique<EmbdistEffect>(model, device, text, options);
}

}  // namespace genossm
