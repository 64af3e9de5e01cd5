#include "libgenossm/jobs/keep.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>

#include "kernels/core/error.h"
#include "libgenossm/base/sha256.h"
#include "libgenossm/jobs/job.h"
#include "libgenossm/output/atomic_file.h"
#include "libgenossm/output/byte_sink.h"
#include "libgenossm/output/frames.h"
#include "libgenossm/output/zarr_shard.h"

namespace genossm {
namespace {

constexpr Index kPiece = Index{1} << 22;

std::optional<Index> number_of(const std::string& text) {
  Index value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

void hash(Sha256& sha, std::string_view bytes) {
  sha.update(std::as_bytes(std::span(bytes.data(), bytes.size())));
}

}  // namespace

void parse_shard(const std::string& text, KeepOptions& keep,
                 const std::function<const char*(const char*)>& variable) {
  if (text.empty()) return;
  std::optional<Index> i, n;
  if (text == "slurm") {
    const char* id = variable("SLURM_ARRAY_TASK_ID");
    const char* first = variable("SLURM_ARRAY_TASK_MIN");
    const char* count = variable("SLURM_ARRAY_TASK_COUNT");
    if (id == nullptr || count == nullptr) {
      fail(Fault::usage,
           "--shard slurm: this is no task of a Slurm array (SLURM_ARRAY_TASK_ID "
           "and SLURM_ARRAY_TASK_COUNT are not set)");
    }
    i = number_of(id);
    n = number_of(count);
    // Arrays may be counted from 0 or from 1; parts are counted from 1.
    const auto from = first == nullptr ? std::optional<Index>(1) : number_of(first);
    if (i && from) *i += 1 - *from;
  } else if (const auto slash = text.find('/'); slash != std::string::npos) {
    i = number_of(text.substr(0, slash));
    n = number_of(text.substr(slash + 1));
  }
  if (!i || !n || *n < 1 || *n > kMostShards || *i < 1 || *i > *n) {
    fail(Fault::usage,
         "--shard '" + text + "'" +
             (i && n ? " is part " + std::to_string(*i) + " of " + std::to_string(*n) : "") +
             ": want i/n with i from 1 to n, such as 2/8, or slurm");
  }
  keep.shard = *i;
  keep.shards = *n;
}

bool can_survey(const SourceOptions& options) {
  const auto stream = [](const std::string& path) { return path == "-" || is_device(path); };
  return std::none_of(options.inputs.begin(), options.inputs.end(), stream) &&
         !stream(options.regions_file) && !stream(options.token_ids) && !stream(options.fasta_ref);
}

Survey survey(const SourceOptions& options, const Visit& visit) {
  SourceOptions plain = options;
  plain.tap = nullptr;
  plain.lazy = true;
  const auto source = SequenceSource::open(plain);
  Survey found;
  Sha256 sha;
  Sequence sequence;
  while (source->next(sequence)) {
    const Index length = sequence.length();
    ++found.records;
    found.bases += length;
    found.longest = std::max(found.longest, length);
    if (visit) visit(sequence.name, length);
    hash(sha, Packer()
                  .text(sequence.name)
                  .text(sequence.contig)
                  .number(sequence.begin)
                  .number(sequence.end)
                  .number(length)
                  .bytes());
    if (sequence.is_ids) {
      sha.update(std::as_bytes(std::span(sequence.ids)));
    } else {
      for (Index at = 0; at < length; at += kPiece) {
        hash(sha, sequence.piece(at, std::min(length, at + kPiece)));
      }
    }
  }
  found.sha256 = sha.hex();
  return found;
}

std::string pack_place(const Place& place) {
  return Packer()
      .number(place.record)
      .number(place.base)
      .number(place.flags)
      .number(place.tokens)
      .text(place.task)
      .text({reinterpret_cast<const char*>(place.carry.data()), place.carry.size() * sizeof(float)})
      .text(place.report)
      .bytes();
}

Place unpack_place(std::string_view mark) {
  Place place;
  if (mark.empty()) return place;
  Unpacker in(mark);
  place.record = in.number<Index>();
  place.base = in.number<Index>();
  place.flags = in.number<Index>();
  place.tokens = in.number<Index>();
  place.task = in.text();
  const std::string_view carry = in.text();
  place.carry.resize(carry.size() / sizeof(float));
  if (!carry.empty()) std::memcpy(place.carry.data(), carry.data(), carry.size());
  place.report = in.text();
  return place;
}

std::string pack_report(const JobReport& report) {
  Packer out;
  out.number(static_cast<std::uint64_t>(report.skipped.size()));
  for (const auto& [name, n] : report.skipped) out.text(name).number(n);
  return out.bytes();
}

void unpack_report(std::string_view bytes, JobReport& report) {
  if (bytes.empty()) return;
  Unpacker in(bytes);
  for (auto n = in.number<std::uint64_t>(); n > 0; --n) {
    const std::string name(in.text());
    report.skipped[name] = in.number<Index>();
  }
}

Facts facts_of(const Survey& input) {
  return {{"records of the input", std::to_string(input.records)},
          {"bases of the input", std::to_string(input.bases)},
          {"sha256 of the input", input.sha256}};
}

std::string file_sha256(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) fail(Fault::missing, path + ": cannot be read");
  Sha256 sha;
  std::string piece(1 << 20, '\0');
  while (file.read(piece.data(), static_cast<std::streamsize>(piece.size())) || file.gcount() > 0) {
    hash(sha, std::string_view(piece).substr(0, static_cast<std::size_t>(file.gcount())));
  }
  return sha.hex();
}

std::string file_stamp(const std::string& path) {
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  const auto changed = std::filesystem::last_write_time(path, error);
  return std::to_string(size) + " bytes, changed at " +
         std::to_string(changed.time_since_epoch().count());
}

JobJournal::JobJournal(const KeepOptions& keep, const OutputRequest& output, Facts facts)
    : output_(output.path), force_(output.force) {
  facts.emplace_back("machine", keep.machine);
  JournalRequest request;
  request.output = output.path;
  if (keep.shards > 0) {
    request.output = part_ = part_path(output.path, keep.shard, keep.shards);
    facts.emplace_back("shards", std::to_string(keep.shards));
    facts.emplace_back("spec.shard", std::to_string(keep.shard));
    std::error_code ignored;
    // A run that was killed between the name and the end of its journal made the part itself.
    force_ = force_ || std::filesystem::exists(journal_path(part_), ignored);
    if (!force_ && std::filesystem::exists(part_, ignored)) {
      fail(Fault::output, part_ + ": exists already; --force overwrites it");
    }
    facts_ = facts;
  }
  request.path = journal_path(request.output);
  request.facts = std::move(facts);
  request.resume = keep.resume;
  request.interval = keep.interval;
  journal_ = std::make_unique<Journal>(std::move(request));
  if (keep.shards > 0) journal_->create();
}

void JobJournal::finish() {
  if (!part_.empty()) journal_->rename_to(part_, force_);
}

void JobJournal::finish_zarr(const MatrixSpec& spec, Index first_row) {
  const std::string folder = shard_folder(output_, facts_);
  const std::filesystem::path name(part_);
  JournalRequest request;
  request.path = (name.parent_path() / ("." + name.filename().string() + ".genossm-part")).string();
  request.output = part_;
  request.facts = facts_;
  request.facts.emplace_back(kChunksFact, std::filesystem::path(folder).filename().string());
  request.resume = Resume::never;  // what a killed run left there goes
  Journal part(std::move(request));
  try {
    write_zarr_shard([this](const auto& frames) { journal_->replay(frames); }, spec, first_row,
                     folder, part);
    part.commit(kFinished);
    part.rename_to(part_, force_);
  } catch (...) {
    part.remove();
    throw;
  }
  journal_->remove();
}

Share share_of(Index bases, const KeepOptions& keep) {
  if (keep.shards == 0) return {0, bases, true};
  // Without overflow: 100,000 parts of a trillion bases fit.
  const auto border = [&](Index i) {
    return bases / keep.shards * i + bases % keep.shards * i / keep.shards;
  };
  return {border(keep.shard - 1), border(keep.shard), keep.shard == keep.shards};
}

RecordShare record_share(const Share& share, Index offset, Index length, Index grain) {
  // Everything at or after a border belongs to the part that begins there.
  const auto inside = [&](Index border) -> Index {
    const Index at = border - offset;
    if (at <= 0) return 0;
    if (grain == 0) return length;
    return std::min(length, (at + grain - 1) / grain * grain);
  };
  RecordShare out;
  const bool starts_here = offset >= share.begin && (offset < share.end || share.last);
  if (grain == 0 || length == 0) {
    out.none = !starts_here;
    out.end = length;
    return out;
  }
  out.begin = inside(share.begin);
  out.end = share.last ? length : inside(share.end);
  out.none = out.begin >= out.end;
  return out;
}

std::string part_path(const std::string& output, Index shard, Index shards) {
  std::string path = output;
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path + ".shard-" + std::to_string(shard) + "-of-" + std::to_string(shards);
}

OutputRequest own_output(const OutputRequest& output) {
  OutputRequest own = output;
  std::error_code ignored;
  own.force = own.force || std::filesystem::is_regular_file(journal_path(output.path), ignored);
  return own;
}

bool keeps_journal(const KeepOptions& keep, const SourceOptions& source,
                   const OutputRequest& output) {
  const bool out = is_standard_output(output.path) || is_device(output.path);
  const bool in = !can_survey(source);
  if (!out && !in) {
    if (keep.resume != Resume::never || keep.shards > 0) return true;
    // What an earlier run has kept goes.
    JournalRequest request;
    request.path = journal_path(output.path);
    request.output = output.path;
    request.resume = Resume::never;
    Journal unwanted(std::move(request));
    return false;
  }
  const std::string what = out ? "the output is a stream" : "the input is a stream";
  if (keep.shards > 0) fail(Fault::usage, "--shard: " + what + "; want files");
  if (keep.resume == Resume::require) {
    fail(Fault::usage, "--resume require: " + what + ", which cannot be gone on with");
  }
  return false;
}

}  // namespace genossm
