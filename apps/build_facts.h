// What this program was built from and what it runs on, for --version and the head of summaries.
#pragma once

#include <string>

namespace genossm {

std::string version();        // "0.1.0"
std::string version_parts();  // one line a part: libraries, instruction set
std::string simd_level();     // the instruction set that the kernels chose, e.g. "AVX3_ZEN4"

}  // namespace genossm
