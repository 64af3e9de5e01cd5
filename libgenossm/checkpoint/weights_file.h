// One file of weights, whatever its form.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "libgenossm/checkpoint/tensor_info.h"

namespace genossm {

// The form is told by the first bytes. Adds what was passed over to `warnings`. Throws
// Error{Fault::missing} if the file cannot be read, Error{Fault::checkpoint} if it is refused.
std::shared_ptr<const TensorSource> open_weights_file(const std::filesystem::path& path,
                                                      std::vector<std::string>& warnings);

}  // namespace genossm
