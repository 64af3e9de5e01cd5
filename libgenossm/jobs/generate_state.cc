#include "libgenossm/jobs/generate_state.h"

#include <cstring>

#include "libgenossm/base/sha256.h"

namespace genossm {
namespace {

constexpr std::string_view kMagic = "GSSMGEN2";

// What a state depends on: the same weights in another precision carry other numbers.
std::string model_key(const OpenedModel& model) {
  std::string key = model.sha256;
  key += model.model.card().precision == Precision::fp32 ? "32" : "16";
  key += model.model.card().cuda ? "g" : "c";
  return key;
}

constexpr std::size_t kDigits = 64;

// Stands at the end: a state has no form by which a changed number would be known.
std::string digest(std::string_view bytes) {
  Sha256 sha;
  sha.update(std::as_bytes(std::span(bytes.data(), bytes.size())));
  return sha.hex();
}

template <class T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

}  // namespace

std::string bytes_of(const GenerateState& s, const OpenedModel& model) {
  std::string out(kMagic);
  out += model_key(model);
  put(out, s.seed);
  put(out, s.sequence);
  put(out, s.last);
  out += s.state.bytes();
  return out + digest(out);
}

GenerateState parse_generate_state(std::string_view bytes, const OpenedModel& model,
                                   const std::string& name) {
  const std::string key = model_key(model);
  const std::size_t head = kMagic.size() + key.size() + 2 * 8 + 4;
  if (bytes.size() < head + kDigits || bytes.substr(0, kMagic.size()) != kMagic) {
    fail(Fault::input, name + ": not a state that generate saved");
  }
  if (bytes.substr(kMagic.size(), key.size()) != key) {
    fail(Fault::input, name + ": a state of another model, precision or device");
  }
  const std::string_view body = bytes.substr(0, bytes.size() - kDigits);
  if (bytes.substr(body.size()) != digest(body)) {
    fail(Fault::input, name + ": is damaged or cut off: its SHA-256 is another one");
  }
  GenerateState s;
  const char* at = bytes.data() + kMagic.size() + key.size();
  std::memcpy(&s.seed, at, 8);
  std::memcpy(&s.sequence, at + 8, 8);
  std::memcpy(&s.last, at + 16, 4);
  const Card& card = model.model.card();
  try {
    s.state = State::parse(body.substr(head), model.model);
  } catch (const Error& error) {
    fail(Fault::input, name + ": " + error.what());
  }
  const auto inside = [&](std::int32_t token) { return token >= 0 && token < card.vocab; };
  bool good = inside(s.last);
  for (const std::int32_t token : s.state.recent) good = good && inside(token);
  if (!good) fail(Fault::input, name + ": holds tokens outside the vocabulary; it is damaged");
  return s;
}

}  // namespace genossm
