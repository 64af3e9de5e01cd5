// The header of a .npy file (NumPy Enhancement Proposal 1, version 1.0).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "libgenossm/output/writer.h"

namespace genossm {

// Every header takes so many bytes, whatever its numbers: room can be left for it before the number
// of rows is known, and the data stand aligned to 64 bytes, as numpy wants.
inline constexpr std::size_t kNpyHeader = 128;

// `type` as numpy writes it: "<f4", "<i8", "<U12". No shape: one value of no dimension.
std::string npy_header(std::string_view type, const std::vector<Index>& shape);

// "<f4" or "<f2"; numpy has no bf16.
std::string_view npy_type(Element element);

}  // namespace genossm
