#include "libgenossm/base/zip.h"

#include <zlib.h>

#include <algorithm>
#include <limits>

#include "kernels/core/error.h"
#include "libgenossm/base/text.h"

namespace genossm {
namespace {

// APPNOTE.TXT 6.3, section 4.3: signatures and fixed sizes of the records.
constexpr std::uint32_t kLocal = 0x04034b50, kCentral = 0x02014b50, kEnd = 0x06054b50;
constexpr std::uint32_t kEnd64 = 0x06064b50, kLocator64 = 0x07064b50, kDescriptor = 0x08074b50;
constexpr std::uint64_t kLocalSize = 30, kCentralSize = 46, kEndSize = 22;
constexpr std::uint64_t kEnd64Size = 56, kLocator64Size = 20;
constexpr std::uint32_t kSee64 = 0xffffffff;
constexpr std::uint16_t kSee64Short = 0xffff;
constexpr std::uint16_t kHasDescriptor = 0x0008, kUtf8Name = 0x0800;
constexpr std::uint16_t kExtra64 = 0x0001;

constexpr std::uint64_t kMaxMembers = 1 << 18;
constexpr std::uint64_t kMaxName = 1024;

struct Directory {
  std::uint64_t offset = 0, size = 0, entries = 0;
};

struct Entry {
  ZipMember member;
  std::uint64_t header = 0;  // offset of the local header
  std::uint64_t end = 0;     // first byte after the data and its descriptor
  std::uint16_t flags = 0;
};

class ZipReader {
 public:
  ZipReader(Bytes file, const std::string& origin) : file_(file), origin_(origin) {}

  std::vector<ZipMember> run() {
    const Directory directory = find_directory();
    std::vector<Entry> entries = read_directory(directory);
    for (Entry& entry : entries) check_local(entry, directory);
    check_overlap(entries);
    std::vector<ZipMember> members;
    members.reserve(entries.size());
    for (Entry& entry : entries) members.push_back(std::move(entry.member));
    check_names(members);
    return members;
  }

 private:
  [[noreturn]] void stop(const std::string& what) const {
    fail(Fault::checkpoint, origin_ + ": " + what);
  }

  template <class T>
  T load(std::uint64_t at) const {
    const auto value = load_little<T>(file_, at);
    if (!value) stop("the ZIP record at byte " + std::to_string(at) + " is cut off");
    return *value;
  }
  std::uint16_t u16(std::uint64_t at) const { return load<std::uint16_t>(at); }
  std::uint32_t u32(std::uint64_t at) const { return load<std::uint32_t>(at); }
  std::uint64_t u64(std::uint64_t at) const { return load<std::uint64_t>(at); }

  Directory find_directory() const {
    const std::uint64_t total = file_.size();
    if (total < kEndSize || u32(total - kEndSize) != kEnd) {
      stop(
          "the file does not end with the end record of a ZIP file: it is truncated, or something "
          "follows it");
    }
    const std::uint64_t end = total - kEndSize;
    if (u16(end + 20) != 0) stop("the ZIP end record announces a comment; PyTorch writes none");
    if (u16(end + 4) != 0 || u16(end + 6) != 0) stop("a part of a ZIP file in several parts");
    Directory directory{u32(end + 16), u32(end + 12), u16(end + 10)};
    if (u16(end + 8) != u16(end + 10)) stop("the ZIP end record gives two counts of members");
    std::uint64_t directory_end = end;
    if (end >= kLocator64Size && u32(end - kLocator64Size) == kLocator64) {
      const Directory wide = find_directory64(end - kLocator64Size, directory_end);
      const bool agree = (directory.offset == kSee64 || directory.offset == wide.offset) &&
                         (directory.size == kSee64 || directory.size == wide.size) &&
                         (directory.entries == kSee64Short || directory.entries == wide.entries);
      if (!agree) stop("the two ZIP end records disagree");
      directory = wide;
    }
    if (!within(directory.offset, directory.size, directory_end) ||
        directory.offset + directory.size != directory_end) {
      stop("the ZIP directory is said to be at bytes [" + std::to_string(directory.offset) + ", +" +
           std::to_string(directory.size) + "), want it to end at byte " +
           std::to_string(directory_end));
    }
    if (directory.entries > kMaxMembers || directory.entries > directory.size / kCentralSize) {
      stop("the ZIP directory is said to have " + std::to_string(directory.entries) +
           " members, more than its " + std::to_string(directory.size) + " bytes can hold");
    }
    return directory;
  }

