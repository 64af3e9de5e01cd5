// Tracks: a few numbers for every base of every record.
//
// Where there is no number it is NaN, which tables write as nan and the formats of genome browsers
// leave out: missing stays missing.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "libgenossm/output/writer.h"

namespace genossm {

struct TrackSpec {
  std::vector<std::string> tracks;  // names of the columns
  bool ids = false;                 // bases are token ids
  std::string provenance;           // one line of JSON; empty: none is written
  // Of the reference, or the records themselves: bigWigs and hubs need all of them. Other formats
  // do without.
  std::vector<std::pair<std::string, Index>> contigs;
  std::string input, reference;  // bam: the file whose reads are written again
  std::string version, command;  // bam: for the @PG line; empty: none
  std::string assembly;          // hub: what genome browsers call the reference
};

struct TrackRows {
  View<const float, 2> values;             // [n, tracks]
  std::string_view bases;                  // n letters as they were read
  std::span<const std::int32_t> ids = {};  // instead
};

class TrackWriter {
 public:
  virtual ~TrackWriter() = default;
  // begin_record, rows of all its bases in order, end_record; again and again; finish. Whatever the
  // cut of the rows, the bytes are the same.
  virtual void begin_record(const RowLabel& label) = 0;
  virtual void rows(const TrackRows& rows) = 0;
  virtual void end_record() = 0;
  // Completes the output and gives it its name. Without it nothing is left.
  virtual void finish() = 0;
};

// tsv, tsv.gz, bedgraph, bedgraph.gz, bw, npz, bam; "hub" by its own option. Throws Fault::usage.
std::string track_type(const OutputRequest& request);
// Throws Fault::usage (type, tracks that the format has no room for), Fault::output.
std::unique_ptr<TrackWriter> open_tracks(const OutputRequest& request, const std::string& type,
                                         const TrackSpec& spec);
// The formats that need all contigs at the beginning.
bool needs_contigs(const std::string& track_type);

}  // namespace genossm
