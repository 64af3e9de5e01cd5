// The classify job: sequences in, a class and its probability for each out; or the same alignments
// with the class as a tag.
#pragma once

#include <optional>
#include <string>

#include "libgenossm/jobs/head_file.h"

namespace genossm {

// How the results of the windows of one sequence become one.
enum class Combine {
  mean,
  max,  // the largest of each class, then divided by their sum
};
Combine parse_combine(const std::string& text);  // "mean", "max"; Fault::usage

// The classification head of a checkpoint (caduceus.md section 8, hyenadna.md section 4).
struct OwnHeadOptions {
  // Mean or max, over the rows of special tokens too; empty: mean, or what the head is for.
  PoolParts pool;
  bool conjoin = false;  // average over both strands; strand-sharing models always do
  bool special_tokens = true;
};

struct ClassifyOptions {
  SourceOptions source;
  RunOptions run;
  std::optional<HeadFile> head;  // none: the checkpoint's own
  OwnHeadOptions own;
  // Sequences longer than this are cut into windows of this many bases, `run.stride` apart (the
  // last one ends where the sequence ends). 0: the longest training sequence of the head; for a
  // checkpoint's own head the model's context.
  Index window = 0;
  Combine combine = Combine::mean;
  bool per_window = false;  // a row a window
  Index top = 0;            // columns of the `top` most probable classes; 0: of all classes
  double min_prob = 0;      // below it the class is "."
  bool logits = false;      // of a checkpoint's own head, before the softmax
  OutputRequest output;     // tsv, tsv.gz; from alignments also sam, bam
  Provenance provenance;
  std::string version, command;  // for @PG; empty: none
};

// Throws Fault::usage for options that make no sense together, Fault::checkpoint without any head.
JobReport classify(const OpenedModel& model, Device& device, const ClassifyOptions& options);

}  // namespace genossm
