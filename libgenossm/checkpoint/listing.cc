#include "libgenossm/checkpoint/listing.h"

#include <utility>

namespace genossm {

Listing::Listing(std::map<std::string, std::vector<Index>> existing)
    : existing_(std::move(existing)) {}

void Listing::bind(Tensor&, const std::string& name, const std::vector<Index>& shape,
                   Presence presence) {
  entries_.push_back({name, shape, presence, Use::weight});
}

void Listing::ignore(const std::string& name, const std::vector<Index>& shape) {
  entries_.push_back({name, shape, Presence::optional, Use::ignored});
}

bool Listing::has(const std::string& name) const { return existing_.contains(name); }

std::optional<std::vector<Index>> Listing::shape_of(const std::string& name) const {
  const auto found = existing_.find(name);
  if (found == existing_.end()) return std::nullopt;
  return found->second;
}

std::optional<std::vector<std::int64_t>> Listing::integers(const std::string& name) {
  const auto shape = shape_of(name);
  entries_.push_back(
      {name, shape.value_or(std::vector<Index>{}), Presence::optional, Use::integers});
  if (!shape) return std::nullopt;
  Index elements = 1;
  for (const Index extent : *shape) elements *= extent;
  return std::vector<std::int64_t>(static_cast<std::size_t>(elements), 0);
}

}  // namespace genossm
