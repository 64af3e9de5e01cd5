#include "tests/support/golden.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <stdexcept>

#include "libgenossm/base/mapped_file.h"
#include "libgenossm/checkpoint/safetensors.h"

namespace genossm::testing {

View<const float, 2> Golden::matrix(Index batch) const {
  const Index C = shape.back(), L = shape.size() > 1 ? shape[shape.size() - 2] : 1;
  return {values.data() + batch * L * C, {L, C}};
}

GoldenFile::GoldenFile(const std::filesystem::path& path)
    : source_(open_safetensors(MappedFile::open(path))) {}

std::size_t GoldenFile::index(const std::string& name) const {
  const auto& all = source_->tensors();
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i].name == name) return i;
  }
  return all.size();
}

bool GoldenFile::has(const std::string& name) const {
  return index(name) < source_->tensors().size();
}

Golden GoldenFile::tensor(const std::string& name) const {
  if (!has(name)) throw std::runtime_error("no tensor " + name);
  const std::size_t i = index(name);
  Golden g;
  g.shape = source_->tensors()[i].shape;
  g.values.resize(static_cast<std::size_t>(source_->tensors()[i].elements()));
  source_->read_f32(i, g.values);
  return g;
}

std::vector<std::int64_t> GoldenFile::integers(const std::string& name) const {
  if (!has(name)) throw std::runtime_error("no tensor " + name);
  const std::size_t i = index(name);
  std::vector<std::int64_t> out(static_cast<std::size_t>(source_->tensors()[i].elements()));
  source_->read_i64(i, out);
  return out;
}

std::vector<Index> GoldenFile::shape(const std::string& name) const {
  if (!has(name)) throw std::runtime_error("no tensor " + name);
  return source_->tensors()[index(name)].shape;
}

std::vector<std::string> GoldenFile::names() const {
  std::vector<std::string> out;
  for (const TensorInfo& t : source_->tensors()) out.push_back(t.name);
  return out;
}

double relative_error(View<const float, 2> got, View<const float, 2> want) {
  constexpr double kWrong = std::numeric_limits<double>::infinity();
  if (got.extent != want.extent) return kWrong;
  double difference = 0, largest = 0;
  for (Index i = 0; i < want.extent[0]; ++i) {
    for (Index j = 0; j < want.extent[1]; ++j) {
      const double g = static_cast<double>(got.row(i)[j]), w = static_cast<double>(want.row(i)[j]);
      if (!std::isfinite(g)) return kWrong;
      difference = std::max(difference, std::abs(g - w));
      largest = std::max(largest, std::abs(w));
    }
  }
  return largest > 0 ? difference / largest : difference;
}

namespace {

// The sources that the tests were built from, unless they have moved since.
std::filesystem::path source_folder() {
  const char* elsewhere = std::getenv("GENOSSM_SOURCE_DIR");
  return elsewhere != nullptr ? elsewhere : GENOSSM_SOURCE_DIR;
}

}  // namespace

std::filesystem::path golden_folder() { return source_folder() / "tests" / "golden"; }

std::filesystem::path model_of(const std::string& name) {
  if (name.starts_with("mini/")) {
    return source_folder() / "data" / "models" / ("genossm-mini-" + name.substr(5));
  }
  const auto folder = golden_folder() / name;
  const auto lightning = folder / "weights.ckpt";
  return std::filesystem::exists(lightning) ? lightning : folder;
}

std::vector<std::string> cases_of(const std::string& family) {
  std::vector<std::string> out;
  const auto folder = golden_folder() / family;
  if (!std::filesystem::exists(folder)) return out;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.is_directory()) out.push_back(family + "/" + entry.path().filename().string());
  }
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace genossm::testing
