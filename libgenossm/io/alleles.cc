#include "libgenossm/io/alleles.h"

#include <algorithm>

#include "libgenossm/io/letters.h"

namespace genossm {
namespace {

char plain(char c) {
  const char upper = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return upper == 'U' ? 'T' : upper;
}

std::string plain(std::string_view bases) {
  std::string out(bases);
  std::transform(out.begin(), out.end(), out.begin(), [](char c) { return plain(c); });
  return out;
}

}  // namespace

AlleleKind kind_of_allele(std::string_view allele) {
  if (allele.empty() || allele == ".") return AlleleKind::missing;
  if (allele == "*") return AlleleKind::star;
  if (allele.front() == '<' && allele.back() == '>') return AlleleKind::symbolic;
  if (allele.find_first_of("[]") != std::string_view::npos || allele.front() == '.' ||
      allele.back() == '.') {
    return AlleleKind::breakend;
  }
  const std::uint8_t kinds = letters::kinds(allele);
  if (kinds & ~(letters::kLower | letters::kAmbiguous)) return AlleleKind::other;
  return kinds & letters::kAmbiguous ? AlleleKind::ambiguous : AlleleKind::dna;
}

Change smallest_change(Index at, std::string_view ref, std::string_view alt) {
  Change change{at, plain(ref), plain(alt)};
  std::string& r = change.ref;
  std::string& a = change.alt;
  while (!r.empty() && !a.empty() && r.back() == a.back()) {
    r.pop_back();
    a.pop_back();
  }
  const auto same = std::mismatch(r.begin(), r.end(), a.begin(), a.end());
  const auto n = same.first - r.begin();
  change.at += n;
  r.erase(0, static_cast<std::size_t>(n));
  a.erase(0, static_cast<std::size_t>(n));
  return change;
}

std::optional<std::string> find_contig(const Genome& genome, const std::string& name) {
  if (genome.has(name)) return name;
  const std::string other = name.starts_with("chr") ? name.substr(3) : "chr" + name;
  if (genome.has(other)) return other;
  if ((name == "MT" || name == "chrMT") && genome.has("chrM")) return "chrM";
  if ((name == "M" || name == "chrM") && genome.has("MT")) return "MT";
  return std::nullopt;
}

}  // namespace genossm
