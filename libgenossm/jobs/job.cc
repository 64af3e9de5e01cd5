#include "libgenossm/jobs/job.h"

#include <algorithm>

namespace genossm {

std::string_view name_of(StrandMode mode) {
  switch (mode) {
    case StrandMode::forward:
      return "fwd";
    case StrandMode::reverse:
      return "rc";
    case StrandMode::average:
      return "avg";
    case StrandMode::both:
      return "both";
  }
  return "?";
}

StrandMode parse_strand(const std::string& text) {
  for (const StrandMode mode :
       {StrandMode::forward, StrandMode::reverse, StrandMode::average, StrandMode::both}) {
    if (text == name_of(mode)) return mode;
  }
  fail(Fault::usage, "--strand '" + text + "' is none of fwd, rc, avg, both");
}

Index window_of(const OpenedModel& model, const RunOptions& options) {
  if (options.window > 0) return options.window;
  const Index window = model.model.card().layer_major() ? model.context : 0;
  if (window == 0 && options.stride > 0) {
    fail(Fault::usage, "--stride without --window: " + model.name +
                           " reads a record in one pass, without windows");
  }
  return window;
}

std::string json_text(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20) {
      constexpr char kHex[] = "0123456789abcdef";
      out += "\\u00";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string json_line(const Provenance& pairs) {
  std::string out = "{";
  for (const auto& [key, value] : pairs) {
    out += (out.size() > 1 ? ", " : "") + json_text(key) + ": " + value;
  }
  return out + "}";
}

const char* name_of(Precision precision) { return precision == Precision::fp32 ? "fp32" : "bf16"; }

Provenance provenance_of(const OpenedModel& model) {
  const Card& card = model.model.card();
  Provenance facts{{"model", json_text(model.name)},
                   {"model_sha256", json_text(model.sha256)},
                   {"family", json_text(card.family)},
                   {"precision", json_text(name_of(card.precision))}};
  if (model.scales_of_one) facts.emplace_back("missing_scales", json_text("one"));
  if (model.lowercase_upper) facts.emplace_back("lowercase", json_text("upper"));
  return facts;
}

namespace {

// Tokens of the window, or of its other strand, piece by piece: a chromosome is never turned whole.
Unit::Read window_tokens(const WindowTokens& w, bool reverse) {
  return [w, reverse](Index begin, std::span<std::int32_t> out) {
    static const std::vector<std::int32_t> none;
    const auto& prefix = w.special ? w.tokenizer->prefix() : none;
    const auto& suffix = w.special ? w.tokenizer->suffix() : none;
    const auto P = static_cast<Index>(prefix.size());
    const Index n = w.end - w.begin;
    for (std::size_t i = 0; i < out.size();) {
      const Index t = begin + static_cast<Index>(i);
      if (t < P) {
        out[i++] = prefix[static_cast<std::size_t>(t)];
      } else if (t >= P + n) {
        out[i++] = suffix[static_cast<std::size_t>(t - P - n)];
      } else {
        const auto m = std::min(static_cast<Index>(out.size() - i), P + n - t);
        const Index from = t - P;  // of the strand that is read
        const std::string bases =
            reverse ? reverse_complement(w.text->piece(w.end - from - m, w.end - from))
                    : w.text->piece(w.begin + from, w.begin + from + m);
        w.tokenizer->encode(bases, out.subspan(i, static_cast<std::size_t>(m)));
        i += static_cast<std::size_t>(m);
      }
    }
  };
}

}  // namespace

Unit::Read forward_tokens(const WindowTokens& window) { return window_tokens(window, false); }
Unit::Read reverse_tokens(const WindowTokens& window) { return window_tokens(window, true); }

void add_tally(JobReport& report, const ReadTally& tally) {
  const auto skip = [&](const char* reason, std::int64_t n) {
    if (n > 0) report.skipped[reason] += n;
  };
  skip("secondary alignment", tally.skipped_secondary);
  skip("supplementary alignment", tally.skipped_supplementary);
  skip("read without sequence", tally.skipped_no_sequence);
  const auto warn = [&](const char* text, std::int64_t n) {
    if (n > 0) report.warnings[text] += n;
  };
  warn("empty record", tally.empty_records);
  for (const auto& [text, n] : tally.warnings) report.warnings[text] += n;
}

}  // namespace genossm
