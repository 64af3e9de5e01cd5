// ZipWriter: members one after the other, stored as they are, with ZIP64 where it is needed. No
// clock (1980-01-01 throughout), so that the same members give the same bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "libgenossm/base/zip.h"
#include "libgenossm/output/atomic_file.h"

namespace genossm {

// The header before a member's bytes; the name is ASCII. Its size depends on the name alone: it has
// room for 64-bit sizes, so that it can be written before they are known. `offset` plays no part.
std::string zip_local_header(const ZipMember& member);

// What closes the file: the directory, of which `offset` of each member is that of its local
// header, and the end records, ZIP64 ones where 32 bits do not do. `at`: where it will stand in the
// file.
std::string zip_directory(const std::vector<ZipMember>& members, std::uint64_t at);

class ZipWriter {
 public:
  explicit ZipWriter(AtomicFile& file) : file_(file) {}

  // The member begins with `reserved` bytes that end_member() supplies.
  void begin_member(const std::string& name, std::size_t reserved = 0);
  void write(std::string_view bytes);
  void end_member(std::string_view reserved = {});
  void finish();  // the directory; the file is then to be published

 private:
  AtomicFile& file_;
  std::vector<ZipMember> members_;
  std::size_t reserved_ = 0;  // of the open member
};

}  // namespace genossm
