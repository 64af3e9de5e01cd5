// KeptMatrix: a matrix whose rows go to a journal first and to their file at the end.
#pragma once

#include <memory>

#include "libgenossm/output/elements.h"
#include "libgenossm/output/journal.h"
#include "libgenossm/output/writer.h"
#include "libgenossm/output/zarr_shard.h"

namespace genossm {

class KeptMatrix final : public MatrixWriter {
 public:
  // `file` is open, which keeps its name; none: a part of a job is made, and finish() leaves the
  // journal to the caller. Records may be begun or ended by other parts.
  KeptMatrix(std::unique_ptr<MatrixWriter> file, const MatrixSpec& spec, Journal& journal);

  void begin_record(const RowLabel& label) override;
  void rows(View<const float, 2> rows) override;
  void end_record() override;
  void finish() override;

 private:
  std::unique_ptr<MatrixWriter> file_;
  MatrixSpec spec_;
  Journal& journal_;
  ElementEncoder encoder_;
};

// Gives the frames of a journal to a writer of a matrix of the same spec.
class MatrixReplay {
 public:
  MatrixReplay(MatrixWriter& to, const MatrixSpec& spec) : to_(to), spec_(spec) {}
  // Of a part some of whose chunks stand in `folder`.
  MatrixReplay(ChunkedMatrix& to, const MatrixSpec& spec, std::string folder)
      : to_(to), chunks_(&to), spec_(spec), folder_(std::move(folder)) {}
  void operator()(std::string_view frames);

 private:
  MatrixWriter& to_;
  ChunkedMatrix* chunks_ = nullptr;
  MatrixSpec spec_;
  std::string folder_;
  std::vector<float> row_;
};

// The spec as facts of a journal, and back.
Facts facts_of(const MatrixSpec& spec);
MatrixSpec matrix_spec(const Part& part);

}  // namespace genossm
