// MappedFile: the bytes of a regular file, mapped read-only. Copies share one mapping.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace genossm {

class MappedFile {
 public:
  // Follows links; a folder, a device or a pipe is refused without being opened for long: nothing
  // here waits for a writer. Throws Error{Fault::missing}.
  static MappedFile open(const std::filesystem::path& path);

  // The files one after the other as one: PATH.part0, PATH.part1 and so on, as far as they go.
  static MappedFile open_parts(const std::filesystem::path& path);
  // Bytes in memory as if they were a file of that name, copied.
  static MappedFile copy_of(std::span<const std::byte> bytes, const std::string& name);
  // So many zeros, which take no memory.
  static MappedFile zeros(std::size_t size);

  std::span<const std::byte> bytes() const;
  std::string_view text() const;  // the same bytes
  const std::filesystem::path& path() const;

  // Lets go of the pages that lie wholly in `part`, a piece of bytes(): they are read from the file
  // again where they are looked at again.
  void not_needed(std::span<const std::byte> part) const;

  // Throws Error{Fault::missing} if the file's size or time of change is no longer what it was when
  // it was opened: a mapped file that shrinks would end the program at the next read.
  void check_unchanged() const;

 private:
  struct Mapping;
  std::shared_ptr<const Mapping> mapping_;
};

}  // namespace genossm
