// The trace job: what the recurrences of a model do along a sequence, base by base (docs/trace.md).
//
// One-way models are read as a stream, chunk by chunk, in the same memory for any length; two-way
// models see a whole record, both directions of which are traced.
#pragma once

#include "libgenossm/jobs/job.h"
#include "libgenossm/output/writer.h"

namespace genossm {

// With d[c] the step sizes of a token, A[n, c] the rates, h the state, x the residual stream:
enum class TraceTrack {
  delta,       // the mean of d
  half_life,   // bases: ln 2 / (d |A|), the geometric mean over all n and c
  slowest,     // bases: the longest of these
  state_norm,  // the Euclidean norm of h
  memory,      // bases: M[t] = 1 + exp(d A) M[t-1] from M = 0, the mean over all n and c
  stream,      // the root mean square of x after the block; of every model
};

std::vector<TraceTrack> parse_trace_tracks(const std::string& text);  // Fault::usage
std::string_view name_of(TraceTrack track);

struct TraceOptions {
  SourceOptions source;
  RunOptions run;
  std::vector<TraceTrack> tracks;
  std::vector<Index> layers;  // 1 to the number of blocks; empty: all that have what is asked for
  OutputRequest output;
  std::string plot;  // an SVG; empty: none
  Provenance provenance;
  bool header = true;
};

// The first place where something is not finite is named among the warnings (with run.strict it is
// Fault::input). Throws Fault::usage for tracks that the model does not have, and for records
// longer than a two-way model's window; Fault::device on a GPU.
JobReport trace(const OpenedModel& model, Device& device, const TraceOptions& options);

}  // namespace genossm
