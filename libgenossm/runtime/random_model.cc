#include "libgenossm/runtime/random_model.h"

#include <cmath>

#include "libgenossm/model/families/families.h"

namespace genossm {
namespace {

// A small counter-based generator: the standard library's distributions differ between versions.
class Random {
 public:
  explicit Random(std::uint32_t seed) : state_(seed * 0x9e3779b97f4a7c15ull + 1) {}
  // In [-1, 1).
  float next() {
    state_ += 0x9e3779b97f4a7c15ull;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    z ^= z >> 31;
    return static_cast<float>(static_cast<std::int64_t>(z) >> 40) * 0x1p-23f;
  }

 private:
  std::uint64_t state_;
};

class RandomBinder final : public Binder {
 public:
  RandomBinder(std::uint32_t seed, bool jitter) : random_(seed), jitter_(jitter) {}

  void bind(Tensor& target, const std::string& name, const std::vector<Index>& shape,
            Presence) override {
    Index n = 1;
    for (const Index extent : shape) n *= extent;
    target.shape = shape;
    target.values = Buffer<float>(n);
    const auto ends = [&](const char* suffix) { return name.ends_with(suffix); };
    const Index last = shape.back();
    for (Index i = 0; i < n; ++i) {
      const float r = random_.next();
      float& v = target.values[i];
      if (ends("A_log")) {
        // S4D-real for Mamba-1, a uniform spread of decays for Mamba-2.
        const float base =
            shape.size() == 2 ? static_cast<float>(i % last + 1) : 1.0f + 15.0f * std::abs(r);
        v = std::log(base) + (jitter_ ? 0.05f * r : 0.0f);
      } else if (ends("dt_bias") || ends("dt_proj.bias")) {
        // softplus(v) log-uniform in [0.001, 0.1].
        const float dt = std::exp(std::log(0.001f) + (r + 1) / 2 * std::log(100.0f));
        v = std::log(std::expm1(dt));
      } else if (ends(".D")) {
        v = 1.0f + 0.1f * r;
      } else if (name.find("norm") != std::string::npos && ends("weight")) {
        v = 1.0f + 0.1f * r;
      } else if (ends("bias")) {
        v = 0.02f * r;
      } else if (name.find("conv1d") != std::string::npos) {
        v = 0.6f * r;
      } else {
        v = r * std::sqrt(3.0f / static_cast<float>(last));
      }
    }
  }
  void ignore(const std::string&, const std::vector<Index>&) override {}
  bool has(const std::string&) const override { return false; }
  std::optional<std::vector<Index>> shape_of(const std::string&) const override {
    return std::nullopt;
  }
  std::optional<std::vector<std::int64_t>> integers(const std::string&) override {
    return std::nullopt;
  }

 private:
  Random random_;
  bool jitter_;
};

}  // namespace

ModelSpec random_spec(const Json& config, std::uint32_t seed, bool jitter) {
  RandomBinder binder(seed, jitter);
  return family_of(config).describe(config, binder);
}

}  // namespace genossm
