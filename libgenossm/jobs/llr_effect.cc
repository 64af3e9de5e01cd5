// llr: ln p(window with ALT) - ln p(window with REF) of a causal model.
//
// One sweep along each window beginning serves the reference and the state before every variant;
// each allele runs only from the tile before it (runtime/branches.h). Both sums start at the
// variant: what stands before it is the same and cancels exactly. variant_scoring.md section 5.
#include <algorithm>
#include <cmath>
#include <tuple>

#include "libgenossm/jobs/effect.h"
#include "libgenossm/runtime/branches.h"
#include "libgenossm/tasks/likelihood.h"

namespace genossm {
namespace {

// States that one block of alleles keeps take no more than this.
constexpr Index kKeptStateBytes = Index{512} << 20;

// An allele on one strand, in places of that strand. Places of a window count from its beginning,
// the token before its first base included where there is one.
struct Item {
  std::size_t site = 0, allele = 0;
  bool reverse = false;
  Index at = 0;
  Index ref = 0;  // bases replaced
  std::string alt, own_ref;
  bool has_own_ref = false;  // REF stands against the reference
  ScoredBases scored;
  Extent extent;
  std::size_t group = 0;
};

// ln p of the bases of one sequence: those before the variant and those from it on.
struct Sums {
  double before = 0, from = 0;
  Index n_before = 0, n_from = 0;
  void add(float logp, bool is_before) {
    if (std::isnan(logp)) return;  // N and other letters
    (is_before ? before : from) += static_cast<double>(logp);
    ++(is_before ? n_before : n_from);
  }
  double total() const { return before + from; }
  double mean() const { return total() / static_cast<double>(n_before + n_from); }
};

// Items of one window beginning, and what its sweep gave.
struct Group {
  std::size_t first = 0, end = 0;  // items
  std::string bases;               // of the sweep
  std::vector<float> logp;         // of the base at each place; NaN at 0
};

// One continuation: `bases` stand at places [begin, begin + size) of its window.
struct Path {
  Index begin = 0;
  std::string bases;
  Index variant = 0;  // place
  Sums sums;
};

class LlrEffect final : public EffectScorer {
 public:
  LlrEffect(const OpenedModel& model, Device& device, ContigText* text,
            const EffectOptions& options)
      : model_(model),
        text_(*text),
        options_(options),
        strand_(options.run.strand.value_or(StrandMode::forward)),
        strands_(strands_of(strand_)),
        lead_(options.bos.value_or(false) ? 1 : 0),
        branches_(model.model, device, branch_options(options)) {
    // Long convolutions leave no state at a prefix's end: every window runs whole.
    if (model.model.card().whole) options_.reuse = false;
    geometry_.window = effect_window(model, options);
    geometry_.suffix =
        options.suffix > 0 ? options.suffix : std::max<Index>(1, geometry_.window / 2);
    // Where nothing is shared a grid would only make windows longer.
    geometry_.grid = options.grid > 0           ? options.grid
                     : model.model.card().whole ? 1
                                                : default_grid(geometry_.window);
    check_length(model.model.card(), geometry_.window + geometry_.grid - 1);
    if (geometry_.suffix > geometry_.window) {
      fail(Fault::usage, "--suffix " + std::to_string(geometry_.suffix) +
                             " is longer than the window of " + std::to_string(geometry_.window) +
                             " bases that it is a part of");
    }
    if (options.settle > 0 && !options.reuse) {
      fail(Fault::usage, "--settle needs the states that --no-reuse does without");
    }
    const auto& acgt = model.tokenizer->acgt();
    if (!options.full_alphabet) alphabet_.assign(acgt.begin(), acgt.end());
  }

  void score(std::span<Site> sites) override {
    sites_ = sites;
    collect();
    run();
    for (std::size_t i = 0; i < items_.size(); ++i) give(i);
    finish();
  }

  std::vector<VariantField> fields() const override {
    std::vector<VariantField> fields{
        llr_field("ln p of the window with ALT minus that with REF, nats"),
        {"GSSM_REF_LL", VariantField::Type::real, "ln p of the window with REF, nats"},
        {"GSSM_ALT_LL", VariantField::Type::real, "ln p of the window with ALT, nats"}};
    if (options_.settle > 0) {
      fields.push_back({"GSSM_REACH", VariantField::Type::integer,
                        "Bases from the variant to where the state is the reference's again"});
    }
    fields.push_back(status_field());
    return fields;
  }

