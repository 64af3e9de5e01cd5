// What a Zarr v2 store is made of: a folder with arrays, and of each array chunks that are files of
// their own.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "libgenossm/output/writer.h"

namespace genossm {

// Files below a folder that its owner syncs, names and removes.
class ZarrFolder {
 public:
  // `label` begins every message. The folder exists.
  ZarrFolder(std::string path, std::string label)
      : path_(std::move(path)), label_(std::move(label)) {}

  // Throw Fault::output.
  void folder(const std::string& name) const;
  // A new file: one that had the name before may be another store's too, and stays as it is.
  void file(const std::string& name, std::string_view bytes) const;
  // The file `from` under a further name; a copy of it where the file system knows no such thing.
  void link(const std::string& from, const std::string& name) const;

 private:
  [[noreturn]] void refuse(const std::string& why) const;

  std::string path_, label_;
};

// One array that grows along its first axis. The last chunk is filled up: all have one size.
class ZarrArray {
 public:
  // `row`: bytes of one row; texts have none and are packed as numcodecs' vlen-utf8. `columns` 0:
  // one axis only. `block`: rows of a chunk. `first`: rows that come before the first one here, a
  // multiple of `block`.
  ZarrArray(const ZarrFolder& store, std::string name, std::string dtype, Index columns,
            std::size_t row, Index block, Index first = 0);

  void add(std::string_view row);
  void add(std::int64_t value) { add({reinterpret_cast<const char*>(&value), sizeof value}); }
  // The next `block` rows are the chunk in this file. The chunk before is full.
  void add_chunk(const std::string& file);

  Index rows() const { return rows_; }
  bool at_border() const { return in_chunk_ == 0; }
  Index chunks() const { return chunks_; }    // that are full
  std::string chunk_name(Index chunk) const;  // in the store
  // The compressed bytes of the chunk written last.
  const std::string& last_chunk() const { return last_; }

  // The last chunk and what describes the array.
  void finish();

 private:
  void flush();

  const ZarrFolder& store_;
  std::string name_, dtype_;
  Index columns_;
  std::size_t row_;
  Index block_, rows_ = 0, in_chunk_ = 0, chunks_ = 0;
  std::string chunk_, last_;
};

// The array that a matrix becomes. Bytes and chunks follow from the spec alone.
ZarrArray zarr_matrix_array(const ZarrFolder& store, const MatrixSpec& spec, Index first = 0);
// Rows of one of its chunks.
Index zarr_block(const MatrixSpec& spec);

}  // namespace genossm
