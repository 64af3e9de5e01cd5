// Tracks as a matrix with one row a base.
#include "libgenossm/output/matrix_writers.h"
#include "libgenossm/output/track_writers.h"

namespace genossm {
namespace {

class TrackNpz final : public TrackWriter {
 public:
  TrackNpz(const OutputRequest& request, const TrackSpec& spec) {
    MatrixSpec matrix;
    matrix.columns = static_cast<Index>(spec.tracks.size());
    matrix.per_base = true;
    matrix.provenance = spec.provenance;
    matrix.name = "scores";
    matrix.column_names = spec.tracks;
    matrix_ = open_npz(request, matrix);
  }

  void begin_record(const RowLabel& label) override { matrix_->begin_record(label); }
  void rows(const TrackRows& rows) override { matrix_->rows(rows.values); }
  void end_record() override { matrix_->end_record(); }
  void finish() override { matrix_->finish(); }

 private:
  std::unique_ptr<MatrixWriter> matrix_;
};

}  // namespace

std::unique_ptr<TrackWriter> write_track_npz(const OutputRequest& request, const TrackSpec& spec) {
  return std::make_unique<TrackNpz>(request, spec);
}

}  // namespace genossm
