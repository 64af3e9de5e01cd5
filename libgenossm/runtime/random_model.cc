#include "libgenossm/runtime/random_model.h"

#include <algorithm>
#include <cmath>
#include <numbers>

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
  // The same for a number, whatever was asked for before.
  static float at(std::uint64_t i) { return Random(static_cast<std::uint32_t>(i)).next(); }

 private:
  std::uint64_t state_;
};

// Entry `column` of row t of Hyena's table of positions: the time, then cosines, then negative
// sines (hyenadna.md section 3).
float hyena_position(Index t, Index column, Index columns, Index rows) {
  const double time = static_cast<double>(t) / static_cast<double>(std::max<Index>(1, rows - 1));
  if (column == 0) return static_cast<float>(time);
  const Index bands = (columns - 1) / 2;
  const double step =
      bands > 1 ? (static_cast<double>(bands - 1) - 1e-4) / static_cast<double>(bands - 1) : 0.0;
  const double f = 1e-4 + step * static_cast<double>((column - 1) % std::max<Index>(1, bands));
  const double w = 2 * std::numbers::pi * static_cast<double>(t) / static_cast<double>(rows);
  return static_cast<float>(column <= bands ? std::cos(f * w) : -std::sin(f * w));
}

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
      } else if (ends("pos_emb.z") || ends("pos_emb.t")) {
        v = hyena_position(i / last, i % last, last, shape[1]);
      } else if (ends("modulation.deltas")) {
        // From ln(0.01) / 1.5 to ln(0.01) / 0.3, as the authors space them.
        const float share = last > 1 ? static_cast<float>(i) / static_cast<float>(last - 1) : 0.0f;
        v = std::log(0.01f) / (1.5f - 1.2f * share) * (jitter_ ? 1 + 0.05f * r : 1.0f);
      } else if (ends(".freq")) {
        v = 10 + r;
      } else if (ends("filter.poles")) {
        // Inside the unit circle, from 0.6 to 0.999, turned by the number of the state.
        const float size = 0.8f + 0.199f * random_.at(static_cast<std::uint64_t>(i / 2));
        const float turn = 0.7f * static_cast<float>(i / 2 % shape[1]);
        v = size * (i % 2 == 0 ? std::cos(turn) : std::sin(turn));
      } else if (ends("filter.log_poles")) {
        v = -std::exp(4.0f * r - 4.0f);
      } else if (ends("filter.residues")) {
        v = 0.3f * r / static_cast<float>(shape[1]);
      } else if (ends("filter.h")) {
        v = r * std::sqrt(3.0f / static_cast<float>(last));
      } else if (ends("inv_freq")) {
        v = std::pow(10000.0f, -static_cast<float>(i) / static_cast<float>(last));
      } else if (ends("norm.scale")) {
        v = 1.0f + 0.1f * r;
      } else if (name.find("short_filter") != std::string::npos) {
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

namespace {

class SketchBinder final : public Binder {
 public:
  void bind(Tensor& target, const std::string&, const std::vector<Index>& shape,
            Presence) override {
    target.shape = shape;
    target.values = Buffer<float>(elements(shape));
    std::fill(target.values.begin(), target.values.end(), 0.0f);
  }
  void bind_matrix(Tensor& target, const std::string&, const std::vector<Index>& shape) override {
    // Zeros that are never written to take no memory, however many.
    const auto bytes = static_cast<std::size_t>(2 * elements(shape));
    if (bytes > zeros_.bytes().size()) zeros_ = MappedFile::zeros(bytes);
    target.shape = shape;
    target.file = zeros_;
    target.stored = {zeros_.bytes().data(), DType::bf16, shape[0], shape[1]};
  }
  void ignore(const std::string&, const std::vector<Index>&) override {}
  std::vector<float> nested(const std::string&, const std::string&) override { return {1, 1, 1}; }
  bool has(const std::string&) const override { return false; }
  std::optional<std::vector<Index>> shape_of(const std::string&) const override {
    return std::nullopt;
  }
  std::optional<std::vector<std::int64_t>> integers(const std::string&) override {
    return std::nullopt;
  }

 private:
  static Index elements(const std::vector<Index>& shape) {
    Index n = 1;
    for (const Index extent : shape) n *= extent;
    return n;
  }
  MappedFile zeros_ = MappedFile::zeros(0);
};

}  // namespace

ModelSpec sketch_spec(const Json& config) {
  SketchBinder binder;
  return family_of(config).describe(config, binder);
}

ModelSpec random_spec(const Json& config, std::uint32_t seed, bool jitter) {
  RandomBinder binder(seed, jitter);
  return family_of(config).describe(config, binder);
}

}  // namespace genossm