  FieldValues value(const Site& site, std::size_t field) const override {
    if (field == 0) return reals(site, &Allele::llr);
    if (field == 1) return reals(site, &Allele::ref_ll);
    if (field == 2) return reals(site, &Allele::alt_ll);
    if (field == 4 || options_.settle <= 0) return statuses(site);
    FieldValues reach;
    for (const Allele& allele : site.alleles) {
      reach.integers.push_back(allele.status == AlleleStatus::ok ? allele.reach
                                                                 : FieldValues::kMissing);
    }
    return reach;
  }

  Provenance definition() const override {
    Provenance p{
        {"score", json_text("llr")},
        {"score_definition",
         json_text(std::string("ln p(window with ALT) - ln p(window with REF), ") +
                   (options_.mean ? "means over the bases scored" : "sums") + ", nats")},
        {"reduce", json_text(options_.mean ? "mean" : "sum")},
        {"alphabet", json_text(options_.full_alphabet ? "full" : "acgt")},
        {"strand", json_text(name_of(strand_))},
        {"window", std::to_string(geometry_.window)},
        {"suffix", std::to_string(geometry_.suffix)},
        {"grid", std::to_string(geometry_.grid)},
        {"length_rule", json_text(options_.length_rule == LengthRule::equal ? "equal" : "free")}};
    if (lead_ > 0) p.emplace_back("bos", "true");
    if (options_.settle > 0) {
      char text[32];
      std::snprintf(text, sizeof text, "%.9g", options_.settle);
      p.emplace_back("settle", text);
    }
    return p;
  }

  Index block() const override {
    // A kept state serves a tile's variants at least, and settling keeps some of each window.
    const Index bytes = std::max<Index>(1, branches_.state_bytes());
    const Index states = std::max<Index>(8, kKeptStateBytes / bytes);
    // Larger than others: what its alleles share is computed once a block.
    return std::min(states, 4 * paced_block(model_, options_, geometry_.suffix));
  }

  void add_to(JobReport& report) const override {
    report.windows += windows_;
    report.tokens += branches_.tokens();
    report.plan = branches_.plan();
    report.strand = name_of(strand_);
    report.counts["alleles"] += alleles_;
    report.counts["tokens_of_two_full_windows"] += full_tokens_;
  }

 private:
  static BranchOptions branch_options(const EffectOptions& options) {
    return {options.run.threads, options.run.chunk, options.run.memory, options.settle};
  }

  // Branches are compared with their sweep at multiples of this many bases.
  Index settle_stride() const { return std::max(4 * kTile, branches_.tile()); }

  static Index default_grid(Index window) {
    return std::max<Index>(kTile, window / 8 / kTile * kTile);
  }

  void collect() {
    items_.clear();
    for (std::size_t s = 0; s < sites_.size(); ++s) {
      for (std::size_t a = 0; a < sites_[s].alleles.size(); ++a) {
        Allele& allele = sites_[s].alleles[a];
        if (allele.status != AlleleStatus::ok) continue;
        allele.llr = allele.ref_ll = allele.alt_ll = 0;
        allele.reach = options_.settle > 0 ? 0 : FieldValues::kMissing;
        const std::size_t before = items_.size();
        for (const bool reverse : strands_) {
          Item item = on_strand(s, a, reverse);
          allele.status = place(item);
          if (allele.status != AlleleStatus::ok) break;
          items_.push_back(std::move(item));
        }
        if (allele.status != AlleleStatus::ok) items_.resize(before);
      }
    }
    std::stable_sort(items_.begin(), items_.end(), [&](const Item& a, const Item& b) {
      return std::tie(sites_[a.site].contig, a.reverse, a.extent.begin, a.at) <
             std::tie(sites_[b.site].contig, b.reverse, b.extent.begin, b.at);
    });
    alleles_ += static_cast<Index>(items_.size());
  }

