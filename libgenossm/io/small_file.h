// A whole file in memory, for what stands beside a FASTA file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace genossm {

// Nothing if it is not there, not a regular file, cannot be read, or holds more than `most` bytes.
std::optional<std::string> read_small_file(const std::string& path, std::uintmax_t most);

}  // namespace genossm
