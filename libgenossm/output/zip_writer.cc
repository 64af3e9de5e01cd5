#include "libgenossm/output/zip_writer.h"

#include <zlib.h>

#include <algorithm>

#include "kernels/core/error.h"
#include "libgenossm/output/little.h"

namespace genossm {
namespace {

// APPNOTE.TXT 6.3, section 4.3.
constexpr std::uint32_t kLocal = 0x04034b50, kCentral = 0x02014b50, kEnd = 0x06054b50;
constexpr std::uint32_t kEnd64 = 0x06064b50, kLocator64 = 0x07064b50;
constexpr std::uint16_t kVersion = 45;  // ZIP64; made by MS-DOS: no permissions are given
constexpr std::uint16_t kNoFlags = 0, kStored = 0;
constexpr std::uint32_t kDate = 0x0021u << 16;  // 1980-01-01 00:00:00
constexpr std::uint16_t kExtra64 = 0x0001;
constexpr std::uint32_t kSee64 = 0xffffffff;
constexpr std::uint16_t kSee64Short = 0xffff;

static_assert(sizeof(z_off_t) == 8, "crc32_combine must take members of more than 4 GiB");

std::uint32_t narrow(std::uint64_t value) {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(value, kSee64));
}

std::uint32_t crc_of(std::string_view bytes, std::uint32_t before = 0) {
  if (bytes.empty()) return before;  // zlib starts anew when it is given no address
  return static_cast<std::uint32_t>(
      crc32_z(before, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

// What a local header and a directory entry have in common.
void put_common(std::string& out, const ZipMember& member, std::uint32_t size,
                std::size_t extra_size) {
  put_little(out, kVersion);
  put_little(out, kNoFlags);
  put_little(out, kStored);
  put_little(out, kDate);
  put_little(out, member.crc);
  put_little(out, size);  // compressed, and not
  put_little(out, size);
  put_little(out, static_cast<std::uint16_t>(member.name.size()));
  put_little(out, static_cast<std::uint16_t>(extra_size));
}

void put_entry(std::string& out, const ZipMember& member) {
  std::string wide;  // in this order, and only what does not fit its field
  if (member.size >= kSee64) {
    put_little(wide, member.size);
    put_little(wide, member.size);
  }
  if (member.offset >= kSee64) put_little(wide, member.offset);
  const std::size_t extra_size = wide.empty() ? 0 : 4 + wide.size();
  put_little(out, kCentral);
  put_little(out, kVersion);
  put_common(out, member, narrow(member.size), extra_size);
  put_little(out, std::uint16_t{0});  // comment
  put_little(out, std::uint16_t{0});  // disk
  put_little(out, std::uint16_t{0});  // attributes
  put_little(out, std::uint32_t{0});
  put_little(out, narrow(member.offset));
  out += member.name;
  if (wide.empty()) return;
  put_little(out, kExtra64);
  put_little(out, static_cast<std::uint16_t>(wide.size()));
  out += wide;
}

void put_end64(std::string& out, std::uint64_t count, std::uint64_t at, std::uint64_t size) {
  put_little(out, kEnd64);
  put_little(out, std::uint64_t{44});  // of the rest of this record
  put_little(out, kVersion);
  put_little(out, kVersion);
  put_little(out, std::uint32_t{0});  // disks
  put_little(out, std::uint32_t{0});
  put_little(out, count);
  put_little(out, count);
  put_little(out, size);
  put_little(out, at);
  put_little(out, kLocator64);
  put_little(out, std::uint32_t{0});
  put_little(out, at + size);  // of the record above
  put_little(out, std::uint32_t{1});
}

}  // namespace

std::string zip_local_header(const ZipMember& member) {
  constexpr std::uint16_t kWide = 16;
  std::string out;
  put_little(out, kLocal);
  put_common(out, member, kSee64, 4 + kWide);
  out += member.name;
  put_little(out, kExtra64);
  put_little(out, kWide);
  put_little(out, member.size);
  put_little(out, member.size);
  return out;
}

std::string zip_directory(const std::vector<ZipMember>& members, std::uint64_t at) {
  std::string out;
  for (const ZipMember& member : members) put_entry(out, member);
  const std::uint64_t size = out.size(), count = members.size();
  if (at >= kSee64 || size >= kSee64 || count >= kSee64Short) put_end64(out, count, at, size);
  const auto narrow_count = static_cast<std::uint16_t>(std::min<std::uint64_t>(count, kSee64Short));
  put_little(out, kEnd);
  put_little(out, std::uint16_t{0});  // disks
  put_little(out, std::uint16_t{0});
  put_little(out, narrow_count);
  put_little(out, narrow_count);
  put_little(out, narrow(size));
  put_little(out, narrow(at));
  put_little(out, std::uint16_t{0});  // comment
  return out;
}

void ZipWriter::begin_member(const std::string& name, std::size_t reserved) {
  members_.push_back({name, file_.size(), 0, 0});
  file_.write(zip_local_header(members_.back()));
  file_.write(std::string(reserved, '\0'));
  reserved_ = reserved;
}

void ZipWriter::write(std::string_view bytes) {
  file_.write(bytes);
  members_.back().size += bytes.size();
  members_.back().crc = crc_of(bytes, members_.back().crc);
}

void ZipWriter::end_member(std::string_view reserved) {
  require(reserved.size() == reserved_, Fault::internal, "ZipWriter: not what was reserved");
  ZipMember& member = members_.back();
  // The checksum of what comes first was left to the last.
  member.crc = static_cast<std::uint32_t>(
      crc32_combine(crc_of(reserved), member.crc, static_cast<z_off_t>(member.size)));
  member.size += reserved.size();
  const std::string header = zip_local_header(member);
  file_.overwrite(member.offset, header + std::string(reserved));
}

void ZipWriter::finish() { file_.write(zip_directory(members_, file_.size())); }

}  // namespace genossm
