#include "libgenossm/jobs/effect.h"

#include <algorithm>

namespace genossm {

std::string_view name_of(EffectScore score) {
  switch (score) {
    case EffectScore::masked:
      return "masked";
    case EffectScore::llr:
      return "llr";
    case EffectScore::next:
      return "next";
    case EffectScore::embdist:
      return "embdist";
  }
  return "?";
}

EffectScore parse_effect_score(const std::string& text) {
  for (const EffectScore score :
       {EffectScore::masked, EffectScore::llr, EffectScore::next, EffectScore::embdist}) {
    if (text == name_of(score)) return score;
  }
  fail(Fault::usage, "--score '" + text + "' is none of masked, llr, next, embdist");
}

VariantField llr_field(const std::string& description) {
  return {"GSSM_LLR", VariantField::Type::real, description};
}

VariantField status_field() {
  return {"GSSM_STATUS", VariantField::Type::text,
          "Why there is a score or none: " + status_list()};
}

FieldValues statuses(const Site& site) {
  FieldValues values;
  for (const Allele& allele : site.alleles) values.texts.emplace_back(name_of(allele.status));
  return values;
}

FieldValues reals(const Site& site, float Allele::*member) {
  FieldValues values;
  for (const Allele& allele : site.alleles) {
    values.reals.push_back(allele.status == AlleleStatus::ok ? allele.*member : kNoScore);
  }
  return values;
}

Index effect_window(const OpenedModel& model, const EffectOptions& options) {
  constexpr Index kMost = Index{1} << 40;
  for (const Index bases : {options.run.window, options.grid}) {
    if (bases <= kMost) continue;
    fail(Fault::usage, "--window or --grid: " + std::to_string(bases) + " bases, want at most " +
                           std::to_string(kMost));
  }
  if (options.run.window > 0) return options.run.window;
  if (model.context > 0) return model.context;
  fail(Fault::usage, model.name + " does not say how many bases it sees at once: give --window");
}

Index paced_block(const OpenedModel& model, const EffectOptions& options, Index tokens) {
  const Index most = Index{1} << (model.model.card().cuda ? 23 : 16);
  return std::clamp<Index>(most / std::max<Index>(1, tokens), std::max(1, options.run.threads),
                           16'384);
}

void encode_window(const Tokenizer& tokenizer, bool bos, std::string_view bases, Index begin,
                   Index at, std::span<std::int32_t> out) {
  const auto first = static_cast<std::size_t>(at - begin);
  tokenizer.encode(bases.substr(first, out.size()), out);
  if (bos && at == 0 && !out.empty()) out[0] = *tokenizer.bos();
}

std::vector<bool> strands_of(StrandMode mode) {
  switch (mode) {
    case StrandMode::forward:
      return {false};
    case StrandMode::reverse:
      return {true};
    case StrandMode::average:
      return {false, true};
    case StrandMode::both:
      break;
  }
  fail(Fault::usage, "--strand both has no meaning for this score; use fwd, rc or avg");
}

std::unique_ptr<EffectScorer> EffectScorer::make(const OpenedModel& model, Device& device,
                                                 ContigText* text, const EffectOptions& options) {
  const bool masked_model = model.model.card().objective == Objective::masked;
  const EffectScore score =
      options.score.value_or(masked_model ? EffectScore::masked : EffectScore::llr);
  if (!model.tokenizer) {
    fail(Fault::checkpoint, model.path.string() +
                                ": no tokenizer.json says what its tokens mean. Put one beside the "
                                "weights");
  }
  for (const std::int32_t id : model.tokenizer->acgt()) {
    if (id < 0 || id >= model.model.card().vocab) {
      fail(Fault::checkpoint, model.path.string() + ": the tokenizer lacks A, C, G or T");
    }
  }
  const bool causal_score = score == EffectScore::llr || score == EffectScore::next;
  if (masked_model && causal_score) {
    fail(Fault::usage, "--score " + std::string(name_of(score)) + ": " + model.name +
                           " is a masked model and has no left-to-right likelihood; use masked");
  }
  if (!masked_model && score == EffectScore::masked) {
    fail(Fault::usage, "--score masked: " + model.name +
                           " is a causal model and fills no masks; use llr or next");
  }
  if (score != EffectScore::masked && text == nullptr) {
    fail(Fault::usage, "--score " + std::string(name_of(score)) + " needs a reference: give -f");
  }
  if (score != EffectScore::llr && options.length_rule != LengthRule::equal) {
    fail(Fault::usage, "--length-rule applies to --score llr");
  }
  if (score != EffectScore::llr && (options.settle > 0 || options.suffix > 0 || options.mean)) {
    fail(Fault::usage, "--suffix, --settle and --reduce apply to --score llr");
  }
  if (score != EffectScore::llr && !options.reuse) {
    fail(Fault::usage, "--no-reuse applies to --score llr");
  }
  if (causal_score && options.anchor >= 0) {
    fail(Fault::usage, "--anchor applies to --score masked and embdist; llr has --suffix");
  }
  if (!causal_score && options.grid > 0) {
    fail(Fault::usage, "--grid applies to --score llr and next");
  }
  if (!causal_score && options.bos.has_value()) {
    fail(Fault::usage, "--bos applies to --score llr and next");
  }
  if (options.bos.value_or(false) && !model.tokenizer->bos()) {
    fail(Fault::usage, "--bos on: " + model.name + " has no token for the beginning of a text");
  }
  EffectOptions chosen = options;
  chosen.bos = causal_score && options.bos.value_or(model.scores_bos);
  switch (score) {
    case EffectScore::masked:
      return make_masked_effect(model, device, text, chosen);
    case EffectScore::llr:
      return make_llr_effect(model, device, text, chosen);
    case EffectScore::next:
      return make_next_effect(model, device, text, chosen);
    case EffectScore::embdist:
      break;
  }
  return make_embdist_effect(model, device, text, chosen);
}

}  // namespace genossm
