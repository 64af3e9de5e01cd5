// How a job that takes long is kept: its journal, the place where it goes on, its part of the work,
// and the signal that ends it.
#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "libgenossm/jobs/source.h"
#include "libgenossm/output/journal.h"
#include "libgenossm/output/writer.h"

namespace genossm {

struct JobReport;

struct KeepOptions {
  Resume resume = Resume::automatic;
  double interval = 15;  // seconds between segments of the journal
  Index shard = 0;       // 1 to shards; 0: all of the job
  Index shards = 0;
  // What results depend on beside the job: the device, the instruction set.
  std::string machine;
  // The signal that asks for an end, or 0.
  std::function<int()> stopped;
};

constexpr Index kMostShards = 100'000;

// "2/5", or "slurm": from the variables that Slurm gives to the tasks of an array, which `variable`
// looks up. Fault::usage.
void parse_shard(const std::string& text, KeepOptions& keep,
                 const std::function<const char*(const char*)>& variable);

// Thrown when a signal has ended the job and what was finished is on the disk.
class Stopped : public std::exception {
 public:
  explicit Stopped(int signal, bool kept) : signal_(signal), kept_(kept) {}
  int signal() const { return signal_; }
  bool kept() const { return kept_; }
  const char* what() const noexcept override { return "stopped by a signal"; }

 private:
  int signal_;
  bool kept_;
};

// What a source will give, found by reading it once: the identity of the input, and its size.
struct Survey {
  Index records = 0, bases = 0, longest = 0;
  std::string sha256;
};
// visit(name, length) of each record. Throws as the source does: broken input is found before
// anything is computed.
using Visit = std::function<void(const std::string&, Index)>;
Survey survey(const SourceOptions& options, const Visit& visit = {});
Facts facts_of(const Survey& input);
// The same of a file that is no sequences: its SHA-256. Throws Fault::missing.
std::string file_sha256(const std::string& path);
// Of a file too large to be read for that: its size and when it was last changed.
std::string file_stamp(const std::string& path);
// Whether the source can be read twice.
bool can_survey(const SourceOptions& options);

// Up to where a job has come; all before it is finished.
struct Place {
  Index record = 0;  // of the source
  Index base = 0;    // of the record
  std::string task;  // what the task holds of an unfinished row
  Index flags = 0;   // what the task noted of the unfinished record
  Index tokens = 0;  // of the window, which the carry has seen
  std::vector<float> carry;
  std::string report;  // see pack_report
};
std::string pack_place(const Place& place);
Place unpack_place(std::string_view mark);
// What the report says was skipped; the rest is counted again.
std::string pack_report(const JobReport& report);
void unpack_report(std::string_view bytes, JobReport& report);
// The mark of a finished part.
inline constexpr std::string_view kFinished = "finished";
// The fact of a part that names the folder beside it where its chunks stand.
inline constexpr const char* kChunksFact = "spec.chunks";

// The bases [begin, end) of the whole source that shard i of n works on: those of records one after
// the other.
struct Share {
  Index begin = 0, end = 0;
  bool last = true;
};
Share share_of(Index bases, const KeepOptions& keep);
// The bases of a record that stand in the share, of `length` at `offset` of the source; both ends
// at multiples of `grain` from the record's begin; grain 0: whole records. `none`: the record
// belongs to another share altogether.
struct RecordShare {
  Index begin = 0, end = 0;
  bool none = false;
};
RecordShare record_share(const Share& share, Index offset, Index length, Index grain);

// OUT.shard-2-of-5
std::string part_path(const std::string& output, Index shard, Index shards);

// The journal of a job, and what becomes of it.
class JobJournal {
 public:
  // `facts`: what the job's bytes depend on beside the machine. A part of a job locks its name
  // here; else the caller has done that by opening the output.
  JobJournal(const KeepOptions& keep, const OutputRequest& output, Facts facts);
  Journal& journal() { return *journal_; }
  // A finished part gets its name.
  void finish();
  // The same of a part of a Zarr store: its chunks first, then what else there is. `first_row`: of
  // the whole matrix, where the part begins.
  void finish_zarr(const MatrixSpec& spec, Index first_row);

 private:
  std::string output_, part_;
  bool force_ = false;
  Facts facts_;  // of a part
  std::unique_ptr<Journal> journal_;
};

// The request as a job with a journal opens it: where a journal stands, the output is our own
// unfinished run's, which may have given one of its files its name before it was killed. Whether it
// is of this job is seen when the journal is opened, before anything is replaced.
OutputRequest own_output(const OutputRequest& output);

// Whether the options ask for a journal at all: not for streams in or out. Removes one that is
// there where none is wanted. Throws Fault::usage for --shard and --resume require with streams.
bool keeps_journal(const KeepOptions& keep, const SourceOptions& source,
                   const OutputRequest& output);

}  // namespace genossm
