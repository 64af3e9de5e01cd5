#include "libgenossm/output/tracks.h"

#include "kernels/core/error.h"
#include "libgenossm/output/label_table.h"
#include "libgenossm/output/track_writers.h"

namespace genossm {

TrackPlace place_of(const RowLabel& label) {
  if (has_region(label)) return {label.contig, label.begin};
  return {label.name, 0};
}

std::string track_type(const OutputRequest& request) {
  return output_type(request, {"tsv", "tsv.gz", "bedgraph", "bedgraph.gz", "bw", "npz", "bam"},
                     "tsv");
}

bool needs_contigs(const std::string& type) { return type == "bw" || type == "hub"; }

std::unique_ptr<TrackWriter> open_tracks(const OutputRequest& request, const std::string& type,
                                         const TrackSpec& spec) {
  const bool single = type.starts_with("bedgraph") || type == "bw" || type == "bam";
  if (single && spec.tracks.size() != 1) {
    fail(Fault::usage, type + " holds one track; give one by --track, or write tsv or npz");
  }
  if (spec.ids && (single || type == "hub")) {
    fail(Fault::usage, type + " speaks of bases; token ids have no place there. Write tsv or npz");
  }
  if (type == "bam") return write_track_bam(request, spec);
  if (type == "npz") return write_track_npz(request, spec);
  if (type == "bw") return write_big_wig(request, spec);
  if (type == "hub") return write_logo_hub(request, spec);
  if (type.starts_with("bedgraph")) return write_bedgraph(request, spec, type == "bedgraph.gz");
  return write_track_table(request, spec, type == "tsv.gz");
}

}  // namespace genossm
