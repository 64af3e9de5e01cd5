#include "libgenossm/output/kept_tracks.h"

#include <charconv>
#include <cstring>

#include "kernels/core/error.h"
#include "libgenossm/output/frames.h"

namespace genossm {
namespace {

constexpr char kBegin = 'B', kRows = 'V', kEnd = 'E', kLine = 'L';

[[noreturn]] void refuse() {
  fail(Fault::input, "the journal was written by another version of genossm");
}

}  // namespace

void KeptTracks::begin_record(const RowLabel& label) {
  Packer frame;
  frame.number(kBegin);
  pack_label(frame, label);
  journal_.add(frame.bytes());
}

void KeptTracks::rows(const TrackRows& rows) {
  const Index n = rows.values.extent[0];
  if (n == 0) return;
  Packer head;
  head.number(kRows).number(n);
  journal_.add(head.bytes());
  if (spec_.ids) {
    journal_.add({reinterpret_cast<const char*>(rows.ids.data()), static_cast<std::size_t>(4 * n)});
  } else {
    journal_.add(rows.bases);
  }
  const auto columns = static_cast<Index>(spec_.tracks.size());
  const bool dense = rows.values.stride[0] == columns;
  const Index step = dense ? n : 1;
  for (Index i = 0; i < n; i += step) {
    journal_.add({reinterpret_cast<const char*>(rows.values.row(i)),
                  sizeof(float) * static_cast<std::size_t>(step * columns)});
  }
}

void KeptTracks::end_record() { journal_.add(Packer().number(kEnd).bytes()); }

void KeptTracks::finish() {
  if (!file_) return;
  journal_.replay([&](std::string_view frames) { replay_tracks(frames, spec_, *file_); });
  file_->finish();
  journal_.remove();
}

void replay_tracks(std::string_view frames, const TrackSpec& spec, TrackWriter& to) {
  Unpacker in(frames);
  const std::size_t columns = spec.tracks.size();
  std::vector<float> values;
  std::vector<std::int32_t> ids;
  while (!in.done()) {
    switch (in.number<char>()) {
      case kBegin:
        to.begin_record(unpack_label(in));
        break;
      case kRows: {
        const std::uint64_t n =
            in.count<std::uint64_t>((spec.ids ? 4 : 1) + columns * sizeof(float));
        TrackRows rows;
        const std::string_view letters = in.take(n * (spec.ids ? 4 : 1));
        if (spec.ids) {
          ids.resize(n);
          std::memcpy(ids.data(), letters.data(), letters.size());
          rows.ids = ids;
        } else {
          rows.bases = letters;
        }
        const std::string_view bytes = in.take(n * columns * sizeof(float));
        values.resize(n * columns);
        std::memcpy(values.data(), bytes.data(), bytes.size());
        rows.values = {values.data(), {static_cast<Index>(n), static_cast<Index>(columns)}};
        to.rows(rows);
        break;
      }
      case kEnd:
        to.end_record();
        break;
      default:
        refuse();
    }
  }
}

void KeptTable::line(std::string_view text) {
  journal_.add(Packer().number(kLine).text(text).bytes());
}

void KeptTable::finish() {
  if (!file_) return;
  journal_.replay([&](std::string_view frames) { replay_lines(frames, *file_); });
  file_->finish();
  journal_.remove();
}

void replay_lines(std::string_view frames, TableWriter& to) {
  Unpacker in(frames);
  while (!in.done()) {
    if (in.number<char>() != kLine) refuse();
    to.line(in.text());
  }
}

Facts facts_of(const TrackSpec& spec) {
  std::vector<std::string> contigs;
  for (const auto& [name, length] : spec.contigs) {
    contigs.push_back(name);
    contigs.push_back(std::to_string(length));
  }
  return {{"spec.kind", "tracks"},
          {"spec.tracks", listed(spec.tracks)},
          {"spec.ids", spec.ids ? "1" : "0"},
          {"spec.contigs", listed(contigs)},
          {"spec.input", spec.input},
          {"spec.reference", spec.reference},
          {"spec.version", spec.version},
          {"spec.command", spec.command},
          {"spec.assembly", spec.assembly},
          {"spec.provenance", spec.provenance}};
}

TrackSpec track_spec(const Part& part) {
  TrackSpec spec;
  spec.tracks = items_of(part.fact("spec.tracks"));
  spec.ids = part.fact("spec.ids") == "1";
  spec.input = part.fact("spec.input");
  spec.reference = part.fact("spec.reference");
  spec.version = part.fact("spec.version");
  spec.command = part.fact("spec.command");
  spec.assembly = part.fact("spec.assembly");
  spec.provenance = part.fact("spec.provenance");
  const std::vector<std::string> contigs = items_of(part.fact("spec.contigs"));
  for (std::size_t i = 0; i + 1 < contigs.size(); i += 2) {
    const std::string& text = contigs[i + 1];
    Index length = 0;
    std::from_chars(text.data(), text.data() + text.size(), length);
    spec.contigs.emplace_back(contigs[i], length);
  }
  return spec;
}

Facts facts_of_table(const std::vector<std::string>& header_lines) {
  return {{"spec.kind", "table"}, {"spec.header", listed(header_lines)}};
}

std::vector<std::string> table_header(const Part& part) {
  return items_of(part.fact("spec.header"));
}

}  // namespace genossm
