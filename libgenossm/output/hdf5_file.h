// Hdf5File: what we need of HDF5: groups, attributes, and columns and matrices that grow block by
// block. No clocks, so that the same calls give the same bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "libgenossm/output/atomic_file.h"
#include "libgenossm/output/writer.h"

namespace genossm {

class Hdf5File {
 public:
  using Id = std::int64_t;  // hid_t

  // All throw Fault::output.
  Hdf5File(const std::string& path, bool force);
  Hdf5File(const Hdf5File&) = delete;
  Hdf5File& operator=(const Hdf5File&) = delete;
  ~Hdf5File();

  Id root() const { return file_; }
  Id group(Id parent, const std::string& name);
  void attribute(Id object, const std::string& name, std::string_view text);
  void attribute(Id object, const std::string& name, const std::vector<std::string>& texts);
  void flag(Id object, const std::string& name, bool value);
  void scalar(Id parent, const std::string& name, std::string_view text);

  // [0, columns] or, with columns 0, [0]; grows by append(). `type`: one of below.
  enum class Type { f32, f16, bf16, i64, i32, text };
  Id dataset(Id parent, const std::string& name, Type type, Index columns, Index block);
  // Rows at the end: elements as they lie in the file.
  void append(Id dataset, Type type, Index columns, Index rows, const void* elements);
  void append(Id dataset, const std::vector<std::string>& texts);

  void close();  // everything is on the disk; then publish()
  void publish() { file_on_disk_.publish(); }

 private:
  [[noreturn]] void refuse() const;
  void check(std::int64_t status) const {
    if (status < 0) refuse();
  }
  Id type_of(Type type) const;

  AtomicFile file_on_disk_;
  mutable bool failed_ = false;
  Id file_ = -1, text_ = -1, f16_ = -1, bf16_ = -1;
  std::vector<Id> groups_, datasets_;
};

}  // namespace genossm
