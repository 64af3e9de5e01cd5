// Reads with their scores as tags.
#include <cmath>
#include <optional>

#include "kernels/core/error.h"
#include "libgenossm/io/reader.h"
#include "libgenossm/output/alignment_writer.h"
#include "libgenossm/output/track_writers.h"

namespace genossm {
namespace {

// The input is read a second time, record by record as their scores come; alignments that have none
// are written as they pass.
class TrackBam final : public TrackWriter {
 public:
  TrackBam(const OutputRequest& request, const TrackSpec& spec)
      : writer_(
            TaggedAlignments::open({request, "bam", spec.version, spec.command, {"gl", "gb"}})) {
    ReaderOptions options;
    options.reference = spec.reference;
    options.tap = writer_.get();
    reader_ = SequenceReader::open(spec.input, options);
    // The first read comes now, so that the output has its name from the beginning.
    more_ = reader_->next(record_);
  }

  void begin_record(const RowLabel& label) override {
    if (!first_) more_ = reader_->next(record_);
    first_ = false;
    if (!more_ || record_.name != label.name) {
      fail(Fault::input, "the alignments have changed while their reads were scored");
    }
    values_.clear();
  }

  void rows(const TrackRows& rows) override {
    for (Index i = 0; i < rows.values.extent[0]; ++i) values_.push_back(rows.values.row(i)[0]);
  }

  void end_record() override {
    double sum = 0;
    bool any = false;
    for (const float value : values_) {
      if (std::isnan(value)) continue;
      sum += value;
      any = true;
    }
    writer_->scores(any ? std::optional(static_cast<float>(sum)) : std::nullopt, values_);
  }

  void finish() override {
    // What comes after the last read.
    if (!first_ && reader_->next(record_)) {
      fail(Fault::input, "the alignments have changed while their reads were scored");
    }
    writer_->finish();
  }

 private:
  std::unique_ptr<TaggedAlignments> writer_;
  std::unique_ptr<SequenceReader> reader_;
  Record record_;
  bool more_ = false, first_ = true;
  std::vector<float> values_;
};

}  // namespace

std::unique_ptr<TrackWriter> write_track_bam(const OutputRequest& request, const TrackSpec& spec) {
  return std::make_unique<TrackBam>(request, spec);
}

}  // namespace genossm