  Directory find_directory64(std::uint64_t locator, std::uint64_t& directory_end) const {
    const std::uint64_t at = u64(locator + 8);
    if (locator < kEnd64Size || at != locator - kEnd64Size || u32(at) != kEnd64 ||
        u64(at + 4) != kEnd64Size - 12) {
      stop("the ZIP64 end record is not where its locator says");
    }
    if (u32(locator + 4) != 0 || u32(at + 16) != 0 || u32(at + 20) != 0) {
      stop("a part of a ZIP file in several parts");
    }
    if (u64(at + 24) != u64(at + 32)) stop("the ZIP64 end record gives two counts of members");
    directory_end = at;
    return {u64(at + 48), u64(at + 40), u64(at + 32)};
  }

  std::vector<Entry> read_directory(const Directory& directory) const {
    std::vector<Entry> entries;
    entries.reserve(directory.entries);
    const std::uint64_t end = directory.offset + directory.size;
    std::uint64_t at = directory.offset;
    for (std::uint64_t i = 0; i < directory.entries; ++i) {
      if (!within(at, kCentralSize, end) || u32(at) != kCentral) {
        stop("the ZIP directory has no entry at byte " + std::to_string(at));
      }
      const std::uint64_t name = u16(at + 28), extra = u16(at + 30), comment = u16(at + 32);
      if (!within(at + kCentralSize, name + extra + comment, end)) {
        stop("the ZIP directory entry at byte " + std::to_string(at) + " is cut off");
      }
      entries.push_back(read_entry(at));
      at += kCentralSize + name + extra + comment;
    }
    if (at != end) stop("the ZIP directory has bytes after its last entry");
    return entries;
  }

  Entry read_entry(std::uint64_t at) const {
    const std::uint64_t name_size = u16(at + 28), extra_size = u16(at + 30);
    Entry entry;
    entry.member.name = text(at + kCentralSize, name_size);
    const std::string who = "member " + shown(entry.member.name);
    if (name_size == 0 || name_size > kMaxName || !is_plain(entry.member.name) ||
        find_bad_utf8(entry.member.name) || leaves_root(entry.member.name)) {
      stop(who + ": not an acceptable name of a ZIP member");
    }
    entry.flags = u16(at + 8);
    check_flags(entry.flags, who);
    if (u16(at + 10) != 0) {
      stop(who + " is compressed (method " + std::to_string(u16(at + 10)) +
           "); PyTorch stores members as they are");
    }
    if (u16(at + 34) != 0) stop("a part of a ZIP file in several parts");
    entry.member.crc = u32(at + 16);
    Extra64 extra(*this, at + kCentralSize + name_size, extra_size);
    // The order of the fields in the extra record is fixed: size, compressed size, offset.
    entry.member.size = extra.widen(u32(at + 24), who);
    const std::uint64_t compressed = extra.widen(u32(at + 20), who);
    entry.header = extra.widen(u32(at + 42), who);
    if (compressed != entry.member.size) {
      stop(who + ": stored, and yet of two sizes: " + std::to_string(compressed) + " and " +
           std::to_string(entry.member.size));
    }
    return entry;
  }

  // The wide fields of a directory entry or a local header, handed out in order.
  class Extra64 {
   public:
    Extra64(const ZipReader& zip, std::uint64_t at, std::uint64_t size) : zip_(zip) {
      const std::uint64_t end = at + size;
      while (within(at, 4, end)) {
        const std::uint64_t length = zip.u16(at + 2);
        if (!within(at + 4, length, end)) break;
        if (zip.u16(at) == kExtra64) {
          at_ = at + 4;
          end_ = at_ + length;
          return;
        }
        at += 4 + length;
      }
    }
    std::uint64_t widen(std::uint32_t narrow, const std::string& who) {
      if (narrow != kSee64) return narrow;
      if (!within(at_, 8, end_)) zip_.stop(who + ": its ZIP64 sizes are missing");
      at_ += 8;
      return zip_.u64(at_ - 8);
    }

   private:
    const ZipReader& zip_;
    std::uint64_t at_ = 0, end_ = 0;
  };

  void check_flags(std::uint16_t flags, const std::string& who) const {
    if ((flags & ~(kHasDescriptor | kUtf8Name)) != 0) {
      stop(who + ": ZIP flags " + std::to_string(flags) +
           " (encrypted or patched), want plain data");
    }
  }

