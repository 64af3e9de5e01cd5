#include "libgenossm/jobs/merge.h"

#include <algorithm>
#include <filesystem>

#include "kernels/core/error.h"
#include "libgenossm/jobs/keep.h"
#include "libgenossm/output/kept_matrix.h"
#include "libgenossm/output/kept_tracks.h"
#include "libgenossm/output/kept_variants.h"

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
  if (n < 1 || n > kMostShards) {
    fail(Fault::input, parts.front().path + ": is one of " + std::to_string(n) +
                           " parts, want 1 to " + std::to_string(kMostShards));
  }
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

// Where the chunks of a part of a Zarr store are.
fs::path chunks_of(const Part& part) {
  const std::string& name = part.fact(kChunksFact);
  if (name.find('/') != std::string::npos || name.find(".shards-") == std::string::npos) {
    fail(Fault::input, part.path + ": its chunks are in '" + name + "', which is no such folder");
  }
  return fs::path(part.path).parent_path() / name;
}

// The scores go beside the records, which are read from the input that the parts were made of.
void merge_variants(const std::vector<Part>& parts, const MergeOptions& options,
                    const OutputRequest& request, bool vectors) {
  const Part& first = parts.front();
  const std::string input = options.input.empty() ? first.fact("spec.input") : options.input;
  std::error_code ignored;
  if (!fs::exists(input, ignored)) {
    fail(Fault::missing, input +
                             ": is not there. merge reads again what was scored; --input says "
                             "where it is now");
  }
  if (file_sha256(input) != first.fact("sha256 of the input")) {
    fail(Fault::input, input + ": is not the file that was scored: its SHA-256 is another one");
  }
  const auto replay = [&](VariantReplay to) {
    for (const Part& part : parts) {
      replay_part(part, [&](std::string_view frames) { to(frames); });
    }
    to.end();
  };
  if (vectors) {
    const MatrixSpec spec = matrix_spec(first);
    const auto writer = open_matrix(request, spec);
    replay(VariantReplay(input, *writer, spec.columns));
    writer->finish();
    return;
  }
  VariantOutput output = variant_output(first);
  output.request = request;
  const auto header = VariantReader::open(input);
  const auto writer = open_variants(output, header->header());
  replay(VariantReplay(input, *writer, output.fields.size()));
  writer->finish();
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
  if (kind == "matrix" && report.type == "zarr") {
    // Most chunks stand already, in a folder beside each part.
    const MatrixSpec spec = matrix_spec(first);
    const auto writer = open_zarr_merge(request, spec);
    for (const Part& part : parts) {
      MatrixReplay to(*writer, spec, chunks_of(part).string());
      replay_part(part, [&](std::string_view frames) { to(frames); });
    }
    writer->finish();
  } else if (kind == "matrix") {
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
  } else if (kind == "variants" || kind == "vectors") {
    merge_variants(parts, options, request, kind == "vectors");
  } else if (kind == "table") {
    const auto writer = open_table(request, table_header(first));
    replay([&](std::string_view frames) { replay_lines(frames, *writer); });
    writer->finish();
  } else {
    fail(Fault::input, first.path + ": is a part of a kind that this version does not know");
  }
  if (options.remove) {
    std::error_code ignored;
    for (const Part& part : parts) {
      fs::remove(part.path, ignored);
      if (report.type == "zarr") fs::remove_all(chunks_of(part), ignored);
    }
  }
  return report;
}

}  // namespace genossm
