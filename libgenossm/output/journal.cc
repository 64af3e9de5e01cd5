#include "libgenossm/output/journal.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <optional>
#include <system_error>

#include "kernels/core/error.h"
#include "libgenossm/output/little.h"

namespace genossm {
namespace {

constexpr std::string_view kMagic = "GSSMJRN1";
constexpr std::uint32_t kSegmentMagic = 0x31474553;  // "SEG1"
constexpr std::uint64_t kMostFacts = std::uint64_t{64} << 20;
constexpr char kBetween = '\x1f';  // items of a list

std::string reason(int code) { return std::generic_category().message(code); }

std::uint32_t crc_of(std::string_view bytes, std::uint32_t before = 0) {
  return static_cast<std::uint32_t>(
      crc32_z(before, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

// Before each segment; its own checksum comes last, so that sizes are trusted only when whole.
struct SegmentHead {
  std::uint32_t magic = kSegmentMagic;
  std::uint32_t mark_crc = 0, frames_crc = 0;
  std::uint32_t self = 0;  // checksum of the rest, with 0 here
  std::uint64_t mark = 0, frames = 0;
};
static_assert(sizeof(SegmentHead) == 32);

// Marks as long as this are given back to the disk when the next one stands: a state may be of many
// megabytes.
constexpr std::uint64_t kLongMark = 16384;

std::uint32_t head_crc(SegmentHead head) {
  head.self = 0;
  return crc_of({reinterpret_cast<const char*>(&head), sizeof head});
}

// The bytes [at, at + size), or fewer at the end of the file.
std::string read_at(int descriptor, std::uint64_t at, std::uint64_t size) {
  std::string out(size, '\0');
  std::size_t got = 0;
  while (got < size) {
    const ssize_t n =
        ::pread(descriptor, out.data() + got, size - got, static_cast<off_t>(at + got));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    got += static_cast<std::size_t>(n);
  }
  out.resize(got);
  return out;
}

std::string facts_text(const Facts& facts) {
  std::string out;
  for (const auto& [name, value] : facts) {
    std::string line = name + '\t' + value;
    std::replace(line.begin(), line.end(), '\n', ' ');
    out += line + '\n';
  }
  return out;
}

Facts parse_facts(std::string_view text) {
  Facts facts;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    const std::size_t tab = std::min(line.find('\t'), line.size());
    facts.emplace_back(line.substr(0, tab), tab < line.size() ? line.substr(tab + 1) : "");
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return facts;
}

struct Header {
  Facts facts;
  std::uint64_t size = 0;  // of the whole header
};

enum class HeaderState { whole, cut, foreign };

HeaderState read_header_of(int descriptor, std::uint64_t size, Header& header) {
  const std::string head = read_at(descriptor, 0, kMagic.size() + 8);
  if (head.substr(0, kMagic.size()) != kMagic.substr(0, head.size())) return HeaderState::foreign;
  if (head.size() < kMagic.size() + 8) return HeaderState::cut;
  std::uint64_t bytes = 0;
  std::memcpy(&bytes, head.data() + kMagic.size(), 8);
  if (bytes > kMostFacts) return HeaderState::foreign;
  header.size = head.size() + bytes + 4;
  if (size < header.size) return HeaderState::cut;
  const std::string body = read_at(descriptor, head.size(), bytes + 4);
  if (body.size() != bytes + 4) return HeaderState::cut;
  std::uint32_t crc = 0;
  std::memcpy(&crc, body.data() + bytes, 4);
  if (crc != crc_of(std::string_view(body).substr(0, bytes))) return HeaderState::cut;
  header.facts = parse_facts(std::string_view(body).substr(0, bytes));
  return HeaderState::whole;
}

struct Segment {
  std::uint64_t mark_at = 0, frames_at = 0, end = 0;
  SegmentHead head;
};

// Piece by piece: a segment may hold more than one likes to have in memory.
bool holds(int descriptor, std::uint64_t at, std::uint64_t size, std::uint32_t wanted) {
  std::uint32_t crc = 0;
  while (size > 0) {
    const std::string piece = read_at(descriptor, at, std::min<std::uint64_t>(size, 1 << 20));
    if (piece.empty()) return false;
    crc = crc_of(piece, crc);
    at += piece.size();
    size -= piece.size();
  }
  return crc == wanted;
}

// The segment at `at`, if it is there. `check`: whole, but for its mark.
std::optional<Segment> segment_at(int descriptor, std::uint64_t at, std::uint64_t size,
                                  bool check) {
  const std::string bytes = read_at(descriptor, at, sizeof(SegmentHead));
  if (bytes.size() < sizeof(SegmentHead)) return std::nullopt;
  Segment s;
  std::memcpy(&s.head, bytes.data(), sizeof(SegmentHead));
  if (s.head.magic != kSegmentMagic || s.head.self != head_crc(s.head)) return std::nullopt;
  const std::uint64_t left = size - at - sizeof(SegmentHead);
  if (s.head.mark > left || s.head.frames > left - s.head.mark) return std::nullopt;
  s.mark_at = at + sizeof(SegmentHead);
  s.frames_at = s.mark_at + s.head.mark;
  s.end = s.frames_at + s.head.frames;
  if (check && !holds(descriptor, s.frames_at, s.head.frames, s.head.frames_crc)) {
    return std::nullopt;
  }
  return s;
}

std::uint64_t size_of(int descriptor) {
  struct stat status = {};
  return ::fstat(descriptor, &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
}

void sync_folder_of(const std::string& path) {
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  const int folder = ::open(parent.empty() ? "." : parent.c_str(), O_RDONLY | O_DIRECTORY);
  if (folder < 0) return;
  static_cast<void>(::fsync(folder));
  ::close(folder);
}

bool lock(int descriptor) {
  int result = 0;
  do {
    result = ::flock(descriptor, LOCK_EX | LOCK_NB);
  } while (result != 0 && errno == EINTR);
  return result == 0 || errno != EWOULDBLOCK;  // where files cannot be locked, nobody has one
}

// A fact as a message says it: the items of a list one after the other.
std::string said_of(const std::string* fact) {
  if (fact == nullptr) return "not set";
  if (fact->find(kBetween) == std::string::npos) return *fact;
  std::string out;
  for (const std::string& item : items_of(*fact)) out += (out.empty() ? "" : ", ") + item;
  return out;
}

}  // namespace

std::string difference(const Facts& was, const Facts& is) {
  std::string out, command;
  const auto find = [](const Facts& facts, const std::string& name) -> const std::string* {
    const auto at = std::find_if(facts.begin(), facts.end(),
                                 [&](const auto& fact) { return fact.first == name; });
    return at == facts.end() ? nullptr : &at->second;
  };
  std::string rest;
  const auto compare = [&](const std::string& name) {
    const std::string* a = find(was, name);
    const std::string* b = find(is, name);
    if (a != nullptr && b != nullptr && *a == *b) return;
    const std::string said = name + " was " + said_of(a) + ", is " + said_of(b);
    // The command tells nothing that its consequences do not tell, unless there are none.
    std::string& to = name == "command" ? command : name.starts_with("spec.") ? rest : out;
    to += (to.empty() ? "" : "; ") + said;
  };
  for (const auto& fact : is) compare(fact.first);
  for (const auto& fact : was) {
    if (find(is, fact.first) == nullptr) compare(fact.first);
  }
  return !out.empty() ? out : !command.empty() ? command : rest;
}

std::string listed(const std::vector<std::string>& texts) {
  std::string out;
  for (const std::string& text : texts) out += text + kBetween;
  return out;
}

std::vector<std::string> items_of(std::string_view fact) {
  std::vector<std::string> out;
  while (!fact.empty()) {
    const std::size_t end = std::min(fact.find(kBetween), fact.size());
    out.emplace_back(fact.substr(0, end));
    fact.remove_prefix(std::min(end + 1, fact.size()));
  }
  return out;
}

Resume parse_resume(const std::string& text) {
  if (text == "auto") return Resume::automatic;
  if (text == "never") return Resume::never;
  if (text == "require") return Resume::require;
  fail(Fault::usage, "--resume '" + text + "' is none of auto, never, require");
}

std::string journal_path(const std::string& output) {
  std::string path = output;
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path + ".genossm-journal";
}

Journal::Journal(JournalRequest request) : request_(std::move(request)) {
  // Once, and untouched until it is used: growing by doubling would hold three times a segment.
  pending_.reserve(kSegment + kSegment / 4);
  try {
    open_existing();
  } catch (...) {
    if (descriptor_ >= 0) ::close(descriptor_);
    throw;
  }
  if (request_.resume == Resume::require && mark_.empty()) {
    const std::string output = request_.output;
    if (descriptor_ >= 0) ::close(descriptor_);
    fail(Fault::missing, "--resume require: " + output + " has no unfinished run to go on with");
  }
}

Journal::~Journal() {
  if (descriptor_ < 0) return;
  // A file without a segment says nothing.
  if (end_ <= first_) ::unlink(request_.path.c_str());
  ::close(descriptor_);
}

void Journal::refuse(const std::string& why, bool kept) const {
  fail(Fault::output,
       request_.output + ": cannot be written (" + why + ")" +
           (kept ? ". What was finished is kept: put it right and give the same command again"
                 : ""));
}

void Journal::open_existing() {
  for (;;) {
    descriptor_ = ::open(request_.path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (descriptor_ < 0) {
      if (errno == ENOENT) return;
      refuse(request_.path + ": " + reason(errno));
    }
    if (!lock(descriptor_)) refuse("another process is writing it");
    // What we have locked may have been finished or removed before we did: then it is not ours.
    struct stat opened = {}, named = {};
    if (::fstat(descriptor_, &opened) == 0 && ::lstat(request_.path.c_str(), &named) == 0 &&
        opened.st_dev == named.st_dev && opened.st_ino == named.st_ino) {
      break;
    }
    ::close(descriptor_);
  }
  if (request_.resume == Resume::never) {
    ::unlink(request_.path.c_str());
    ::close(descriptor_);
    descriptor_ = -1;
    return;
  }
  const std::uint64_t size = size_of(descriptor_);
  read_header(size);
  if (first_ > 0) scan(size);
}

void Journal::read_header(std::uint64_t size) {
  Header header;
  const HeaderState state = read_header_of(descriptor_, size, header);
  if (state == HeaderState::foreign) {
    fail(Fault::input, request_.path + ": is no journal of genossm, and in the way. Remove it");
  }
  if (state == HeaderState::cut) {  // killed before anything was finished
    if (::ftruncate(descriptor_, 0) != 0) refuse(request_.path + ": " + reason(errno));
    return;
  }
  const std::string differs = difference(header.facts, request_.facts);
  if (!differs.empty()) {
    fail(Fault::input,
         request_.output + ": there is an unfinished run, and it is not of this command: " +
             differs + ". Give the command as it was, or --resume never to start anew");
  }
  first_ = end_ = header.size;
}

void Journal::scan(std::uint64_t size) {
  // Of the marks only the last one need be there.
  for (std::uint64_t at = end_; const auto segment = segment_at(descriptor_, at, size, true);) {
    at = segment->end;
    if (!holds(descriptor_, segment->mark_at, segment->head.mark, segment->head.mark_crc)) continue;
    mark_ = read_at(descriptor_, segment->mark_at, segment->head.mark);
    mark_at_ = segment->mark_at;
    end_ = at;
  }
  if (end_ < size && ::ftruncate(descriptor_, static_cast<off_t>(end_)) != 0) {
    refuse(request_.path + ": " + reason(errno));
  }
}

bool Journal::due() const {
  if (request_.resume == Resume::never || pending_.empty()) return false;
  const std::chrono::duration<double> age = std::chrono::steady_clock::now() - last_;
  return pending_.size() >= kSegment || age.count() >= request_.interval;
}

// Two pieces in a row: a segment's frames need not be copied behind its head.
void Journal::write_all(std::string_view first, std::string_view second) {
  std::uint64_t at = end_;
  for (std::string_view bytes : {first, second}) {
    while (!bytes.empty()) {
      const ssize_t n = ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(at));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) {
        const int code = n < 0 ? errno : ENOSPC;
        static_cast<void>(!::ftruncate(descriptor_, static_cast<off_t>(end_)));
        refuse(request_.path + ": " + reason(code), end_ > first_);
      }
      bytes.remove_prefix(static_cast<std::size_t>(n));
      at += static_cast<std::uint64_t>(n);
    }
  }
  while (::fdatasync(descriptor_) != 0) {
    if (errno == EINTR) continue;
    const int code = errno;
    static_cast<void>(!::ftruncate(descriptor_, static_cast<off_t>(end_)));
    refuse(request_.path + ": " + reason(code));
  }
  end_ = at;
}

void Journal::create() {
  if (end_ > 0) return;
  if (descriptor_ < 0) {
    descriptor_ =
        ::open(request_.path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (descriptor_ < 0 && errno == EEXIST) refuse("another process is writing it");
    if (descriptor_ < 0) refuse(request_.path + ": " + reason(errno));
    if (!lock(descriptor_)) refuse("another process is writing it");
  }
  const std::string facts = facts_text(request_.facts);
  std::string header(kMagic);
  put_little(header, static_cast<std::uint64_t>(facts.size()));
  header += facts;
  put_little(header, crc_of(facts));
  write_all(header, {});
  first_ = end_;
  sync_folder_of(request_.path);
}

void Journal::commit(std::string_view mark) {
  create();
  SegmentHead head;
  head.mark = mark.size();
  head.frames = pending_.size();
  head.mark_crc = crc_of(mark);
  head.frames_crc = crc_of(pending_);
  head.self = head_crc(head);
  std::string front(reinterpret_cast<const char*>(&head), sizeof head);
  front += mark;
  const std::uint64_t begin = end_;
  write_all(front, pending_);
  if (mark_.size() >= kLongMark) {
    static_cast<void>(::fallocate(descriptor_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                  static_cast<off_t>(mark_at_), static_cast<off_t>(mark_.size())));
  }
  mark_ = mark;
  mark_at_ = begin + sizeof head;
  pending_.clear();
  last_ = std::chrono::steady_clock::now();
}

void Journal::replay(const std::function<void(std::string_view)>& frames) const {
  for (std::uint64_t at = first_; at < end_;) {
    const auto segment = segment_at(descriptor_, at, end_, false);
    if (!segment) fail(Fault::output, request_.path + ": has changed while it was in use");
    const std::string bytes = read_at(descriptor_, segment->frames_at, segment->head.frames);
    if (bytes.size() != segment->head.frames) refuse(request_.path + " cannot be read");
    frames(bytes);
    at = segment->end;
  }
  if (!pending_.empty()) frames(pending_);
}

void Journal::remove() {
  if (descriptor_ < 0) return;
  ::unlink(request_.path.c_str());
  ::close(descriptor_);
  descriptor_ = -1;
  end_ = first_ = 0;
}

void Journal::rename_to(const std::string& path, bool force) {
  int result = ::renameat2(AT_FDCWD, request_.path.c_str(), AT_FDCWD, path.c_str(),
                           force ? 0 : RENAME_NOREPLACE);
  if (result != 0 && (errno == EINVAL || errno == ENOSYS)) {
    result = ::rename(request_.path.c_str(), path.c_str());
  }
  if (result != 0) {
    if (errno == EEXIST) fail(Fault::output, path + ": exists already; --force overwrites it");
    refuse(path + ": " + reason(errno));
  }
  ::close(descriptor_);
  descriptor_ = -1;
  sync_folder_of(path);
}

const std::string& Part::fact(const std::string& name) const {
  for (const auto& fact : facts) {
    if (fact.first == name) return fact.second;
  }
  fail(Fault::input, path + ": does not say its " + name);
}

std::int64_t Part::number(const std::string& name) const {
  const std::string& text = fact(name);
  std::int64_t value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) {
    fail(Fault::input, path + ": " + name + " is '" + text + "', want a number");
  }
  return value;
}

Part read_part(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) fail(Fault::missing, path + ": " + reason(errno));
  Part part;
  part.path = path;
  const std::uint64_t size = size_of(descriptor);
  Header header;
  const HeaderState state = read_header_of(descriptor, size, header);
  bool whole = state == HeaderState::whole;
  std::uint64_t at = header.size;
  while (whole && at < size) {
    const auto segment = segment_at(descriptor, at, size, true);
    if (!segment) {
      whole = false;
      break;
    }
    part.mark.clear();
    if (holds(descriptor, segment->mark_at, segment->head.mark, segment->head.mark_crc)) {
      part.mark = read_at(descriptor, segment->mark_at, segment->head.mark);
    }
    at = segment->end;
  }
  ::close(descriptor);
  if (state == HeaderState::foreign) fail(Fault::input, path + ": is no part of a job");
  if (!whole) fail(Fault::input, path + ": is damaged or cut off; make the part again");
  part.facts = std::move(header.facts);
  return part;
}

void replay_part(const Part& part, const std::function<void(std::string_view)>& frames) {
  const int descriptor = ::open(part.path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) fail(Fault::missing, part.path + ": " + reason(errno));
  try {
    const std::uint64_t size = size_of(descriptor);
    Header header;
    read_header_of(descriptor, size, header);
    for (std::uint64_t at = header.size; at < size;) {
      const auto segment = segment_at(descriptor, at, size, false);
      require(segment.has_value(), Fault::input, part.path + ": has changed while it was read");
      frames(read_at(descriptor, segment->frames_at, segment->head.frames));
      at = segment->end;
    }
  } catch (...) {
    ::close(descriptor);
    throw;
  }
  ::close(descriptor);
}

}  // namespace genossm