  // The local header repeats the directory; a reader that goes by the one must see what a reader
  // that goes by the other sees.
  void check_local(Entry& entry, const Directory& directory) const {
    ZipMember& member = entry.member;
    const std::string who = "member " + shown(member.name);
    if (!within(entry.header, kLocalSize, directory.offset) || u32(entry.header) != kLocal) {
      stop(who + ": no local header at byte " + std::to_string(entry.header) +
           ", where the directory says");
    }
    const std::uint64_t name_size = u16(entry.header + 26), extra_size = u16(entry.header + 28);
    member.offset = entry.header + kLocalSize + name_size + extra_size;
    if (!within(member.offset, member.size, directory.offset)) {
      stop(who + ": bytes [" + std::to_string(member.offset) + ", +" + std::to_string(member.size) +
           ") go beyond the data, which end at byte " + std::to_string(directory.offset));
    }
    const std::uint64_t names = entry.header + kLocalSize;
    const std::uint16_t flags = u16(entry.header + 6);
    Extra64 extra(*this, names + name_size, extra_size);
    const std::uint32_t crc = u32(entry.header + 14);
    const std::uint64_t size = extra.widen(u32(entry.header + 22), who);
    const std::uint64_t compressed = extra.widen(u32(entry.header + 18), who);
    // With a descriptor after the data, the fields before them may still be zero.
    const bool later = (flags & kHasDescriptor) != 0;
    const bool sizes_agree = (size == member.size && compressed == member.size) ||
                             (later && size == 0 && compressed == 0);
    const bool crc_agrees = crc == member.crc || (later && crc == 0);
    if (text(names, name_size) != member.name || flags != entry.flags ||
        u16(entry.header + 8) != 0 || !sizes_agree || !crc_agrees) {
      stop(who + ": its local header and the ZIP directory disagree");
    }
    entry.end = member.offset + member.size;
    if (later) check_descriptor(entry, directory, who);
  }

  // crc, compressed size, size after the data: with or without a signature, in 4 or 8 bytes.
  void check_descriptor(Entry& entry, const Directory& directory, const std::string& who) const {
    const ZipMember& member = entry.member;
    for (const std::uint64_t signature : {4, 0}) {
      for (const std::uint64_t wide : {8, 4}) {
        const std::uint64_t length = signature + 4 + 2 * wide;
        if (!within(entry.end, length, directory.offset)) continue;
        if (signature != 0 && u32(entry.end) != kDescriptor) continue;
        const std::uint64_t at = entry.end + signature;
        const std::uint64_t first = wide == 8 ? u64(at + 4) : u32(at + 4);
        const std::uint64_t second = wide == 8 ? u64(at + 12) : u32(at + 8);
        if (u32(at) == member.crc && first == member.size && second == member.size) {
          entry.end += length;
          return;
        }
      }
    }
    stop(who + ": the descriptor after its data and the ZIP directory disagree");
  }

  void check_overlap(const std::vector<Entry>& entries) const {
    std::vector<const Entry*> by_place;
    by_place.reserve(entries.size());
    for (const Entry& entry : entries) by_place.push_back(&entry);
    std::sort(by_place.begin(), by_place.end(),
              [](const Entry* a, const Entry* b) { return a->header < b->header; });
    for (std::size_t i = 1; i < by_place.size(); ++i) {
      if (by_place[i]->header < by_place[i - 1]->end) {
        stop("members " + shown(by_place[i - 1]->member.name) + " and " +
             shown(by_place[i]->member.name) + " overlap");
      }
    }
  }

  void check_names(const std::vector<ZipMember>& members) const {
    std::vector<std::string_view> names;
    names.reserve(members.size());
    for (const ZipMember& member : members) names.push_back(member.name);
    std::sort(names.begin(), names.end());
    const auto twice = std::adjacent_find(names.begin(), names.end());
    if (twice != names.end()) stop("two members are called " + shown(*twice));
  }

  static bool leaves_root(std::string_view name) {
    if (name.front() == '/' || name.find('\\') != std::string_view::npos) return true;
    for (std::size_t at = 0; at <= name.size();) {
      const std::size_t slash = std::min(name.find('/', at), name.size());
      const std::string_view part = name.substr(at, slash - at);
      if (part == ".." || part == ".") return true;
      at = slash + 1;
    }
    return false;
  }

  std::string text(std::uint64_t at, std::uint64_t size) const {
    if (!within(at, size, file_.size())) stop("a ZIP name is cut off");
    return {reinterpret_cast<const char*>(file_.data() + at), static_cast<std::size_t>(size)};
  }

  Bytes file_;
  const std::string& origin_;
};

}  // namespace

std::vector<ZipMember> read_zip(Bytes file, const std::string& origin) {
  return ZipReader(file, origin).run();
}

void check_crc(Bytes file, const ZipMember& member, const std::string& origin) {
  Bytes rest = file.subspan(member.offset, member.size);
  uLong crc = crc32(0, nullptr, 0);
  while (!rest.empty()) {
    const std::size_t piece = std::min<std::size_t>(rest.size(), std::size_t{1} << 30);
    crc = crc32(crc, reinterpret_cast<const Bytef*>(rest.data()), static_cast<uInt>(piece));
    rest = rest.subspan(piece);
  }
  if (crc != member.crc) {
    fail(Fault::checkpoint, origin + ": member " + shown(member.name) +
                                ": its CRC-32 is not the one in the ZIP directory: damaged");
  }
}

}  // namespace genossm
