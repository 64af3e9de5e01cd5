// The writers behind open_tracks, one a format.
#pragma once

#include <memory>

#include "libgenossm/output/tracks.h"

namespace genossm {

// contig, position (1-based), base, a column a track.
std::unique_ptr<TrackWriter> write_track_table(const OutputRequest& request, const TrackSpec& spec,
                                               bool compressed);
// contig, start, end (0-based, end exclusive), value; neighbours with one value share a line.
std::unique_ptr<TrackWriter> write_bedgraph(const OutputRequest& request, const TrackSpec& spec,
                                            bool compressed);
// scores [bases, tracks], names, lengths, offsets, places, provenance.
std::unique_ptr<TrackWriter> write_track_npz(const OutputRequest& request, const TrackSpec& spec);
// bigWig with zoom levels. Records must stand in the order of the contigs and not overlap
// (Fault::input).
std::unique_ptr<TrackWriter> write_big_wig(const OutputRequest& request, const TrackSpec& spec);
// A folder for genome browsers: a bigWig a track, hub.txt, genomes.txt, trackDb.txt.
std::unique_ptr<TrackWriter> write_logo_hub(const OutputRequest& request, const TrackSpec& spec);
// Every alignment of the input again, reads with gl:f (the sum over the bases) and gb:B:f (a value
// a base, as sequenced; NaN where there is none).
std::unique_ptr<TrackWriter> write_track_bam(const OutputRequest& request, const TrackSpec& spec);

// Where a record lies: its region, or itself.
struct TrackPlace {
  std::string contig;
  Index begin = 0;
};
TrackPlace place_of(const RowLabel& label);

}  // namespace genossm
