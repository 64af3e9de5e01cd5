// Journal: the finished work of a run that has not ended yet, so that the same command can go on.
//
// Beside OUT stands OUT.genossm-journal: the facts that the bytes of the output depend on, then
// segments, each what was finished since the one before, a mark that says where to go on, and
// checksums. A segment is on the disk when commit() returns; one that was cut off is dropped and
// its work done again. The output itself is assembled from the journal at the end, so that it has
// the same bytes however often the run was killed.
//
// Nothing is written before the first segment is due: short runs never touch the disk for it.
// A finished part of a job (--shard) is a journal too, with a last mark that says so.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace genossm {

// Names and values, one line each; names that begin with "spec." follow from the others and are
// not spoken of where runs differ.
using Facts = std::vector<std::pair<std::string, std::string>>;

// "window was 4096, is 2048; ..."; empty: the same.
std::string difference(const Facts& was, const Facts& is);

// Several texts as the value of one fact, and back. They hold no line breaks and no unit
// separators.
std::string listed(const std::vector<std::string>& texts);
std::vector<std::string> items_of(std::string_view fact);

enum class Resume { automatic, never, require };
Resume parse_resume(const std::string& text);  // auto, never, require; Fault::usage

struct JournalRequest {
  std::string path;    // of the journal
  std::string output;  // for messages
  Facts facts;
  Resume resume = Resume::automatic;
  double interval = 15;  // seconds between segments
};

std::string journal_path(const std::string& output);

class Journal {
 public:
  static constexpr std::size_t kSegment = std::size_t{8} << 20;

  // Goes on with what is there if its facts are the same. Throws Fault::input where they are not,
  // or the file is no journal; Fault::output where another process has it open; Fault::missing with
  // Resume::require and nothing to go on from. Resume::never removes what is there and keeps
  // nothing.
  explicit Journal(JournalRequest request);
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;
  ~Journal();  // what was committed stays

  // The last mark; empty: nothing was finished before.
  const std::string& mark() const { return mark_; }

  // Whole frames only: a reader gets no part of one.
  void add(std::string_view frames) { pending_ += frames; }
  // A segment is long or old enough, or the lock of a part is to be taken.
  bool due() const;
  // All that was added belongs to the mark. Throws Fault::output; what was committed before stays.
  void commit(std::string_view mark);
  // Something is on the disk.
  bool stored() const { return end_ > 0; }

  // All frames from the first run on, segment by segment.
  void replay(const std::function<void(std::string_view)>& frames) const;
  void remove();
  // The journal, complete, under another name: a part of a job.
  void rename_to(const std::string& path, bool force);
  // Creates the file now, which locks it.
  void create();

 private:
  void open_existing();
  void read_header(std::uint64_t size);
  void scan(std::uint64_t size);
  void write_all(std::string_view first, std::string_view second);
  [[noreturn]] void refuse(const std::string& why, bool kept = false) const;

  JournalRequest request_;
  int descriptor_ = -1;
  std::uint64_t end_ = 0;      // of the last whole segment; 0: not even a header
  std::uint64_t first_ = 0;    // of the first segment
  std::uint64_t mark_at_ = 0;  // where mark_ stands
  std::string mark_, pending_;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

// A finished part, read again by `merge`.
struct Part {
  std::string path;
  Facts facts;
  std::string mark;  // the last one
  // Fault::input where it is not there, or no number from 0 on.
  const std::string& fact(const std::string& name) const;
  std::int64_t number(const std::string& name) const;
};
// Throws Fault::missing, Fault::input (no journal, damaged).
Part read_part(const std::string& path);
void replay_part(const Part& part, const std::function<void(std::string_view)>& frames);

}  // namespace genossm
