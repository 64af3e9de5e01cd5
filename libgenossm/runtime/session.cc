#include "libgenossm/runtime/session.h"

#include <algorithm>
#include <cstring>

namespace genossm {
namespace {

constexpr std::string_view kMagic = "GSSMST01";

template <class T>
void append(std::string& out, const T* data, std::size_t n) {
  out.append(reinterpret_cast<const char*>(data), n * sizeof(T));
}

}  // namespace

std::string State::bytes() const {
  std::string out(kMagic);
  const std::int64_t sizes[3] = {boundary, static_cast<std::int64_t>(carry.size()),
                                 static_cast<std::int64_t>(recent.size())};
  append(out, sizes, 3);
  append(out, carry.data(), carry.size());
  append(out, recent.data(), recent.size());
  return out;
}

State State::parse(std::string_view bytes, Index state_floats) {
  std::int64_t sizes[3] = {};
  const std::size_t head = kMagic.size() + sizeof sizes;
  if (bytes.size() < head || bytes.substr(0, kMagic.size()) != kMagic) {
    fail(Fault::input, "state: not a saved state");
  }
  std::memcpy(sizes, bytes.data() + kMagic.size(), sizeof sizes);
  const auto [boundary, floats, tokens] = sizes;
  if (boundary < 0 || boundary % kTile != 0 || (floats != 0 && floats != state_floats) ||
      (floats == 0) != (boundary == 0) || tokens < 0 || tokens >= std::max(kTile, kCudaSegment) ||
      bytes.size() != head + static_cast<std::size_t>(floats + tokens) * 4) {
    fail(Fault::input, "state: of another model, or damaged");
  }
  State state;
  state.boundary = boundary;
  state.carry.resize(static_cast<std::size_t>(floats));
  state.recent.resize(static_cast<std::size_t>(tokens));
  std::memcpy(state.carry.data(), bytes.data() + head, state.carry.size() * 4);
  std::memcpy(state.recent.data(), bytes.data() + head + state.carry.size() * 4,
              state.recent.size() * 4);
  return state;
}

Session::Session(const Model& model, Device& device, Features features, Index chunk, Index slab)
    : model_(model), device_(device), lane_(model, std::move(features), chunk, slab) {}

void Session::feed(Tokens tokens, const Emit& emit) {
  // Everything since the last boundary runs again; only rows of new tokens are handed out.
  const Index known = state_.position();
  std::vector<std::int32_t> all(state_.recent);
  all.insert(all.end(), tokens.begin(), tokens.end());
  const Index start = state_.boundary;
  const auto pass_on = [&](Index from) {
    return [&, from](Index, Index first, View<const float, 2> values) {
      const Index skip = std::clamp<Index>(known - (from + first), 0, values.extent[0]);
      if (skip < values.extent[0]) {
        emit(from + first + skip, rows(values, skip, values.extent[0]));
      }
    };
  };
  const auto total = static_cast<Index>(all.size());
  const Index whole = total / lane_.tile() * lane_.tile();
  bool fresh = state_.carry.empty();
  const Tokens view(all);
  if (whole > 0) {
    if (fresh) state_.carry.resize(static_cast<std::size_t>(model_.card().state_floats));
    lane_.advance(device_, view.first(static_cast<std::size_t>(whole)), state_.carry.data(), fresh,
                  pass_on(start));
    state_.boundary += whole;
    fresh = false;
  }
  if (total > whole) {
    std::vector<float> ahead = state_.carry;  // the boundary's carry itself stays
    ahead.resize(static_cast<std::size_t>(model_.card().state_floats));
    lane_.advance(device_, view.subspan(static_cast<std::size_t>(whole)), ahead.data(), fresh,
                  pass_on(start + whole));
  }
  state_.recent.assign(all.begin() + whole, all.end());
}

}  // namespace genossm
