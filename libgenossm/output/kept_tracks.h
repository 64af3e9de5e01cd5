// KeptTracks and KeptTable: tracks and lines that go to a journal first and to their file at the
// end, as KeptMatrix has it.
#pragma once

#include <memory>
#include <vector>

#include "libgenossm/output/journal.h"
#include "libgenossm/output/tracks.h"
#include "libgenossm/output/tsv.h"

namespace genossm {

class KeptTracks final : public TrackWriter {
 public:
  KeptTracks(std::unique_ptr<TrackWriter> file, const TrackSpec& spec, Journal& journal)
      : file_(std::move(file)), spec_(spec), journal_(journal) {}
  void begin_record(const RowLabel& label) override;
  void rows(const TrackRows& rows) override;
  void end_record() override;
  void finish() override;

 private:
  std::unique_ptr<TrackWriter> file_;
  TrackSpec spec_;
  Journal& journal_;
};

class KeptTable final : public TableWriter {
 public:
  KeptTable(std::unique_ptr<TableWriter> file, Journal& journal)
      : file_(std::move(file)), journal_(journal) {}
  void line(std::string_view text) override;
  void finish() override;

 private:
  std::unique_ptr<TableWriter> file_;
  Journal& journal_;
};

// Frames to a writer of the same spec.
void replay_tracks(std::string_view frames, const TrackSpec& spec, TrackWriter& to);
void replay_lines(std::string_view frames, TableWriter& to);

// The specs as facts, and back.
Facts facts_of(const TrackSpec& spec);
TrackSpec track_spec(const Part& part);
Facts facts_of_table(const std::vector<std::string>& header_lines);
std::vector<std::string> table_header(const Part& part);

}  // namespace genossm
