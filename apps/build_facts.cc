#include "apps/build_facts.h"

#include <htslib/hts.h>
#include <hwy/highway.h>
#include <tbb/version.h>

#include <dnnl.hpp>

#include "kernels/matmul/matmul.h"

namespace genossm {

std::string version() { return GENOSSM_VERSION; }

std::string simd_level() {
  // The best target is the lowest bit set.
  const auto targets = static_cast<std::uint64_t>(hwy::SupportedTargets());
  return hwy::TargetName(static_cast<decltype(hwy::SupportedTargets())>(targets & (~targets + 1)));
}

std::string version_parts() {
  const dnnl_version_t* dnnl = dnnl_version();
  std::string out;
  out += std::string("htslib ") + hts_version() + '\n';
  out += "oneDNN " + std::to_string(dnnl->major) + '.' + std::to_string(dnnl->minor) + '.' +
         std::to_string(dnnl->patch) + '\n';
  out += "oneTBB " + std::to_string(TBB_VERSION_MAJOR) + '.' + std::to_string(TBB_VERSION_MINOR) +
         '\n';
  out += "Highway " + std::to_string(HWY_MAJOR) + '.' + std::to_string(HWY_MINOR) + '.' +
         std::to_string(HWY_PATCH) + ", instruction set " + simd_level() + '\n';
  out += std::string("bfloat16 matrix products ") + (cpu_has_bf16() ? "in hardware" : "emulated");
  return out;
}

}  // namespace genossm
