#include "libgenossm/jobs/merge.h"

#include <algorithm>
#include <filesystem>

#include "kernels/core/error.h"
#include "libgenossm/jobs/keep.h"
#include "libgenossm/output/kept_matrix.h"
#include "libgenossm/output/kept_tracks.h"

namespace genossm {
namespace {

namespace fs = std::filesystem;

constexpr const char* kShard = "spec.shard";

std::vector<std::string> parts_beside(const std::string& output) {
  fs::path target(output);
  if (!target.has_filename()) target = target.parent_path();  // "store.zarr/"
  const fs::path folder = target.has_parent_path() ? target.parent_path() : fs::path(".");
  const std::string begin = target.filename().string() + ".shard-";
  std::vector<std::string> found;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(begin) && !name.ends_with(".genossm-journal")) {
      found.push_back(entry.path().string());
    }
  }
  std::sort(found.begin(), found.end());
  if (found.empty()) {
    fail(Fault::missing, "no parts: there is no " + (folder / (begin + "I-of-N")).string() +
                             ". Give them by name, or make them with --shard");
  }
  return found;
}

Facts without_shard(Facts facts) {
  std::erase_if(facts, [](const auto& fact) { return fact.first == kShard; });
  return facts;
}

// In their order, complete and of one job.
std::vector<Part> checked(const std::vector<std::string>& paths) {
  std::vector<Part> parts;
  for (const std::string& path : paths) {
    parts.push_back(read_part(path));
    const Part& part = parts.back();
    if (part.mark != kFinished) {
      fail(Fault::input, path + ": is not finished; give its command again");
    }
    const std::string differs =
        difference(without_shard(parts.front().facts), without_shard(part.facts));
    if (!differs.empty()) {
      fail(Fault::input, path + ": is of another job than " + parts.front().path + ": " + differs);
    }
  }
  const std::int64_t n = parts.front().number("shards");
  std::vector<Part> ordered(static_cast<std::size_t>(n));
  for (Part& part : parts) {
    const std::int64_t i = part.number(kShard);
    if (i < 1 || i > n) fail(Fault::input, part.path + ": is no part of " + std::to_string(n));
    Part& place = ordered[static_cast<std::size_t>(i - 1)];
    if (!place.path.empty()) {
      fail(Fault::input, part.path + ": is part " + std::to_string(i) + " of " + std::to_string(n) +
                             ", and so is " + place.path);
    }
    place = std::move(part);
  }
  for (std::size_t i = 0; i < ordered.size(); ++i) {
    if (ordered[i].path.empty()) {
      fail(Fault::missing, "part " + std::to_string(i + 1) + " of " + std::to_string(n) +
                               " is missing; make it with --shard " + std::to_string(i + 1) + "/" +
                               std::to_string(n));
    }
  }
  return ordered;
}

}  // namespace

MergeReport merge(const MergeOptions& options) {
  const std::vector<Part> parts =
      checked(options.parts.empty() ? parts_beside(options.output.path) : options.parts);
  const Part& first = parts.front();
  MergeReport report;
  report.parts = static_cast<std::int64_t>(parts.size());
  report.type = first.fact("type");
  OutputRequest request = options.output;
  if (report.type != "hub") output_type(request, {report.type}, report.type);
  request.type = report.type;
  const std::string& kind = first.fact("spec.kind");
  const auto replay = [&](const std::function<void(std::string_view)>& frames) {
    for (const Part& part : parts) replay_part(part, frames);
  };
  if (kind == "matrix") {
    const MatrixSpec spec = matrix_spec(first);
    const auto writer = open_matrix(request, spec);
    MatrixReplay to(*writer, spec);
    replay([&](std::string_view frames) { to(frames); });
    writer->finish();
  } else if (kind == "tracks") {
    const TrackSpec spec = track_spec(first);
    const auto writer = open_tracks(request, report.type, spec);
    replay([&](std::string_view frames) { replay_tracks(frames, spec, *writer); });
    writer->finish();
  } else if (kind == "table") {
    const auto writer = open_table(request, table_header(first));
    replay([&](std::string_view frames) { replay_lines(frames, *writer); });
    writer->finish();
  } else {
    fail(Fault::input, first.path + ": is a part of a kind that this version does not know");
  }
  if (options.remove) {
    std::error_code ignored;
    for (const Part& part : parts) fs::remove(part.path, ignored);
  }
  return report;
}

}  // namespace genossm
