// Writes small ZIP files of stored members for tests, with any field made to lie.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace genossm::test {

struct ZipPart {
  std::string name;
  std::string data;
  std::uint16_t method = 0;
  std::uint16_t flags = 0;
  // What the directory says, where it differs from the truth.
  std::int64_t size_off = 0, offset_off = 0;
  std::string local_name = {};  // in the local header, if another
  std::uint32_t crc_flip = 0;   // in both places
  bool wide = false;            // sizes in ZIP64 extra fields
};

template <class T>
void put(std::string& out, T value) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  out.append(bytes, sizeof(T));
}

inline std::uint32_t crc_of(const std::string& data) {
  return static_cast<std::uint32_t>(
      ::crc32(0, reinterpret_cast<const Bytef*>(data.data()), static_cast<uInt>(data.size())));
}

// wide_end: with the ZIP64 end record and its locator, as torch.save writes them.
inline std::string make_zip(const std::vector<ZipPart>& parts, bool wide_end = false) {
  std::string out, directory;
  for (const ZipPart& part : parts) {
    const auto offset =
        static_cast<std::uint32_t>(static_cast<std::int64_t>(out.size()) + part.offset_off);
    const std::uint32_t crc = crc_of(part.data) ^ part.crc_flip;
    const auto size = static_cast<std::uint32_t>(part.data.size());
    const auto said = static_cast<std::uint32_t>(size + part.size_off);
    const std::string& local = part.local_name.empty() ? part.name : part.local_name;
    const bool later = (part.flags & 8) != 0;
    std::string extra;
    if (part.wide) {
      put<std::uint16_t>(extra, 1), put<std::uint16_t>(extra, 16);
      put<std::uint64_t>(extra, said), put<std::uint64_t>(extra, said);
    }
    const std::uint32_t narrow = part.wide ? 0xffffffffu : said;

    put<std::uint32_t>(out, 0x04034b50), put<std::uint16_t>(out, 45);
    put<std::uint16_t>(out, part.flags), put<std::uint16_t>(out, part.method);
    put<std::uint32_t>(out, 0), put<std::uint32_t>(out, later ? 0 : crc);
    put<std::uint32_t>(out, later ? 0 : narrow), put<std::uint32_t>(out, later ? 0 : narrow);
    put<std::uint16_t>(out, static_cast<std::uint16_t>(local.size()));
    put<std::uint16_t>(out, static_cast<std::uint16_t>(extra.size()));
    out += local + extra + part.data;
    if (later) {
      put<std::uint32_t>(out, 0x08074b50), put<std::uint32_t>(out, crc);
      put<std::uint32_t>(out, size), put<std::uint32_t>(out, size);
    }

    put<std::uint32_t>(directory, 0x02014b50), put<std::uint16_t>(directory, 45);
    put<std::uint16_t>(directory, 45), put<std::uint16_t>(directory, part.flags);
    put<std::uint16_t>(directory, part.method), put<std::uint32_t>(directory, 0);
    put<std::uint32_t>(directory, crc), put<std::uint32_t>(directory, narrow);
    put<std::uint32_t>(directory, narrow);
    put<std::uint16_t>(directory, static_cast<std::uint16_t>(part.name.size()));
    put<std::uint16_t>(directory, static_cast<std::uint16_t>(extra.size()));
    put<std::uint16_t>(directory, 0), put<std::uint16_t>(directory, 0);
    put<std::uint16_t>(directory, 0), put<std::uint32_t>(directory, 0);
    put<std::uint32_t>(directory, offset);
    directory += part.name + extra;
  }
  const std::uint64_t at = out.size();
  const std::uint64_t count = parts.size();
  out += directory;
  const std::uint64_t end = out.size();
  if (wide_end) {
    put<std::uint32_t>(out, 0x06064b50), put<std::uint64_t>(out, 44);
    put<std::uint16_t>(out, 45), put<std::uint16_t>(out, 45);
    put<std::uint32_t>(out, 0), put<std::uint32_t>(out, 0);
    put<std::uint64_t>(out, count), put<std::uint64_t>(out, count);
    put<std::uint64_t>(out, directory.size()), put<std::uint64_t>(out, at);
    put<std::uint32_t>(out, 0x07064b50), put<std::uint32_t>(out, 0);
    put<std::uint64_t>(out, end), put<std::uint32_t>(out, 1);
  }
  put<std::uint32_t>(out, 0x06054b50), put<std::uint32_t>(out, 0);
  put<std::uint16_t>(out, static_cast<std::uint16_t>(wide_end ? 0xffff : count));
  put<std::uint16_t>(out, static_cast<std::uint16_t>(wide_end ? 0xffff : count));
  put<std::uint32_t>(out, static_cast<std::uint32_t>(directory.size()));
  put<std::uint32_t>(out, static_cast<std::uint32_t>(wide_end ? 0xffffffff : at));
  put<std::uint16_t>(out, 0);
  return out;
}

}  // namespace genossm::test