  Item on_strand(std::size_t s, std::size_t a, bool reverse) const {
    const Change& change = sites_[s].alleles[a].change;
    Item item;
    item.site = s;
    item.allele = a;
    item.reverse = reverse;
    item.at = change.at;
    item.ref = static_cast<Index>(change.ref.size());
    item.alt = change.alt;
    item.has_own_ref = sites_[s].ref_differs;
    if (item.has_own_ref) item.own_ref = change.ref;
    if (reverse) {
      item.at = text_.length(sites_[s].contig) - (change.at + item.ref);
      item.alt = reverse_complement(item.alt);
      item.own_ref = reverse_complement(item.own_ref);
    }
    return item;
  }

  AlleleStatus place(Item& item) const {
    const Index contig = text_.length(sites_[item.site].contig);
    const auto alt = static_cast<Index>(item.alt.size());
    // Nothing but a token before it predicts a contig's first base.
    if (item.at + lead_ == 0) return AlleleStatus::edge;
    if (std::max(item.ref, alt) > geometry_.suffix) return AlleleStatus::too_long;
    item.scored =
        scored_bases(options_.length_rule, geometry_.suffix, item.at, item.ref, alt, contig);
    if (item.scored.ref <= 0 || item.scored.alt <= 0) return AlleleStatus::edge;
    item.extent = reuse_extent(geometry_, item.at, contig);
    return AlleleStatus::ok;
  }

  // Places of a window: of the variant, of a base of the contig, and the letters from one on.
  Index place_in_window(const Item& item, Index at) const { return at - item.extent.begin + lead_; }
  Index variant_place(const Item& item) const { return place_in_window(item, item.at); }
  std::string window_text(const Item& item, Index place, Index end) const {
    const std::string& contig = sites_[item.site].contig;
    const std::string front(place == 0 ? static_cast<std::size_t>(lead_) : 0, kBosLetter);
    const Index from = item.extent.begin + std::max<Index>(0, place - lead_);
    return front + text_.window(contig, from, end, item.reverse);
  }

  // The reference's base after the last that the alternative path has.
  static Index alt_end(const Item& item) {
    return item.at + item.ref + item.scored.alt - static_cast<Index>(item.alt.size());
  }

  void run() {
    groups_.clear();
    for (std::size_t i = 0; i < items_.size(); ++i) {
      const Item& item = items_[i];
      const bool joins = i > 0 && sites_[items_[i - 1].site].contig == sites_[item.site].contig &&
                         items_[i - 1].reverse == item.reverse &&
                         items_[i - 1].extent.begin == item.extent.begin;
      if (!joins) groups_.push_back({i, i, {}, {}});
      groups_.back().end = i + 1;
      items_[i].group = groups_.size() - 1;
    }
    sweeps_.clear();
    branch_list_.clear();
    paths_.clear();
    path_of_.assign(2 * items_.size(), kSweep);
    for (Group& group : groups_) {
      if (options_.reuse) add_sweep(group);
      for (std::size_t i = group.first; i < group.end; ++i) {
        const Item& item = items_[i];
        if (!options_.reuse || item.has_own_ref) add_path(i, false);
        add_path(i, true);
        const Index before = variant_place(item);
        full_tokens_ += 2 * before + item.scored.ref + item.scored.alt;
      }
    }
    // The paths stay where they are from here on.
    for (std::size_t p = 0; p < paths_.size(); ++p) {
      branch_list_[p].tokens = [this, p](Index begin, std::span<std::int32_t> out) {
        const Path& path = paths_[p];
        encode_window(*model_.tokenizer, lead_ > 0, path.bases, path.begin, begin, out);
      };
    }
    windows_ += static_cast<Index>(sweeps_.size() + branch_list_.size());
    settled_ = branches_.run(
        sweeps_, branch_list_,
        [this](Device& device, std::size_t which, Index first, View<const float, 2> logits) {
          Group& group = groups_[which];
          const std::vector<float> logp = scores(device, group.bases, 0, first, logits);
          std::copy(logp.begin(), logp.end(),
                    group.logp.begin() + static_cast<std::ptrdiff_t>(first) + 1);
        },
        [this](Device& device, std::size_t which, Index first, View<const float, 2> logits) {
          Path& path = paths_[which];
          const std::vector<float> logp = scores(device, path.bases, path.begin, first, logits);
          for (std::size_t i = 0; i < logp.size(); ++i) {
            const Index place = first + 1 + static_cast<Index>(i);
            // A branch's first rows speak of bases that its sweep has counted.
            if (place < path.variant && path.begin > 0) continue;
            path.sums.add(logp[i], place < path.variant);
          }
        });
  }

