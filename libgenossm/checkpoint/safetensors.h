// safetensors: 8 bytes of header length, a JSON header, the data.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "libgenossm/base/checked.h"
#include "libgenossm/base/mapped_file.h"
#include "libgenossm/checkpoint/tensor_info.h"

namespace genossm {

struct SafetensorsHeader {
  std::vector<TensorInfo> tensors;              // in the order of the header
  std::vector<std::uint64_t> begin;             // of each tensor, from the start of the file
  std::map<std::string, std::string> metadata;  // __metadata__
};

// A pure function of the bytes, read no further than the header. Strict: the header begins with {
// and ends with } or spaces, no name or key stands twice, and the tensors cover the data without a
// gap or an overlap. Throws Error{Fault::checkpoint}; `origin` begins every message.
SafetensorsHeader parse_safetensors(Bytes file, const std::string& origin);

std::shared_ptr<const TensorSource> open_safetensors(MappedFile file);

}  // namespace genossm
