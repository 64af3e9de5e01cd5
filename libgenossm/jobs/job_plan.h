// What a job would do: counted and measured without doing it.
#pragma once

#include <string>

#include "libgenossm/jobs/job.h"
#include "libgenossm/output/writer.h"

namespace genossm {

struct JobPlan {
  Index records = 0, bases = 0, windows = 0, tokens = 0;  // of this part of the job
  Index rows = 0, columns = 0;                            // of the output; columns 0: text alone
  std::string type;
  Index output_bytes = 0;   // about; containers that compress take less
  Index journal_bytes = 0;  // beside the output at the end; 0: none is kept
  Plan plan;
  double tokens_per_s = 0;  // measured, a moment ago
  double seconds = 0;       // expected
};

// The lengths of all records in order. Throws Fault::usage for streams.
std::vector<Index> lengths_of(const SourceOptions& options, Survey& found);
// Windows of a record that report of bases [begin, end), and the tokens in them, `around` more
// each.
void count_windows(JobPlan& plan, Index length, Index window, Index stride, bool two_way,
                   const RecordShare& part, Index around);
// Bytes of `values` values as the type has them, and of `labels` labels of `label_bytes` in all.
Index bytes_of_output(const std::string& type, Element element, Index values, Index labels,
                      Index label_bytes);
// Adds to the peak what stands in memory beside the model and its lanes: the program, and a segment
// of the journal.
void add_own_memory(JobPlan& plan);
// Measures the model for a moment and fills in tokens_per_s and seconds. `passes`: over each token.
void expect_time(JobPlan& plan, const OpenedModel& model, Device& device, const RunOptions& run,
                 Index window, Index passes);

}  // namespace genossm
