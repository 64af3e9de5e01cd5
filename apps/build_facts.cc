#include "apps/build_facts.h"

#include <htslib/hts.h>
#include <hwy/highway.h>
#include <tbb/version.h>

#include <cstdio>
#include <dnnl.hpp>

#include "kernels/core/build.h"
#include "kernels/matmul/matmul.h"

namespace genossm {
namespace {

using Targets = decltype(hwy::SupportedTargets());

std::string chosen(const char* feature, bool there) {
  return std::string(feature) + (there ? " yes" : " no");
}

// Whether htslib A.B.C has the corrections of March 2026, which were made to three branches.
bool corrected(const std::string& version) {
  int major = 0, minor = 0, patch = 0;
  std::sscanf(version.c_str(), "%d.%d.%d", &major, &minor, &patch);
  if (major != 1) return major > 1;
  if (minor == 21) return patch >= 1;
  if (minor == 22) return patch >= 2;
  if (minor == 23) return patch >= 1;
  return minor > 23;
}

}  // namespace

std::string version() { return GENOSSM_VERSION; }

std::string simd_level() {
  // The best target is the lowest bit set.
  const auto targets = static_cast<std::uint64_t>(hwy::SupportedTargets());
  return hwy::TargetName(static_cast<Targets>(targets & (~targets + 1)));
}

std::string simd_levels() {
  std::string out;
  for (const auto target : hwy::SupportedAndGeneratedTargets()) {
    out += (out.empty() ? "" : ", ") + std::string(hwy::TargetName(target));
  }
  return out;
}

HtslibFacts htslib_facts() {
  HtslibFacts facts;
  facts.version = hts_version();
  facts.features = hts_feature_string();
  if (!corrected(facts.version)) {
    facts.holes =
        "versions below 1.21.1, 1.22.2 and 1.23.1 are listed for CVE-2026-31962 to -31971 (heap "
        "and stack writes by CRAM and .gzi files made for it): read such files of people you trust "
        "only, unless your distribution has corrected " +
        facts.version;
  }
  return facts;
}

std::string format_facts() {
  return chosen("HDF5 (.h5, .h5ad)", GENOSSM_HAS_HDF5) + ", " +
         chosen("bigWig (.bw, logo hubs)", GENOSSM_HAS_BIGWIG) + ", " +
         chosen("blosc (.zarr; else zlib)", GENOSSM_HAS_BLOSC);
}

std::string version_parts() {
  const dnnl_version_t* dnnl = dnnl_version();
  std::string out = "licence Apache-2.0\n";
  out += std::string("compiler ") +
#if defined(__clang__)
         "clang " __clang_version__ "\n";
#else
         "GCC " __VERSION__ "\n";
#endif
  const HtslibFacts htslib = htslib_facts();
  out += "htslib " + htslib.version + ", " + htslib.features + '\n';
  out += "oneDNN " + std::to_string(dnnl->major) + '.' + std::to_string(dnnl->minor) + '.' +
         std::to_string(dnnl->patch) + '\n';
  out += "oneTBB " + std::to_string(TBB_VERSION_MAJOR) + '.' + std::to_string(TBB_VERSION_MINOR) +
         '\n';
  out += "Highway " + std::to_string(HWY_MAJOR) + '.' + std::to_string(HWY_MINOR) + '.' +
         std::to_string(HWY_PATCH) + ", instruction set " + simd_level() + '\n';
  out += "formats " + format_facts() + '\n';
  out += std::string("CUDA engine ") + (build::has_cuda ? "yes" : "no") + '\n';
  out += std::string("bfloat16 matrix products ") + (cpu_has_bf16() ? "in hardware" : "emulated");
  return out;
}

}  // namespace genossm
