// Regions from the command line and from BED files.
#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>

#include "kernels/core/error.h"
#include "libgenossm/base/text.h"
#include "libgenossm/io/genome.h"
#include "libgenossm/io/letters.h"
#include "libgenossm/io/text_input.h"

namespace genossm {
namespace {

std::string written(const std::string& contig, Index begin, Index end) {
  return contig + ":" + std::to_string(begin + 1) + "-" + std::to_string(end);
}

// Digits; with commas, groups of three.
std::optional<Index> parse_position(std::string_view text) {
  std::string digits;
  std::size_t run = 0;
  bool grouped = false;
  for (const char c : text) {
    if (c == ',') {
      if (run == 0 || run > 3 || (grouped && run != 3)) return std::nullopt;
      grouped = true;
      run = 0;
    } else if (c >= '0' && c <= '9') {
      digits += c;
      ++run;
    } else {
      return std::nullopt;
    }
  }
  if (digits.empty() || (grouped && run != 3)) return std::nullopt;
  Index value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

struct Range {
  Index first = 1;  // 1-based, inclusive
  Index last = std::numeric_limits<Index>::max();
};

// "5", "5-", "-10", "5-10".
std::optional<Range> parse_range(std::string_view text) {
  Range range;
  const auto dash = text.find('-');
  const std::string_view first = text.substr(0, dash);
  if (!first.empty()) {
    const auto value = parse_position(first);
    if (!value) return std::nullopt;
    range.first = *value;
  }
  if (dash == std::string_view::npos) return first.empty() ? std::nullopt : std::optional(range);
  const std::string_view last = text.substr(dash + 1);
  if (first.empty() && last.empty()) return std::nullopt;
  if (!last.empty()) {
    const auto value = parse_position(last);
    if (!value) return std::nullopt;
    range.last = *value;
  }
  return range;
}

struct Parsed {
  std::string contig;
  Range range;
};

// The text as one region, if it is well formed and its contig is there.
std::optional<Parsed> parse_one(std::string_view text, const Genome& genome) {
  if (text.starts_with('{')) {
    const auto close = text.rfind('}');
    if (close == std::string_view::npos) return std::nullopt;
    const std::string name(text.substr(1, close - 1));
    const std::string_view rest = text.substr(close + 1);
    if (!genome.has(name)) return std::nullopt;
    if (rest.empty()) return Parsed{name, {}};
    const auto range = rest[0] == ':' ? parse_range(rest.substr(1)) : std::nullopt;
    return range ? std::optional(Parsed{name, *range}) : std::nullopt;
  }
  if (genome.has(std::string(text))) return Parsed{std::string(text), {}};
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const std::string name(text.substr(0, colon));
  const auto range = parse_range(text.substr(colon + 1));
  if (!range || !genome.has(name)) return std::nullopt;
  return Parsed{name, *range};
}

[[noreturn]] void refuse_one(std::string_view text, const Genome& genome) {
  const std::string said = "region '" + shown(text) + "'";
  if (text.empty())
    fail(Fault::usage, "region: nothing stands between two commas, want CONTIG:FROM-TO");
  std::string name(text);
  std::string_view range;
  if (text.starts_with('{')) {
    const auto close = text.rfind('}');
    if (close == std::string_view::npos) fail(Fault::usage, said + ": has no closing brace");
    name = text.substr(1, close - 1);
    range = text.substr(close + 1);
  } else if (const auto colon = text.rfind(':'); colon != std::string_view::npos) {
    // What stands after the last colon is a range, or else a part of a name that is not there.
    if (genome.has(name.substr(0, colon)) || parse_range(text.substr(colon + 1))) {
      name.resize(colon);
      range = text.substr(colon);
    }
  }
  static_cast<void>(genome.length(name));  // says that the contig is not there
  fail(Fault::usage,
       said + ": '" + shown(range) + "' is no range, want :FROM-TO with positions from 1 on");
}

Region place(const std::string& said, const Parsed& parsed, const Genome& genome, bool clip) {
  const Index length = genome.length(parsed.contig);
  const Range& range = parsed.range;
  if (range.first < 1) fail(Fault::usage, said + ": begins at 0, want positions from 1 on");
  if (range.first > range.last) {
    fail(Fault::usage, said + ": begins at " + std::to_string(range.first) + ", after its end " +
                           std::to_string(range.last));
  }
  const bool open_end = range.last == std::numeric_limits<Index>::max();
  const bool whole = open_end && range.first == 1;  // even of an empty contig
  if (!clip && !whole && (range.first > length || (!open_end && range.last > length))) {
    fail(Fault::input, said + ": lies outside '" + shown(parsed.contig) + "', which has " +
                           std::to_string(length) + " bases (--clip takes the part inside)");
  }
  Region region{parsed.contig, std::min(range.first - 1, length), std::min(range.last, length), {}};
  region.name = written(region.contig, region.begin, region.end);
  return region;
}

struct BedLine {
  std::string_view contig, begin, end, name;
};

BedLine split_bed(std::string_view line) {
  const std::string_view separators = line.find('\t') == std::string_view::npos ? " " : "\t";
  BedLine fields;
  for (std::string_view* field : {&fields.contig, &fields.begin, &fields.end, &fields.name}) {
    const auto stop = line.find_first_of(separators);
    *field = line.substr(0, stop);
    if (stop == std::string_view::npos) break;
    line.remove_prefix(stop + 1);
    // A row of spaces is one separator; a tab is one by itself.
    if (separators == " ") line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  }
  return fields;
}

// Column `wanted`, from 1.
std::string bed_column(std::string_view line, Index wanted, const TextInput& input) {
  const char* separators = line.find('\t') == std::string_view::npos ? " " : "\t";
  Index column = 0;
  for (std::size_t at = 0; at <= line.size();) {
    if (*separators == ' ') at = std::min(line.find_first_not_of(' ', at), line.size());
    const auto stop = std::min(line.find(*separators, at), line.size());
    if (*separators == ' ' && at == stop) break;
    if (++column == wanted) return std::string(line.substr(at, stop - at));
    at = stop + 1;
  }
  input.fail_line("has " + std::to_string(column) + " columns, want " + std::to_string(wanted));
}

bool is_heading(std::string_view line) {
  const auto begins = [&](std::string_view word) {
    return line.starts_with(word) &&
           (line.size() == word.size() || line[word.size()] == ' ' || line[word.size()] == '\t');
  };
  return line.find_first_not_of(" \t") == std::string_view::npos || line[0] == '#' ||
         begins("track") || begins("browser");
}

Region bed_region(const std::string& line, const Genome& genome, bool clip,
                  const TextInput& input) {
  if (const auto at = letters::find_kind(line, letters::kControl); at != std::string::npos) {
    input.fail_line(letters::shown_byte(line[at]) + ", want BED");
  }
  const BedLine fields = split_bed(line);
  const auto number = [&](std::string_view text, const char* what) {
    Index value = -1;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < 0) {
      input.fail_line(std::string(what) + " is '" + shown(text) + "', want a number from 0 on");
    }
    return value;
  };
  if (fields.begin.empty() || fields.end.empty()) {
    input.fail_line("has fewer than three columns, want contig, start and end");
  }
  Region region{std::string(fields.contig), number(fields.begin, "the start"),
                number(fields.end, "the end"), std::string(fields.name)};
  if (region.begin > region.end) {
    input.fail_line("the start " + std::to_string(region.begin) + " lies after the end " +
                    std::to_string(region.end));
  }
  if (!genome.has(region.contig)) {
    try {
      static_cast<void>(genome.length(region.contig));
    } catch (const Error& error) {
      input.fail_line(error.what());
    }
  }
  const Index length = genome.length(region.contig);
  if (region.end > length && !clip) {
    input.fail_line("the region lies outside '" + shown(region.contig) + "', which has " +
                    std::to_string(length) + " bases (" +
                    (region.end == length + 1 && region.begin > 0
                         ? "is it counted from 1? BED counts from 0; "
                         : "") +
                    "--clip takes the part inside)");
  }
  region.begin = std::min(region.begin, length);
  region.end = std::min(region.end, length);
  if (region.name.empty() || region.name == ".") {
    region.name = written(region.contig, region.begin, region.end);
  } else if (find_bad_utf8(region.name)) {
    input.fail_line("the name '" + shown(region.name) + "' is not UTF-8");
  }
  return region;
}

}  // namespace

std::vector<Region> parse_regions(std::string_view text, const Genome& genome, bool clip) {
  // Commas separate regions, group digits, and may stand in names. The longest reading that makes
  // sense is taken, names before ranges; no region needs more commas than this.
  constexpr std::size_t kMostCommas = 16;
  std::vector<Region> regions;
  for (std::size_t from = 0; from <= text.size();) {
    std::optional<Parsed> taken;
    bool taken_whole = false;
    std::size_t stop = from, taken_stop = from;
    for (std::size_t n = 0; n <= kMostCommas; ++n) {
      stop = std::min(text.find(',', stop), text.size());
      const std::string_view one = text.substr(from, stop - from);
      const bool whole = genome.has(std::string(one));
      if (whole || !taken_whole) {
        if (auto parsed = parse_one(one, genome)) {
          taken = std::move(parsed);
          taken_whole = whole;
          taken_stop = stop;
        }
      }
      if (stop == text.size()) break;
      ++stop;
    }
    if (!taken) refuse_one(text.substr(from, text.find(',', from) - from), genome);
    const std::string said = "region '" + shown(text.substr(from, taken_stop - from)) + "'";
    regions.push_back(place(said, *taken, genome, clip));
    from = taken_stop + 1;
  }
  return regions;
}

std::vector<Region> read_bed(const std::string& path, const Genome& genome, bool clip, Index keep) {
  TextInput input(open_input(path), shown_path(path));
  std::vector<Region> regions;
  TextInput::Piece piece;
  while (input.next(piece)) {
    const std::string line = input.rest_of_line(piece);
    if (is_heading(line)) continue;
    regions.push_back(bed_region(line, genome, clip, input));
    regions.back().line = input.line();
    if (keep > 0) regions.back().kept = bed_column(line, keep, input);
  }
  if (regions.empty()) fail(Fault::input, shown_path(path) + ": holds no regions, want BED");
  return regions;
}

}  // namespace genossm
