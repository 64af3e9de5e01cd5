#include "libgenossm/output/safetensors_file.h"

#include <nlohmann/json.hpp>

#include "kernels/core/error.h"
#include "libgenossm/output/atomic_file.h"
#include "libgenossm/output/little.h"
#include "libgenossm/output/unicode.h"

namespace genossm {

struct SafetensorsOutputHeader::Json {
  nlohmann::ordered_json value = nlohmann::ordered_json::object();
};

SafetensorsOutputHeader::SafetensorsOutputHeader() : json_(std::make_unique<Json>()) {}
SafetensorsOutputHeader::SafetensorsOutputHeader(SafetensorsOutputHeader&&) noexcept = default;
SafetensorsOutputHeader::~SafetensorsOutputHeader() = default;

void SafetensorsOutputHeader::note(const std::string& key, std::string_view value) {
  json_->value["__metadata__"][key] = to_utf8(value);
}

void SafetensorsOutputHeader::add(const std::string& name, DType type,
                                  const std::vector<Index>& shape, std::uint64_t bytes) {
  json_->value[name] = {
      {"dtype", name_of(type)}, {"shape", shape}, {"data_offsets", {at_, at_ + bytes}}};
  at_ += bytes;
}

std::string SafetensorsOutputHeader::text(std::size_t size) const {
  std::string json = json_->value.dump();
  if (size == 0) size = (8 + json.size() + 7) / 8 * 8;
  require(8 + json.size() <= size, Fault::internal,
          "safetensors: the header has outgrown its room");
  json.resize(size - 8, ' ');
  std::string out;
  put_little(out, std::uint64_t{json.size()});
  return out + json;
}

void write_safetensors(const std::string& path, bool force,
                       const std::vector<std::pair<std::string, std::string>>& metadata,
                       const std::vector<OutputTensor>& tensors) {
  AtomicFile file(path, force);
  SafetensorsOutputHeader header;
  for (const auto& [key, value] : metadata) header.note(key, value);
  for (const OutputTensor& tensor : tensors) {
    header.add(tensor.name, tensor.type, tensor.shape, tensor.bytes.size());
  }
  file.write(header.text(0));
  for (const OutputTensor& tensor : tensors) file.write(tensor.bytes);
  file.publish();
}

}  // namespace genossm
