// A checkpoint in several files, with an index that says which tensor is where
// (model.safetensors.index.json, pytorch_model.bin.index.json).
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "libgenossm/checkpoint/tensor_info.h"

namespace genossm {

// Adds the shards to `files`, by name. Each is a plain name in the folder of the index; a missing
// one, a tensor in two of them, one that is listed and absent or present and not listed are
// Error{Fault::checkpoint}.
std::shared_ptr<const TensorSource> open_shards(const std::filesystem::path& index,
                                                std::vector<std::filesystem::path>& files,
                                                std::vector<std::string>& warnings);

}  // namespace genossm
