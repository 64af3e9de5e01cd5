// One file of weights, whatever its form.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "libgenossm/checkpoint/tensor_info.h"

namespace genossm {

// Whether `path` is cut into PATH.part0, PATH.part1 and so on instead of being there itself.
bool is_in_parts(const std::filesystem::path& path);
// Those files.
std::vector<std::filesystem::path> parts_of(const std::filesystem::path& path);

// The form is told by the first bytes; a file in parts is read as one. Adds what was passed over to
// `warnings`. Throws Error{Fault::missing} if the file cannot be read, Error{Fault::checkpoint} if
// it is refused.
std::shared_ptr<const TensorSource> open_weights_file(const std::filesystem::path& path,
                                                      std::vector<std::string>& warnings);

}  // namespace genossm
