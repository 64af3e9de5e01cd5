// The directory of a ZIP file whose members are stored, not compressed: the outer form of PyTorch
// checkpoints.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libgenossm/base/checked.h"

namespace genossm {

struct ZipMember {
  std::string name;
  std::uint64_t offset = 0;  // of its first byte in the file
  std::uint64_t size = 0;
  std::uint32_t crc = 0;
};

// The members in the order of the file. A pure function of the bytes. Strict, because readers that
// disagree about a ZIP file are how scanners are deceived: the end record closes the file, members
// are stored and unencrypted, local headers agree with the directory, names are unique and stay
// below the root, and no two members share a byte. Throws Error{Fault::checkpoint}.
std::vector<ZipMember> read_zip(Bytes file, const std::string& origin);

// Throws Error{Fault::checkpoint} unless the member's bytes have the CRC-32 that the directory
// says.
void check_crc(Bytes file, const ZipMember& member, const std::string& origin);

}  // namespace genossm