  void add_sweep(Group& group) {
    const Item& head = items_[group.first];
    Index end = 0;
    Sweep sweep;
    for (std::size_t i = group.first; i < group.end; ++i) {
      const Item& item = items_[i];
      end = std::max(end, item.at + item.scored.ref);
      if (options_.settle > 0) end = std::max(end, alt_end(item));
      sweep.keep.push_back(branch_place(variant_place(item), branches_.tile()));
    }
    group.bases = window_text(head, 0, end);
    group.logp.assign(group.bases.size() + 1, kNoScore);
    sweep.length = static_cast<Index>(group.bases.size());
    if (options_.settle > 0) {
      const Index stride = settle_stride();
      const Index from = variant_place(items_[group.first]);
      for (Index at = from / stride * stride + stride; at < sweep.length; at += stride) {
        sweep.keep.push_back(at);
      }
    }
    std::sort(sweep.keep.begin(), sweep.keep.end());
    sweep.keep.erase(std::unique(sweep.keep.begin(), sweep.keep.end()), sweep.keep.end());
    if (!sweep.keep.empty() && sweep.keep.front() == 0) sweep.keep.erase(sweep.keep.begin());
    sweep.tokens = [this, &group](Index at, std::span<std::int32_t> out) {
      encode_window(*model_.tokenizer, lead_ > 0, group.bases, 0, at, out);
    };
    sweeps_.push_back(std::move(sweep));
  }

  // The branch of item `i` with its ALT, or with REF as it stands in the file or the reference.
  void add_path(std::size_t i, bool alt) {
    const Item& item = items_[i];
    const std::string& contig = sites_[item.site].contig;
    Path path;
    path.variant = variant_place(item);
    path.begin = options_.reuse ? branch_place(path.variant, branches_.tile()) : 0;
    const Index scored = alt ? item.scored.alt : item.scored.ref;
    std::string allele = alt ? item.alt : item.own_ref;
    if (!alt && !item.has_own_ref) {
      allele = text_.window(contig, item.at, item.at + item.ref, item.reverse);
    }
    path.bases = window_text(item, path.begin, item.at) + allele;
    const Index after = item.at + item.ref;
    const Index rest = scored - static_cast<Index>(allele.size());
    path.bases += text_.window(contig, after, after + std::max<Index>(0, rest), item.reverse);
    path.bases.resize(static_cast<std::size_t>(path.variant - path.begin + scored));
    Branch branch;
    branch.begin = path.begin;
    branch.end = path.begin + static_cast<Index>(path.bases.size());
    branch.sweep = item.group;
    if (options_.settle > 0) {
      branch.shift = static_cast<Index>(allele.size()) - item.ref;
      const Index stride = settle_stride();
      const Index change_end = path.variant + item.ref;
      for (const Index place : sweeps_[item.group].keep) {
        if (place % stride == 0 && place >= change_end && place + branch.shift > path.begin &&
            place + branch.shift >= path.variant + static_cast<Index>(allele.size())) {
          branch.compare.push_back(place);
        }
      }
    }
    path_of_[2 * i + (alt ? 1 : 0)] = paths_.size();
    paths_.push_back(std::move(path));
    branch_list_.push_back(std::move(branch));
  }

  // Row r is about place first + r + 1: ln p of the base there, where there is one.
  std::vector<float> scores(Device& device, const std::string& bases, Index begin, Index first,
                            View<const float, 2> logits) const {
    const auto size = static_cast<Index>(bases.size());
    const Index n = std::min(logits.extent[0], begin + size - 1 - first);
    if (n <= 0) return {};
    std::vector<std::int32_t> targets(static_cast<std::size_t>(n), -1);
    for (Index r = 0; r < n; ++r) {
      const char base = bases[static_cast<std::size_t>(first + r + 1 - begin)];
      const int index = Tokenizer::base_index(base);
      if (options_.full_alphabet && model_.tokenizer->every_letter()) {
        targets[static_cast<std::size_t>(r)] = model_.tokenizer->token(base);
        continue;
      }
      if (index < 0) continue;
      targets[static_cast<std::size_t>(r)] =
          options_.full_alphabet ? model_.tokenizer->acgt()[static_cast<std::size_t>(index)]
                                 : index;
    }
    BaseScores out;
    score_rows(device, rows(logits, 0, n), alphabet_, {targets.data(), {n}}, out);
    return out.logp;
  }

