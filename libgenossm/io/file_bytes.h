// FileBytes: the uncompressed bytes of a plain or bgzip file, at any offset and from any thread.
//
// A bgzip file is a row of gzip members of at most 64 KiB, each of which names its own length
// (SAM specification, section 4.1), so that a map of their places needs no decompression.
// Errors: Fault::missing, Fault::input (ordinary gzip, damaged or truncated blocks).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/core/view.h"

namespace genossm {

class FileBytes {
 public:
  static FileBytes open(const std::string& path);

  Index size() const { return size_; }
  bool compressed() const { return !blocks_.empty(); }
  // Whether PATH.gzi stands there and fits.
  bool has_index() const { return has_index_; }
  bool lacks_end_block() const { return lacks_end_block_; }
  const std::string& path() const { return path_; }
  std::filesystem::file_time_type changed() const { return changed_; }

  // As many bytes as there are from `offset` on, `out.size()` at most.
  Index read(Index offset, std::span<char> out) const;
  // The map as PATH.gzi holds it.
  std::string index_text() const;

 private:
  struct Block {
    std::uint64_t compressed = 0;    // where it begins in the file
    std::uint64_t uncompressed = 0;  // and in the text
  };
  struct Descriptor;
  struct Last;

  void read_file(std::uint64_t offset, std::span<char> out) const;
  std::uint64_t block_length(std::uint64_t at) const;
  bool load_index();
  void walk(std::size_t most);
  void decompress(const Block& block, std::uint64_t stored, std::span<char> out) const;
  void copy_part(const Block& block, std::size_t size, std::size_t skip, std::span<char> out) const;
  [[noreturn]] void refuse(const std::string& sentence) const;

  std::string path_;
  std::filesystem::file_time_type changed_;
  std::shared_ptr<const Descriptor> descriptor_;
  std::shared_ptr<Last> last_;
  std::uint64_t stored_ = 0;   // bytes in the file
  std::vector<Block> blocks_;  // those that hold something, and one past the last
  std::uint64_t walked_ = 0;   // how far the map reaches, in the file and in the text
  std::uint64_t mapped_ = 0;
  Index size_ = 0;
  bool has_index_ = false;
  bool lacks_end_block_ = false;
};

}  // namespace genossm
