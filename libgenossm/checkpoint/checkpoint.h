// Checkpoint: the config and the named tensors of a published model, whatever container it came in.
//
// open() takes a folder (config.json + weights: model.safetensors, model.safetensors.index.json
// with its shards, pytorch_model.bin, pytorch_model.bin.index.json, or one *.safetensors, *.pt,
// *.pth, *.bin, *.ckpt; of several the only one that is called model, pytorch_model, weights,
// checkpoint, ckpt or last) or a weights file or index with config.json beside it. A file may be
// cut into NAME.part0, NAME.part1 and so on. The form is told by content. Nothing in a file is ever
// executed, and no size from a file is used before it is checked. Errors: Fault::missing (4) when
// there is nothing to open or it cannot be read, Fault::checkpoint (6) for everything else, an
// incomplete set of shards among it.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "libgenossm/base/json.h"
#include "libgenossm/checkpoint/tensor_info.h"

namespace genossm {

class Checkpoint {
 public:
  static Checkpoint open(const std::filesystem::path& path);

  const std::filesystem::path& folder() const { return folder_; }  // of the weights
  // The name of the weights file or of the index, for messages.
  const std::string& label() const { return label_; }
  const std::filesystem::path& path() const { return path_; }  // as given
  const Json& config() const { return config_; }
  bool has_config() const { return has_config_; }
  const std::vector<TensorInfo>& tensors() const { return source_->tensors(); }
  const TensorSource& source() const { return *source_; }
  std::optional<std::size_t> find(std::string_view name) const;
  // Names of the weight files in the order read, for messages and the checksum.
  const std::vector<std::filesystem::path>& files() const { return files_; }
  // Warnings met while opening (opaque pickle values and the like).
  const std::vector<std::string>& warnings() const { return warnings_; }
  // SHA-256 over the bytes of the weight files in order, hex: for a single file, what sha256sum
  // says. Computed on the first call.
  std::string sha256() const;

 private:
  struct Digest;

  void open_weights(const std::filesystem::path& weights);

  std::filesystem::path path_, folder_;
  std::string label_;
  Json config_;
  bool has_config_ = false;
  std::shared_ptr<const TensorSource> source_;
  std::unordered_map<std::string_view, std::size_t> places_;  // keys lie in source_
  std::vector<std::filesystem::path> files_;
  std::vector<std::string> warnings_;
  std::shared_ptr<Digest> digest_;
};

}  // namespace genossm
