// Little-endian elements of a file to the types that are computed with. Sources need no alignment.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/core/dtype.h"

namespace genossm {

// `count` elements from `from`, `stride` elements apart (0 or more). Floating types only.
void convert_to_f32(DType type, const std::byte* from, Index stride, Index count, float* to);
// Integer types and BOOL only.
void convert_to_i64(DType type, const std::byte* from, Index stride, Index count, std::int64_t* to);

}  // namespace genossm
