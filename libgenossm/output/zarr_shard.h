// The chunks of a Zarr store that the parts of a job (--shard) fill themselves.
//
// All parts of one job share the folder OUT.shards-JOB beside them: each writes there the chunks
// whose rows are all its own, so no two parts ever write the same file. In the part itself stand
// the labels, the checksums of its chunks, and the rows of the chunks at its two ends, which belong
// to its neighbours as well and which merge puts together.
#pragma once

#include <functional>

#include "libgenossm/output/journal.h"
#include "libgenossm/output/writer.h"

namespace genossm {

// A chunk in the folder of the parts.
struct StandingChunk {
  Index number = 0;  // of the store
  std::uint64_t bytes = 0;
  std::uint32_t crc = 0;
};

// A matrix some of whose rows stand in chunks already.
class ChunkedMatrix : public MatrixWriter {
 public:
  // The next n rows of the record are in a chunk that comes after them.
  virtual void standing_rows(Index n) = 0;
  // Throws Fault::missing, Fault::input where `folder`, that of the part, does not hold it as it
  // was written, or where other rows come before it.
  virtual void standing_chunk(const StandingChunk& chunk, const std::string& folder) = 0;
};
std::unique_ptr<ChunkedMatrix> open_zarr_merge(const OutputRequest& request,
                                               const MatrixSpec& spec);

// The folder's name, for parts of `output` with these facts; the shard's own number left out.
std::string shard_folder(const std::string& output, const Facts& facts);

// Makes the part out of the finished journal of a shard: what `replay` gives are its frames,
// `first_row` is the row of the whole matrix that it begins at. The chunks are on the disk before
// `part`, which is only added to. Throws Fault::output.
void write_zarr_shard(
    const std::function<void(const std::function<void(std::string_view)>&)>& replay,
    const MatrixSpec& spec, Index first_row, const std::string& folder, Journal& part);

}  // namespace genossm
