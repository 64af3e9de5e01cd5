// Tracks as text: tables and bedGraphs.
#include <cmath>
#include <cstring>

#include "libgenossm/output/number_text.h"
#include "libgenossm/output/text_file.h"
#include "libgenossm/output/track_writers.h"
#include "libgenossm/output/unicode.h"

namespace genossm {
namespace {

class TrackTable final : public TrackWriter {
 public:
  TrackTable(const OutputRequest& request, const TrackSpec& spec, bool compressed)
      : ids_(spec.ids), file_(request.path, request.force, compressed, request.threads) {
    if (!spec.provenance.empty()) file_.line("##genossm=" + spec.provenance);
    std::string columns = "#contig\tpos\tbase";
    for (const std::string& track : spec.tracks) columns += '\t' + track;
    file_.line(columns);
  }

  void begin_record(const RowLabel& label) override {
    const TrackPlace place = place_of(label);
    start_ = place.contig + '\t';
    position_ = place.begin;
  }

  void rows(const TrackRows& rows) override {
    for (Index i = 0; i < rows.values.extent[0]; ++i) {
      const auto k = static_cast<std::size_t>(i);
      line_.assign(start_).append(std::to_string(++position_)).append("\t");
      if (ids_) {
        line_ += std::to_string(rows.ids[k]);
      } else {
        line_ += rows.bases[k];
      }
      for (Index t = 0; t < rows.values.extent[1]; ++t) {
        line_ += '\t';
        put_number(line_, rows.values.row(i)[t]);
      }
      file_.line(line_);
    }
  }

  void end_record() override {}
  void finish() override { file_.publish(); }

 private:
  bool ids_;
  TextFile file_;
  std::string start_, line_;
  Index position_ = 0;  // of the last base written, 1-based
};

class BedGraph final : public TrackWriter {
 public:
  BedGraph(const OutputRequest& request, const TrackSpec& spec, bool compressed)
      : file_(request.path, request.force, compressed, request.threads) {
    // Browsers know comments by their #.
    if (!spec.provenance.empty()) file_.line("#genossm=" + spec.provenance);
    file_.line("track type=bedGraph name=\"" + spec.tracks[0] + "\"");
  }

  void begin_record(const RowLabel& label) override {
    const TrackPlace place = place_of(label);
    start_ = to_field(place.contig) + '\t';
    at_ = begin_ = place.begin;
    value_ = std::nanf("");
  }

  void rows(const TrackRows& rows) override {
    for (Index i = 0; i < rows.values.extent[0]; ++i, ++at_) {
      const float value = rows.values.row(i)[0];
      if (std::memcmp(&value, &value_, sizeof value) == 0) continue;
      put();
      begin_ = at_;
      value_ = value;
    }
  }

  void end_record() override { put(); }
  void finish() override { file_.publish(); }

 private:
  void put() {
    if (begin_ == at_ || std::isnan(value_)) return;
    line_.assign(start_).append(std::to_string(begin_)).append("\t");
    line_.append(std::to_string(at_)).append("\t");
    put_number(line_, value_);
    file_.line(line_);
  }

  TextFile file_;
  std::string start_, line_;
  Index begin_ = 0, at_ = 0;  // of the run of equal values
  float value_ = 0;
};

}  // namespace

std::unique_ptr<TrackWriter> write_track_table(const OutputRequest& request, const TrackSpec& spec,
                                               bool compressed) {
  return std::make_unique<TrackTable>(request, spec, compressed);
}

std::unique_ptr<TrackWriter> write_bedgraph(const OutputRequest& request, const TrackSpec& spec,
                                            bool compressed) {
  return std::make_unique<BedGraph>(request, spec, compressed);
}

}  // namespace genossm
