#include "apps/suggest.h"

#include <algorithm>

namespace genossm {
namespace {

// Optimal string alignment.
std::size_t distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), now(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    now[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t change = a[i - 1] == b[j - 1] ? 0 : 1;
      now[j] = std::min({last[j] + 1, now[j - 1] + 1, last[j - 1] + change});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        now[j] = std::min(now[j], before[j - 2] + 1);
      }
    }
    before.swap(last);
    last.swap(now);
  }
  return last[b.size()];
}

}  // namespace

std::string nearest(const std::string& word, const std::vector<std::string>& known) {
  const std::size_t letters = word.size() - std::min(word.find_first_not_of('-'), word.size());
  if (letters < 2) return "";  // everything is near a single letter
  std::string best;
  std::size_t least = 1 + letters / 3;
  for (const std::string& candidate : known) {
    const std::size_t d = candidate.starts_with(word) ? 0 : distance(word, candidate);
    if (d >= least && !(best.empty() && d == least)) continue;
    best = candidate;
    least = d;
  }
  return best;
}

}  // namespace genossm
