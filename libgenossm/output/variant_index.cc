#include <htslib/tbx.h>
#include <htslib/vcf.h>

#include "kernels/core/error.h"
#include "libgenossm/output/variant_writers.h"

namespace genossm {

VariantIndex::VariantIndex(const OutputRequest& request, const std::string& type)
    : file_(request.path + "." + type, request.force), csi_(type == "csi") {}

void VariantIndex::build(const std::string& data, bool bcf) {
  constexpr int kCsiShift = 14;  // as bcftools
  const int shift = csi_ ? kCsiShift : 0;
  // htslib writes into the temporary file that we hold locked.
  const std::string& to = file_.temporary();
  const int result = bcf ? bcf_index_build3(data.c_str(), to.c_str(), shift, 0)
                         : tbx_index_build3(data.c_str(), to.c_str(), shift, 0, &tbx_conf_vcf);
  if (result != 0) {
    fail(Fault::input, file_.path() +
                           ": cannot be made: the records are not sorted by contig and position. "
                           "Sort them (bcftools sort), or leave out --write-index");
  }
}

}  // namespace genossm
