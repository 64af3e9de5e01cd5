// Labelled sequences: what a classifier is trained and tested on.
//
//   TSV (plain, gzip, bgzip, "-"): the first line names the columns, in any order; one of them
//   holds
//     the sequence, one the label, one (if there) an id;
//   FASTA, FASTQ, SAM, BAM, CRAM with a table of names and labels, or FASTA and FASTQ with the
//   label
//     as the first word after the name;
//   BED and a reference: the label stands in a column.
//
// Errors: Fault::missing, Fault::input with the line: a column that is not there, an empty sequence
// or label, letters that are no nucleotide codes, a record without a label, a name with two labels;
// a file without records.
#pragma once

#include <string>
#include <vector>

#include "libgenossm/io/reader.h"

namespace genossm {

struct LabelledRecord {
  std::string name;  // "" in a TSV without an id column
  std::string bases;
  std::string label;
  std::string place;  // "train.tsv:12", for messages
};

struct LabelledOptions {
  std::string path;
  std::string labels;     // table "name<TAB>label" for sequence files, without or with a first line
                          // that names the columns
  std::string reference;  // given: `path` is BED (or CRAM, if labels are given)
  bool clip = false;      // BED only
  std::string sequence_column = "sequence", id_column = "id";
  // TSV: a column's name. BED: its number from 1; empty: 4.
  std::string label_column;
};

struct LabelledSet {
  std::vector<LabelledRecord> records;
  ReadTally tally;
};

LabelledSet read_labelled(const LabelledOptions& options);

}  // namespace genossm
