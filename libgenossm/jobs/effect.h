// Scores of alleles, however they came: from a file of variants or from a mutated region. One class
// a score; variant_scoring.md has their sources.
#pragma once

#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "libgenossm/io/alleles.h"
#include "libgenossm/jobs/contig_text.h"
#include "libgenossm/jobs/job.h"
#include "libgenossm/output/variant_writer.h"
#include "libgenossm/tasks/variant_effect.h"

namespace genossm {

enum class EffectScore { masked, llr, next, embdist };
EffectScore parse_effect_score(const std::string& text);  // Fault::usage
std::string_view name_of(EffectScore score);

struct EffectOptions {
  RunOptions run;
  std::optional<EffectScore> score;  // none: masked for masked models, llr for causal ones
  Index anchor = -1;  // 0-based place of the variant in its window; -1: (window - 1) / 2
  Index suffix = 0;   // llr: bases from the variant on; 0: half the window
  Index grid = 0;     // llr, next: windows begin at its multiples; 0: an eighth of the window
  Index pool = 1536;  // embdist: the mean is over the variant's base and half of these on each side
  LengthRule length_rule = LengthRule::equal;
  bool mean = false;  // llr: the mean over the window's bases instead of the sum
  bool reuse = true;  // llr: false computes both windows of every allele whole
  double settle = 0;  // llr: see BranchOptions
  bool full_alphabet = false;
  // llr, next: a window begins with the tokenizer's bos(), which predicts its first base; none: as
  // the model was published to be scored.
  std::optional<bool> bos;
};

inline constexpr float kNoScore = std::numeric_limits<float>::quiet_NaN();

struct Allele {
  Change change;
  AlleleStatus status = AlleleStatus::ok;
  float llr = kNoScore, ref_ll = kNoScore, alt_ll = kNoScore;
  float l2 = kNoScore, cosine = kNoScore;
  std::int32_t reach = FieldValues::kMissing;
  std::vector<float> features;  // embdist, where they are wanted
};

// The alleles of one record.
struct Site {
  std::string contig;        // as the reference spells it
  std::string window;        // what a table gives instead of a reference, upper case, else empty
  bool ref_differs = false;  // REF stands against the reference and is to be used all the same
  std::vector<Allele> alleles;
};

class EffectScorer {
 public:
  // Throws Fault::usage where the score and the model or the options do not go together. `text`
  // may be null where every site has its window.
  static std::unique_ptr<EffectScorer> make(const OpenedModel& model, Device& device,
                                            ContigText* text, const EffectOptions& options);
  virtual ~EffectScorer() = default;

  // Scores the alleles whose status is ok, and sets another status where it finds one. A site's
  // scores do not depend on the other sites.
  virtual void score(std::span<Site> sites) = 0;
  // What is written of an allele; values() in the same order.
  virtual std::vector<VariantField> fields() const = 0;
  virtual FieldValues value(const Site& site, std::size_t field) const = 0;
  // What the number means, for headers: pairs for the provenance.
  virtual Provenance definition() const = 0;
  // Alleles that are collected before score() is called. What they give is journaled together, and
  // a signal is heard between blocks.
  virtual Index block() const = 0;
  // Tokens, plan and counts so far.
  virtual void add_to(JobReport& report) const = 0;
  // embdist: columns of Allele::features; else 0.
  virtual Index feature_columns() const { return 0; }
};

// The four makers behind EffectScorer::make.
std::unique_ptr<EffectScorer> make_masked_effect(const OpenedModel&, Device&, ContigText*,
                                                 const EffectOptions&);
std::unique_ptr<EffectScorer> make_llr_effect(const OpenedModel&, Device&, ContigText*,
                                              const EffectOptions&);
std::unique_ptr<EffectScorer> make_next_effect(const OpenedModel&, Device&, ContigText*,
                                               const EffectOptions&);
std::unique_ptr<EffectScorer> make_embdist_effect(const OpenedModel&, Device&, ContigText*,
                                                  const EffectOptions&);

// The two fields that most scores have, and their values.
VariantField llr_field(const std::string& description);
VariantField status_field();
FieldValues statuses(const Site& site);
FieldValues reals(const Site& site, float Allele::*member);

// The window that the options or the model give, in bases. Fault::usage if neither does.
Index effect_window(const OpenedModel& model, const EffectOptions& options);

// Alleles of a block that takes seconds on a GPU and less than a minute on a CPU with the bundled
// models: 2^23 or 2^16 tokens, but no fewer than one for each thread. `tokens`: what one allele
// takes.
Index paced_block(const OpenedModel& model, const EffectOptions& options, Index tokens);
// Letters of a window after each other, behind bos() where that is put before it: `at` and what
// follows are places among all of these. `bases`: the letters from place `begin` on, the one that
// stands for bos() included.
inline constexpr char kBosLetter = '^';
void encode_window(const Tokenizer& tokenizer, bool bos, std::string_view bases, Index begin,
                   Index at, std::span<std::int32_t> out);
// The strands to be read, forward first. Fault::usage for both.
std::vector<bool> strands_of(StrandMode mode);  // true: reverse

}  // namespace genossm