  // Sums of the sweep's path through an item, as a branch would have added them up.
  Sums sweep_sums(const Item& item) const {
    Sums sums;
    const std::vector<float>& logp = groups_[item.group].logp;
    const Index variant = variant_place(item);
    for (Index t = 1; t < variant + item.scored.ref; ++t) {
      sums.add(logp[static_cast<std::size_t>(t)], t < variant);
    }
    return sums;
  }

  void give(std::size_t i) {
    const Item& item = items_[i];
    Sums ref, alt;
    const std::size_t ref_path = path_of_[2 * i], alt_path = path_of_[2 * i + 1];
    Sums through;
    if (options_.reuse) through = sweep_sums(item);
    const auto sums_of = [&](std::size_t path, Index end) {
      Sums sums = paths_[path].sums;
      if (options_.reuse && paths_[path].begin > 0) {
        sums.before = through.before;
        sums.n_before = through.n_before;
      }
      if (settled_[path] >= 0) {
        // From here on the path is the reference's; its own rows have spoken of this place.
        const std::vector<float>& logp = groups_[item.group].logp;
        for (Index t = settled_[path] + 1; t < place_in_window(item, end); ++t) {
          sums.add(logp[static_cast<std::size_t>(t)], false);
        }
      }
      return sums;
    };
    alt = sums_of(alt_path, alt_end(item));
    ref = ref_path == kSweep ? through : sums_of(ref_path, item.at + item.scored.ref);
    Allele& allele = sites_[item.site].alleles[item.allele];
    const double share = 1.0 / static_cast<double>(strands_.size());
    const double ref_ll = options_.mean ? ref.mean() : ref.total();
    const double alt_ll = options_.mean ? alt.mean() : alt.total();
    // Without the part that both share a sum loses nothing of the small difference.
    const double llr = options_.mean ? alt_ll - ref_ll : alt.from - ref.from;
    allele.llr += static_cast<float>(share * llr);
    allele.ref_ll += static_cast<float>(share * ref_ll);
    allele.alt_ll += static_cast<float>(share * alt_ll);
    if (options_.settle > 0) {
      const Index place = settled_[alt_path];
      if (place < 0 || allele.reach == FieldValues::kMissing) {
        allele.reach = FieldValues::kMissing;
      } else {
        const Index bases = place - variant_place(item);
        allele.reach = std::max(allele.reach, static_cast<std::int32_t>(bases));
      }
    }
  }

  void finish() {
    for (Site& site : sites_) {
      for (Allele& allele : site.alleles) {
        if (allele.status == AlleleStatus::ok && !std::isfinite(allele.llr)) {
          allele.status = AlleleStatus::not_finite;
          allele.reach = FieldValues::kMissing;
        }
      }
    }
  }

  static constexpr std::size_t kSweep = static_cast<std::size_t>(-1);

  const OpenedModel& model_;
  ContigText& text_;
  EffectOptions options_;
  StrandMode strand_;
  std::vector<bool> strands_;
  Index lead_;  // tokens before a window's first base
  Branches branches_;
  ReuseGeometry geometry_;
  std::vector<std::int32_t> alphabet_;
  std::span<Site> sites_;
  std::vector<Item> items_;
  std::vector<Group> groups_;
  std::vector<Sweep> sweeps_;
  std::vector<Branch> branch_list_;
  std::vector<Path> paths_;
  std::vector<std::size_t> path_of_;  // of item i: 2 i with REF, 2 i + 1 with ALT
  std::vector<Index> settled_;
  Index windows_ = 0, alleles_ = 0, full_tokens_ = 0;
};

}  // namespace

std::unique_ptr<EffectScorer> make_llr_effect(const OpenedModel& model, Device& device,
                                              ContigText* text, const EffectOptions& options) {
  return std::make_unique<LlrEffect>(model, device, text, options);
}

}  // namespace genossm
