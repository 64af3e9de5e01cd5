// TextFile: text, plain or bgzip, to a file that appears when complete, to standard output or to a
// device.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "libgenossm/output/atomic_file.h"
#include "libgenossm/output/byte_sink.h"
#include "libgenossm/output/packed_blocks.h"

namespace genossm {

class TextFile {
 public:
  // `compressed`: as BGZF, in the blocks that bgzip makes, by so many threads. Throws
  // Fault::output.
  TextFile(const std::string& path, bool force, bool compressed, int threads = 1);

  void write(std::string_view text);
  // A line; a line break in it would be two, and becomes a space.
  void line(std::string_view text);

  // The file's name until it is published; empty where a stream is written.
  std::string temporary() const { return file_ ? file_->temporary() : ""; }

  // With sync() everything is written, the closing BGZF block too; with publish() a file has its
  // name. publish() alone does both.
  void sync();
  void publish();

 private:
  void put(std::string_view bytes) { file_ ? file_->write(bytes) : stream_.write(bytes); }

  std::optional<AtomicFile> file_;  // none: stream_ is written
  ByteSink stream_;
  bool ended_ = false;
  std::optional<PackedBlocks> blocks_;  // none: not compressed
  std::string block_;                   // text that does not fill a BGZF block yet
};

}  // namespace genossm
