// Token ids from a .npy file: one dimension, int64 or int32, little-endian.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/core/view.h"

namespace genossm {

// Throws Fault::missing or Fault::input with what was found.
std::vector<std::int32_t> read_token_ids(const std::string& path);
// Throws Fault::input where an id is not a row of the model's table; `name` begins the sentence.
void check_token_ids(const std::string& name, const std::vector<std::int32_t>& ids, Index vocab);

}  // namespace genossm
