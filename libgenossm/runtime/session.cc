#include "libgenossm/runtime/session.h"

#include <algorithm>
#include <cstring>

namespace genossm {
namespace {

constexpr std::string_view kMagic = "GSSMST02";

template <class T>
void append(std::string& out, const T* data, std::size_t n) {
  out.append(reinterpret_cast<const char*>(data), n * sizeof(T));
}

}  // namespace

std::string State::bytes() const {
  std::string out(kMagic);
  const std::int64_t sizes[4] = {carry.position, carry.position > 0 ? carry.state.size() : 0,
                                 static_cast<std::int64_t>(recent.size()),
                                 carry.position * carry.history.token_bytes()};
  append(out, sizes, 4);
  append(out, carry.state.data(), static_cast<std::size_t>(sizes[1]));
  append(out, recent.data(), recent.size());
  for (Index layer = 0; layer < carry.history.layers() && carry.position > 0; ++layer) {
    const std::size_t at = out.size();
    out.resize(at + static_cast<std::size_t>(carry.position * carry.history.row_bytes(layer)));
    carry.history.read(layer, carry.position, reinterpret_cast<std::byte*>(out.data() + at));
  }
  return out;
}

State State::parse(std::string_view bytes, const Model& model) {
  std::int64_t sizes[4] = {};
  const std::size_t head = kMagic.size() + sizeof sizes;
  if (bytes.size() < head || bytes.substr(0, kMagic.size()) != kMagic) {
    fail(Fault::input, "state: not a saved state");
  }
  std::memcpy(sizes, bytes.data() + kMagic.size(), sizeof sizes);
  const auto [position, floats, tokens, history] = sizes;
  const Card& card = model.card();
  constexpr std::int64_t kMost = std::int64_t{1} << 40;
  if (position < 0 || position > kMost || floats != (position > 0 ? card.state_floats : 0) ||
      tokens < 0 || tokens >= std::max(kTile, kCudaSegment) ||
      history != position * card.history_bytes ||
      bytes.size() != head + static_cast<std::size_t>((floats + tokens) * 4 + history)) {
    fail(Fault::input, "state: of another model, or damaged");
  }
  State state;
  state.recent.resize(static_cast<std::size_t>(tokens));
  std::size_t at = head;
  const auto take = [&](auto* to, Index n) {
    // Nothing may have no memory at all, which memcpy is not to be given.
    const std::size_t size = static_cast<std::size_t>(n) * sizeof *to;
    if (n > 0) std::memcpy(to, bytes.data() + at, size);
    at += size;
  };
  if (position > 0) {
    state.carry = Carry(model);
    state.carry.position = position;
  }
  take(state.carry.state.data(), floats);
  take(state.recent.data(), tokens);
  state.carry.history.reserve(position, 0);
  for (Index layer = 0; layer < state.carry.history.layers(); ++layer) {
    state.carry.history.write(layer, position,
                              reinterpret_cast<const std::byte*>(bytes.data() + at));
    at += static_cast<std::size_t>(position * state.carry.history.row_bytes(layer));
  }
  return state;
}

Session::Session(const Model& model, Device& device, Features features, Index chunk, Index slab)
    : model_(model), device_(device), lane_(model, std::move(features), chunk, slab) {}

void Session::begin() {
  const Carry& carry = state_.carry;
  if (carry.state.size() == 0 && carry.history.layers() == 0) state_.carry = Carry(model_);
}

void Session::reserve(Index tokens) {
  begin();
  state_.carry.history.reserve(tokens, state_.carry.position);
}

void Session::feed(Tokens tokens, const Emit& emit) {
  // Everything since the last boundary runs again; only rows of new tokens are handed out.
  const Index known = state_.position();
  std::vector<std::int32_t> all(state_.recent);
  all.insert(all.end(), tokens.begin(), tokens.end());
  begin();
  Carry& carry = state_.carry;
  const auto pass_on = [&](Index from) {
    return [&, from](Index, Index first, View<const float, 2> values) {
      const Index skip = std::clamp<Index>(known - (from + first), 0, values.extent[0]);
      if (skip < values.extent[0]) {
        emit(from + first + skip, rows(values, skip, values.extent[0]));
      }
    };
  };
  const auto total = static_cast<Index>(all.size());
  const Index whole = total / lane_.finest() * lane_.finest();
  const Tokens view(all);
  if (whole > 0) {
    lane_.advance(device_, view.first(static_cast<std::size_t>(whole)), carry,
                  pass_on(carry.position));
  }
  if (total > whole) {
    // The boundary's state itself stays. Its history is lent: what is written behind its last row
    // will be written again.
    Carry ahead;
    ahead.state = Buffer<float>(carry.state.size());
    std::copy(carry.state.begin(), carry.state.end(), ahead.state.begin());
    ahead.position = carry.position;
    std::swap(ahead.history, carry.history);
    lane_.advance(device_, view.subspan(static_cast<std::size_t>(whole)), ahead,
                  pass_on(carry.position));
    std::swap(ahead.history, carry.history);
  }
  state_.recent.assign(all.begin() + whole, all.end());
}

}  // namespace genossm
