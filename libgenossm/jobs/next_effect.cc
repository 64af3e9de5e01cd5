// next: ln p(ALT | bases to the left) - ln p(REF | bases to the left) of a causal model, for single
// bases.
//
// Without a window one pass along the contig serves all of them, its state carried from block to
// block; with one, passes from the grid (see reuse_extent), which share what they can.
#include <algorithm>
#include <array>
#include <cmath>
#include <tuple>

#include "libgenossm/jobs/effect.h"
#include "libgenossm/runtime/branches.h"
#include "libgenossm/runtime/session.h"

namespace genossm {
namespace {

constexpr Index kPiece = 64 * 1024;  // bases read at once

struct Item {
  std::size_t site = 0, allele = 0;
  bool reverse = false;
  Index at = 0;                  // place on its strand
  Index begin = 0;               // of its window
  std::size_t ref = 0, alt = 0;  // positions in A, C, G, T
};

Features logits_only() {
  Features features;
  features.logits = true;
  features.layers.clear();
  return features;
}

class NextEffect final : public EffectScorer {
 public:
  NextEffect(const OpenedModel& model, Device& device, ContigText* text,
             const EffectOptions& options)
      : model_(model),
        device_(device),
        text_(*text),
        strand_(options.run.strand.value_or(StrandMode::forward)),
        strands_(strands_of(strand_)),
        lead_(options.bos.value_or(false) ? 1 : 0),
        branches_(model.model, device,
                  {options.run.threads, options.run.chunk, options.run.memory}) {
    geometry_.window = options.run.window;
    geometry_.suffix = 1;
    const Card& card = model.model.card();
    if (geometry_.window == 0 && card.whole) {
      fail(Fault::usage, "--score next with " + model.name +
                             " needs --window: its long filters see at most " +
                             std::to_string(card.longest) + " tokens at once");
    }
    geometry_.grid = options.grid > 0 ? options.grid
                     : card.whole     ? 1
                                  : std::max<Index>(kTile, geometry_.window / 8 / kTile * kTile);
    check_length(card, geometry_.window + geometry_.grid - 1);
    if (geometry_.window == 0 && strand_ != StrandMode::forward) {
      fail(Fault::usage, "--score next with --strand " + std::string(name_of(strand_)) +
                             " needs --window: a pass along the other strand of a whole contig "
                             "would meet sorted variants last first");
    }
  }

  void score(std::span<Site> sites) override {
    sites_ = sites;
    collect();
    if (geometry_.window > 0) {
      run_windows();
    } else {
      run_contigs();
    }
    for (Site& site : sites) {
      for (Allele& allele : site.alleles) {
        if (allele.status == AlleleStatus::ok && !std::isfinite(allele.llr)) {
          allele.status = AlleleStatus::not_finite;
        }
      }
    }
  }

