// The word that was probably meant.
#pragma once

#include <string>
#include <vector>

namespace genossm {

// Of `known` the nearest to `word` by letters left out, added, changed or exchanged with a
// neighbour, the first of equals; one that begins with it goes before. "" where none is near.
std::string nearest(const std::string& word, const std::vector<std::string>& known);

}  // namespace genossm
