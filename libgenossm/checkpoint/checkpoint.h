// Checkpoint: the config and the named tensors of a published model, whatever container it came in.
//
// open() takes a folder (config.json + weights: model.safetensors, model.safetensors.index.json with
// its shards, pytorch_model.bin, pytorch_model.bin.index.json, or one *.safetensors, *.pt, *.pth,
// *.bin, *.ckpt) or a weights file with config.json beside it. The form is told by content. Nothing
// in a file is ever executed, and no size from a file is used before it is checked.
// Errors: Fault::missing (4) when a file is not there, Fault::checkpoint (6) for everything else.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kernels/core/dtype.h"
#include "libgenossm/base/json.h"

namespace genossm {

// One tensor of a file: dense and row-major once read with values().
struct TensorInfo {
  std::string name;
  DType dtype = DType::f32;
  std::vector<Index> shape;
  Index elements() const;
};

// Where the tensors are. Implementations: safetensors (mapped), torch zip (mapped, strided views).
class TensorSource {
 public:
  virtual ~TensorSource() = default;
  virtual const std::vector<TensorInfo>& tensors() const = 0;
  // Converts tensor i to float32, row-major. Throws Fault::checkpoint for integer dtypes.
  virtual void read_f32(std::size_t i, std::span<float> out) const = 0;
  // Converts an integer tensor (I64, I32, I16, I8, U8, BOOL) to int64.
  virtual void read_i64(std::size_t i, std::span<std::int64_t> out) const = 0;
};

class Checkpoint {
 public:
  static Checkpoint open(const std::filesystem::path& path);

  const std::filesystem::path& folder() const { return folder_; }  // of the weights
  const std::filesystem::path& path() const { return path_; }      // as given
  const Json& config() const { return config_; }
  bool has_config() const { return has_config_; }
  const std::vector<TensorInfo>& tensors() const { return source_->tensors(); }
  const TensorSource& source() const { return *source_; }
  std::optional<std::size_t> find(std::string_view name) const;
  // Names of the weight files in the order read, for messages and the checksum.
  const std::vector<std::filesystem::path>& files() const { return files_; }
  // Warnings met while opening (opaque pickle values and the like).
  const std::vector<std::string>& warnings() const { return warnings_; }
  // SHA-256 over the weight files in order, hex. Computed on the first call.
  std::string sha256() const;

 private:
  std::filesystem::path path_, folder_;
  Json config_;
  bool has_config_ = false;
  std::shared_ptr<const TensorSource> source_;
  std::vector<std::filesystem::path> files_;
  std::vector<std::string> warnings_;
};

}  // namespace genossm
