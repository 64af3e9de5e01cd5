// In the place of big_wig.cc and logo_hub.cc where the build is without libBigWig.
#include "kernels/core/error.h"
#include "libgenossm/output/track_writers.h"

namespace genossm {

std::unique_ptr<TrackWriter> write_big_wig(const OutputRequest& request, const TrackSpec&) {
  fail(Fault::usage, request.path +
                         ": this build is without bigWig (GENOSSM_BIGWIG); write "
                         "bedgraph, which bedGraphToBigWig converts");
}

std::unique_ptr<TrackWriter> write_logo_hub(const OutputRequest& request, const TrackSpec&) {
  fail(Fault::usage, request.path + ": this build is without bigWig (GENOSSM_BIGWIG)");
}

}  // namespace genossm
