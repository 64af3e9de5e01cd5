// Token ids from a .npy file: one dimension, int64 or int32, little-endian.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace genossm {

// Throws Fault::missing or Fault::input with what was found.
std::vector<std::int32_t> read_token_ids(const std::string& path);

}  // namespace genossm
