// PyTorch zip files (.bin, .pt, .pth, .ckpt): a ZIP of stored members, one of which is a pickle
// that describes tensors as strided views of the others.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "libgenossm/base/mapped_file.h"
#include "libgenossm/checkpoint/tensor_info.h"

namespace genossm {

// Adds what was passed over to `warnings`. Throws Error{Fault::checkpoint}.
std::shared_ptr<const TensorSource> open_torch_file(MappedFile file,
                                                    std::vector<std::string>& warnings);

}  // namespace genossm
