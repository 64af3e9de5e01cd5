// masked: the base is hidden and the model fills it in: ln q(alt) - ln q(ref), q over A, C, G, T.
//
// One pass serves all ALTs of a place, also those of other records. Windows are padded with N
// beyond the contig's ends. Sources: PlantCaduceus zero_shot_score (forward strand), GPN run_vep
// (mean of both strands); variant_scoring.md sections 1 and 3.
#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "libgenossm/jobs/effect.h"

namespace genossm {
namespace {

class MaskedEffect final : public EffectScorer {
 public:
  MaskedEffect(const OpenedModel& model, Device& device, ContigText* text,
               const EffectOptions& options)
      : model_(model),
        text_(text),
        strand_(options.run.strand.value_or(default_strand(model))),
        strands_(strands_of(strand_)),
        window_(effect_window(model, options)),
        anchor_(options.anchor >= 0 ? options.anchor : (window_ - 1) / 2),
        block_(paced_block(model, options, window_)),
        executor_(model.model, device, executor_options(options, window_)) {
    if (!model.tokenizer->mask()) {
      fail(Fault::checkpoint, model.path.string() + ": the tokenizer has no [MASK]");
    }
    if (anchor_ >= window_) {
      fail(Fault::usage, "--anchor " + std::to_string(anchor_) + " lies outside a window of " +
                             std::to_string(window_) + " bases (counted from 0)");
    }
  }

  void score(std::span<Site> sites) override {
    places_.clear();
    for (Site& site : sites) {
      for (Allele& allele : site.alleles) {
        if (allele.status != AlleleStatus::ok) continue;
        if (!allele.change.is_snv()) {
          allele.status = AlleleStatus::not_snv;
          continue;
        }
        ask(site, allele.change.at);
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
    return {llr_field("ln of the probability of ALT over that of REF where the base is masked"),
            status_field()};
  }
  FieldValues value(const Site& site, std::size_t field) const override {
    return field == 0 ? reals(site, &Allele::llr) : statuses(site);
  }
  Provenance definition() const override {
    return {{"score", json_text("masked")},
            {"score_definition", json_text("ln q(ALT) - ln q(REF) at the masked base, nats")},
            {"alphabet", json_text("acgt")},
            {"strand", json_text(name_of(strand_))},
            {"window", std::to_string(window_)},
            {"anchor", std::to_string(anchor_)}};
  }
  Index block() const override { return block_; }
  void add_to(JobReport& report) const override {
    report.windows += windows_;
    report.tokens += windows_ * window_;
    report.plan = executor_.plan();
    report.strand = name_of(strand_);
  }

 private:
  using Four = std::array<float, 4>;  // logits of A, C, G, T
  using Place = std::pair<std::string, Index>;

  // GPN averages the strands; a strand-sharing model sums them itself.
  static StrandMode default_strand(const OpenedModel& model) {
    return model.model.card().strands ? StrandMode::forward : StrandMode::average;
  }

  static ExecutorOptions executor_options(const EffectOptions& options, Index window) {
    ExecutorOptions e;
    e.features.logits = true;
    e.features.layers.clear();
    e.threads = options.run.threads;
    e.chunk = options.run.chunk;
    e.memory = options.run.memory;
    e.window = window;
    return e;
  }

  // A window that came with its site is its own place.
  static Place place_of(const Site& site, Index at) {
    return site.window.empty() ? Place{site.contig, at} : Place{site.window, -1};
  }

  void ask(const Site& site, Index at) {
    const auto [found, fresh] = places_.try_emplace(place_of(site, at));
    if (!fresh) return;
    std::string bases = site.window;
    if (bases.empty()) {
      bases = text_->window(site.contig, at - anchor_, at - anchor_ + window_);
    }
    std::array<Four, 2>& logits = found->second;
    for (const bool reverse : strands_) {
      const auto text =
          std::make_shared<const std::string>(reverse ? reverse_complement(bases) : bases);
      const Index masked = reverse ? window_ - 1 - anchor_ : anchor_;
      Unit unit;
      unit.length = window_;
      unit.first = masked;
      unit.count = 1;
      unit.tokens = [this, text, masked](Index begin, std::span<std::int32_t> out) {
        model_.tokenizer->encode(
            std::string_view(*text).substr(static_cast<std::size_t>(begin), out.size()), out);
        const Index at_mask = masked - begin;
        if (at_mask >= 0 && at_mask < static_cast<Index>(out.size())) {
          out[static_cast<std::size_t>(at_mask)] = *model_.tokenizer->mask();
        }
      };
      units_.push_back(std::move(unit));
      answers_.push_back(&logits[reverse ? 1 : 0]);
      ++windows_;
    }
    if (static_cast<Index>(units_.size()) * window_ >= executor_.plan().wave_tokens) flush();
  }

  void flush() {
    executor_.run(units_, [&](Index u, Index, View<const float, 2> logits) {
      Four& four = *answers_[static_cast<std::size_t>(u)];
      for (std::size_t b = 0; b < 4; ++b) four[b] = logits.row(0)[model_.tokenizer->acgt()[b]];
    });
    units_.clear();
    answers_.clear();
  }

  void take(const Site& site, Allele& allele) {
    const std::array<Four, 2>& logits = places_.at(place_of(site, allele.change.at));
    const auto ref = static_cast<std::size_t>(Tokenizer::base_index(allele.change.ref[0]));
    const auto alt = static_cast<std::size_t>(Tokenizer::base_index(allele.change.alt[0]));
    double sum = 0;
    for (const bool reverse : strands_) {
      // A C G T complemented are T G C A.
      const Four& four = logits[reverse ? 1 : 0];
      sum += static_cast<double>(four[reverse ? 3 - alt : alt]) -
             static_cast<double>(four[reverse ? 3 - ref : ref]);
    }
    allele.llr = static_cast<float>(sum / static_cast<double>(strands_.size()));
    if (!std::isfinite(allele.llr)) allele.status = AlleleStatus::not_finite;
  }

  const OpenedModel& model_;
  ContigText* text_;
  StrandMode strand_;
  std::vector<bool> strands_;
  Index window_, anchor_;
  Index block_;
  Executor executor_;
  std::map<Place, std::array<Four, 2>> places_;
  std::vector<Unit> units_;
  std::vector<Four*> answers_;
  Index windows_ = 0;
};

}  // namespace

std::unique_ptr<EffectScorer> make_masked_effect(const OpenedModel& model, Device& device,
                                                 ContigText* text, const EffectOptions& options) {
  return std::make_unique<MaskedEffect>(model, device, text, options);
}

}  // namespace genossm
