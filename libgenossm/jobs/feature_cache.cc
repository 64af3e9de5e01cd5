#include "libgenossm/jobs/feature_cache.h"

#include <cstring>
#include <filesystem>

#include "libgenossm/base/mapped_file.h"
#include "libgenossm/base/sha256.h"
#include "libgenossm/checkpoint/safetensors.h"
#include "libgenossm/output/little.h"
#include "libgenossm/output/safetensors_file.h"

namespace genossm {
namespace {

namespace fs = std::filesystem;

void add(Sha256& sum, std::string_view text) { sum.update(std::as_bytes(std::span(text))); }

std::string digest(const std::vector<float>& values) {
  Sha256 sum;
  sum.update(std::as_bytes(std::span(values)));
  return sum.hex();
}

}  // namespace

std::string FeatureCache::path_of(const std::string& key) const {
  Sha256 sum;
  add(sum, key);
  return (fs::path(folder_) / (sum.hex() + ".safetensors")).string();
}

std::optional<FeatureRows> FeatureCache::find(const std::string& key, Index rows) const {
  if (folder_.empty()) return std::nullopt;
  const std::string path = path_of(key);
  std::error_code none;
  if (!fs::is_regular_file(path, none)) return std::nullopt;
  try {
    const MappedFile file = MappedFile::open(path);
    const SafetensorsHeader header = parse_safetensors(file.bytes(), path);
    const auto kept = header.metadata.find("key");
    if (kept == header.metadata.end() || kept->second != key || header.tensors.size() != 1 ||
        header.tensors[0].dtype != DType::f32 || header.tensors[0].shape.size() != 2 ||
        header.tensors[0].shape[0] != rows) {
      return std::nullopt;
    }
    FeatureRows out;
    out.columns = header.tensors[0].shape[1];
    out.values.resize(static_cast<std::size_t>(header.tensors[0].elements()));
    if (out.values.empty()) return std::nullopt;
    std::memcpy(out.values.data(), file.bytes().data() + header.begin[0],
                out.values.size() * sizeof(float));
    const auto sum = header.metadata.find("sha256");
    if (sum == header.metadata.end() || sum->second != digest(out.values)) return std::nullopt;
    return out;
  } catch (const Error&) {
    return std::nullopt;  // damaged: computed anew and replaced
  }
}

bool FeatureCache::store(const std::string& key, const FeatureRows& features) const {
  if (folder_.empty()) return true;
  std::error_code error;
  fs::create_directories(folder_, error);
  try {
    const FeatureTable table = features.table();
    write_safetensors(
        path_of(key), true, {{"key", key}, {"sha256", digest(features.values)}},
        {{"features", DType::f32, {table.rows, table.columns}, bytes_of(features.values)}});
  } catch (const Error&) {
    return false;
  }
  return true;
}

std::string feature_key(const OpenedModel& model, const HeadRecipe& recipe,
                        const std::vector<std::string_view>& sequences,
                        const std::string& machine) {
  Sha256 sum;
  for (const std::string_view sequence : sequences) {
    add(sum, std::to_string(sequence.size()) + "\n");
    add(sum, sequence);
  }
  return json_line({{"features", "2"},
                    {"machine", json_text(machine)},
                    {"device", json_text(model.model.card().cuda ? "cuda" : "cpu")},
                    {"model_sha256", json_text(model.sha256)},
                    {"precision", json_text(name_of(model.model.card().precision))},
                    {"recipe", recipe_json(recipe)},
                    {"sequences", std::to_string(sequences.size())},
                    {"sequences_sha256", json_text(sum.hex())}});
}

}  // namespace genossm
