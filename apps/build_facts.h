// What this program was built from and what it runs on, for --version, doctor and the head of
// summaries.
#pragma once

#include <string>

namespace genossm {

std::string version();        // "0.1.0"
std::string version_parts();  // one line a part: compiler, libraries, formats, instruction set
std::string simd_level();     // the instruction set that the kernels chose, e.g. "AVX3_ZEN4"
std::string simd_levels();    // all that this machine and the kernels have, the best first

struct HtslibFacts {
  std::string version;   // "1.16"
  std::string features;  // as htslib lists them: "libdeflate=yes bzip2=yes ..."
  // What is known to be wrong with that version when it reads files of strangers; "" for none.
  std::string holes;
};
HtslibFacts htslib_facts();

// Formats that a build may lack, as "HDF5 yes, bigWig yes, blosc no".
std::string format_facts();

}  // namespace genossm
