#include "apps/effect_options.h"

namespace genossm {

void EffectFlags::add(CLI::App& app) {
  app.add_option("--score", score,
                 "masked, llr, next or embdist (docs/variants.md) [masked models: masked; causal "
                 "models: llr]");
  app.add_option("--window", window,
                 "Bases that the model sees at once [the model's published context; next: the "
                 "contig from its beginning]")
      ->check(positive());
  app.add_option("--anchor", anchor,
                 "masked, embdist: place of the variant in its window, from 0 [(window - 1) / 2; "
                 "embdist: window / 2]")
      ->check(not_negative());
  app.add_option("--suffix", suffix,
                 "llr: bases of the window from the variant on [half the window]")
      ->check(positive());
  app.add_option(
         "--grid", grid,
         "llr, next: windows begin at multiples of this many bases [an eighth of the window]")
      ->check(positive());
  app.add_option(
         "--length-rule", length_rule,
         "llr, alleles of different length: equal (as many bases of both are scored) or free "
         "(up to the same base of the reference)")
      ->capture_default_str();
  app.add_option("--reduce", reduce, "llr: sum, or mean over the bases scored")
      ->capture_default_str();
  app.add_option("--settle", settle,
                 "llr: stop where the state differs from the reference's by no more than this, "
                 "relative to its norm; the reach in bases becomes GSSM_REACH")
      ->check(positive());
  app.add_flag("--no-reuse", no_reuse,
               "llr: compute both windows of every allele whole; slower, the same numbers");
  app.add_option("--pool-window", pool,
                 "embdist: the mean is over the variant and half of this on each side [1536]")
      ->check(not_negative());
  app.add_option(
      "--alphabet", alphabet,
      "llr: acgt (probabilities over the four bases) or full [the model's, mostly acgt]");
  app.add_option("--bos", bos,
                 "llr, next: on or off: a token for the beginning of the text before every window, "
                 "as in score [the published way: on for Evo 1, else off]");
  app.add_option("--strand", strand,
                 "fwd, rc or avg [masked: avg for models that do not share strands; else fwd]; "
                 "embdist: both or fwd [both; causal models: fwd]");
  app.add_option("--chunk", chunk, "Tokens computed at once; never changes a result [planned]")
      ->check(positive());
}

OpenedModel EffectFlags::open(ModelOptions& model, Device& device, bool quiet) const {
  const bool causal = score == "llr" || score == "next";
  if (model.model.empty()) model.model = causal ? "genossm-mini-causal" : "genossm-mini-ps";
  return model.open(device, quiet);
}

EffectOptions EffectFlags::options(const ModelOptions& model, const OpenedModel& opened) const {
  EffectOptions out;
  if (!score.empty()) out.score = parse_effect_score(score);
  out.run.window = window;
  out.run.chunk = chunk;
  out.run.memory = model.memory_bytes();
  out.run.threads = model.thread_count();
  if (!strand.empty()) out.run.strand = parse_strand(strand);
  out.anchor = anchor;
  out.suffix = suffix;
  out.grid = grid;
  if (pool >= 0) {
    if (score != "embdist") fail(Fault::usage, "--pool-window applies to --score embdist");
    out.pool = pool;
  }
  out.settle = settle;
  out.reuse = !no_reuse;
  if (length_rule != "equal" && length_rule != "free") {
    fail(Fault::usage, "--length-rule '" + length_rule + "' is none of equal, free");
  }
  out.length_rule = length_rule == "free" ? LengthRule::free : LengthRule::equal;
  if (reduce != "sum" && reduce != "mean") {
    fail(Fault::usage, "--reduce '" + reduce + "' is none of sum, mean");
  }
  out.mean = reduce == "mean";
  if (!alphabet.empty() && alphabet != "acgt" && alphabet != "full") {
    fail(Fault::usage, "--alphabet '" + alphabet + "' is none of acgt, full");
  }
  const bool likelihood =
      score.empty() ? opened.model.card().objective == Objective::causal : score == "llr";
  if (!alphabet.empty() && !likelihood) {
    fail(Fault::usage, "--alphabet applies to --score llr");
  }
  if (!bos.empty() && bos != "on" && bos != "off") {
    fail(Fault::usage, "--bos '" + bos + "' is none of on, off");
  }
  if (!bos.empty()) out.bos = bos == "on";
  out.full_alphabet = alphabet.empty() ? !opened.alphabet_acgt : alphabet == "full";
  return out;
}

}  // namespace genossm