  std::vector<VariantField> fields() const override {
    return {llr_field("ln of the probability of ALT over that of REF after the bases to the left"),
            status_field()};
  }
  FieldValues value(const Site& site, std::size_t field) const override {
    return field == 0 ? reals(site, &Allele::llr) : statuses(site);
  }
  Provenance definition() const override {
    Provenance p{{"score", json_text("next")},
                 {"score_definition",
                  json_text("ln p(ALT | bases to the left) - ln p(REF | bases to the left), nats")},
                 {"alphabet", json_text("acgt")},
                 {"strand", json_text(name_of(strand_))},
                 {"window", std::to_string(geometry_.window)}};
    if (lead_ > 0) p.emplace_back("bos", "true");
    if (geometry_.window > 0) p.emplace_back("grid", std::to_string(geometry_.grid));
    return p;
  }
  Index block() const override { return 16'384; }
  void add_to(JobReport& report) const override {
    report.windows += windows_;
    report.tokens += tokens_ + branches_.tokens();
    report.plan = branches_.plan();
    report.strand = name_of(strand_);
    if (restarts_ > 0) {
      report.warnings["passes begun again because variants are not sorted by position"] +=
          restarts_;
    }
  }

 private:
  void collect() {
    items_.clear();
    for (std::size_t s = 0; s < sites_.size(); ++s) {
      for (std::size_t a = 0; a < sites_[s].alleles.size(); ++a) {
        Allele& allele = sites_[s].alleles[a];
        if (allele.status != AlleleStatus::ok) continue;
        const Change& change = allele.change;
        if (!change.is_snv()) {
          allele.status = AlleleStatus::not_snv;
          continue;
        }
        const Index length = text_.length(sites_[s].contig);
        for (const bool reverse : strands_) {
          if ((reverse ? length - 1 - change.at : change.at) + lead_ == 0) {
            allele.status = AlleleStatus::edge;  // nothing stands to its left
          }
        }
        if (allele.status != AlleleStatus::ok) continue;
        allele.llr = 0;
        for (const bool reverse : strands_) {
          Item item{s, a, reverse, reverse ? length - 1 - change.at : change.at};
          item.begin = geometry_.window > 0 ? reuse_extent(geometry_, item.at, length).begin : 0;
          const auto ref = static_cast<std::size_t>(Tokenizer::base_index(change.ref[0]));
          const auto alt = static_cast<std::size_t>(Tokenizer::base_index(change.alt[0]));
          item.ref = reverse ? 3 - ref : ref;
          item.alt = reverse ? 3 - alt : alt;
          items_.push_back(item);
        }
      }
    }
    // Contigs in the order in which they come: a pass that a block left goes on in the next.
    std::vector<std::string> order;
    for (const Site& site : sites_) {
      if (std::find(order.begin(), order.end(), site.contig) == order.end()) {
        order.push_back(site.contig);
      }
    }
    const auto rank = [&](const Item& item) {
      return std::find(order.begin(), order.end(), sites_[item.site].contig) - order.begin();
    };
    std::stable_sort(items_.begin(), items_.end(), [&](const Item& a, const Item& b) {
      return std::tuple(rank(a), a.reverse, a.begin, a.at) <
             std::tuple(rank(b), b.reverse, b.begin, b.at);
    });
  }

  const std::string& contig(const Item& item) const { return sites_[item.site].contig; }

  // `four`: logits of A, C, G, T at the place before the item's.
  void give(const Item& item, const std::array<float, 4>& four) {
    const double score = static_cast<double>(four[item.alt]) - static_cast<double>(four[item.ref]);
    sites_[item.site].alleles[item.allele].llr +=
        static_cast<float>(score / static_cast<double>(strands_.size()));
  }

  std::array<float, 4> four(View<const float, 2> logits, Index row) const {
    std::array<float, 4> out{};
    for (std::size_t b = 0; b < 4; ++b) out[b] = logits.row(row)[model_.tokenizer->acgt()[b]];
    return out;
  }

  void run_windows() {
    struct Group {
      std::size_t first = 0, end = 0;
      std::string bases;
    };
    std::vector<Group> groups;
    for (std::size_t i = 0; i < items_.size(); ++i) {
      const bool joins = i > 0 && contig(items_[i - 1]) == contig(items_[i]) &&
                         items_[i - 1].reverse == items_[i].reverse &&
                         items_[i - 1].begin == items_[i].begin;
      if (!joins) groups.push_back({i, i, {}});
      groups.back().end = i + 1;
    }
    std::vector<Sweep> sweeps;
    for (Group& group : groups) {
      const Item& last = items_[group.end - 1];
      // A long convolution's rounding depends on the length of what it sees: a pass then covers
      // all that may share it, so that a variant's score does not depend on those beside it.
      const Index all =
          std::min(text_.length(contig(last)), last.begin + geometry_.window + geometry_.grid - 1);
      const Index end = model_.model.card().whole ? all : last.at;
      group.bases = std::string(static_cast<std::size_t>(lead_), kBosLetter) +
                    text_.window(contig(last), last.begin, end, last.reverse);
      Sweep sweep;
      sweep.length = static_cast<Index>(group.bases.size());
      sweep.tokens = [this, &group](Index at, std::span<std::int32_t> out) {
        encode_window(*model_.tokenizer, lead_ > 0, group.bases, 0, at, out);
      };
      sweeps.push_back(std::move(sweep));
    }
    windows_ += static_cast<Index>(sweeps.size());
    // An allele that is read on both strands gets two shares: they are kept apart until the end.
    std::vector<std::array<float, 4>> found(items_.size());
    branches_.run(
        sweeps, {},
        [&](Device&, std::size_t which, Index first, View<const float, 2> logits) {
          const Group& group = groups[which];
          const Index begin = items_[group.first].begin;
          auto item = std::lower_bound(items_.begin() + static_cast<std::ptrdiff_t>(group.first),
                                       items_.begin() + static_cast<std::ptrdiff_t>(group.end),
                                       begin + first + 1 - lead_,
                                       [](const Item& one, Index at) { return one.at < at; });
          for (; item != items_.begin() + static_cast<std::ptrdiff_t>(group.end); ++item) {
            const Index row = item->at - 1 + lead_ - begin - first;
            if (row >= logits.extent[0]) break;
            found[static_cast<std::size_t>(item - items_.begin())] = four(logits, row);
          }
        },
        [](Device&, std::size_t, Index, View<const float, 2>) {});
    for (std::size_t i = 0; i < items_.size(); ++i) give(items_[i], found[i]);
  }

  void run_contigs() {
    for (std::size_t i = 0; i < items_.size();) {
      std::size_t end = i;
      while (end < items_.size() && contig(items_[end]) == contig(items_[i])) ++end;
      run_contig(contig(items_[i]), i, end);
      i = end;
    }
  }

  void run_contig(const std::string& name, std::size_t first, std::size_t end) {
    // The last row that the pass has given still answers for the place after it.
    const bool goes_on = session_ && name == pass_contig_ && items_[first].at >= read_;
    if (!goes_on) {
      if (session_ && name == pass_contig_) ++restarts_;
      const Plan& plan = branches_.plan();
      session_.emplace(model_.model, device_, logits_only(), plan.chunk, plan.slab);
      pass_contig_ = name;
      read_ = 0;
      ++windows_;
      if (lead_ > 0) {
        const std::int32_t bos = *model_.tokenizer->bos();
        session_->feed(Tokens(&bos, 1),
                       [&](Index, View<const float, 2> logits) { last_row_ = four(logits, 0); });
        ++tokens_;
      }
    }
    std::size_t next = first;
    const auto answer = [&](Index place, const std::array<float, 4>& logits) {
      for (; next < end && items_[next].at == place; ++next) give(items_[next], logits);
    };
    if (goes_on || lead_ > 0) answer(read_, last_row_);
    const Index target = items_[end - 1].at;
    while (read_ < target) {
      const Index stop = std::min(target, read_ + kPiece);
      const std::string bases = text_.window(name, read_, stop);
      std::vector<std::int32_t> tokens(bases.size());
      model_.tokenizer->encode(bases, tokens);
      session_->feed(tokens, [&](Index first_token, View<const float, 2> logits) {
        const Index n = logits.extent[0], from = first_token - lead_;
        while (next < end && items_[next].at <= from + n) {
          answer(items_[next].at, four(logits, items_[next].at - 1 - from));
        }
        last_row_ = four(logits, n - 1);
      });
      tokens_ += stop - read_;
      read_ = stop;
    }
  }

  const OpenedModel& model_;
  Device& device_;
  ContigText& text_;
  StrandMode strand_;
  std::vector<bool> strands_;
  Index lead_;  // tokens before a window's first base, or a contig's
  Branches branches_;
  ReuseGeometry geometry_;
  std::span<Site> sites_;
  std::vector<Item> items_;
  // The pass along a contig: bases [0, read_) have been read.
  std::optional<Session> session_;
  std::string pass_contig_;
  Index read_ = 0;
  std::array<float, 4> last_row_{};
  Index windows_ = 0, tokens_ = 0, restarts_ = 0;
};

}  // namespace

std::unique_ptr<EffectScorer> make_next_effect(const OpenedModel& model, Device& device,
                                               ContigText* text, const EffectOptions& options) {
  return std::make_unique<NextEffect>(model, device, text, options);
}

}  // namespace genossm
