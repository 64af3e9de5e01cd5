// ByteSink: an open descriptor that is written from front to back through a buffer.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace genossm {

class ByteSink {
 public:
  ByteSink() = default;
  // Owns the descriptor. `label` begins every message.
  ByteSink(int descriptor, std::string label);
  ByteSink(ByteSink&& other) noexcept;
  ByteSink& operator=(ByteSink&& other) noexcept;
  // Closes; what is still in the buffer is dropped.
  ~ByteSink();

  // Under a descriptor of its own. Throws Fault::output if it is closed.
  static ByteSink standard_output();

  // All throw Error{Fault::output} with the label and the reason of the system: no space left,
  // quota, closed pipe (if the program ignores SIGPIPE, as main() does), failing disk.
  void write(std::string_view bytes);
  // Bytes that were written already, anew. Regular files only.
  void overwrite(std::uint64_t offset, std::string_view bytes);
  void flush();  // nothing is left in the buffer
  void sync();   // flush, and the bytes are on the disk; regular files only

  std::uint64_t size() const { return size_; }  // bytes written so far, buffered ones included
  int descriptor() const { return descriptor_; }
  const std::string& label() const { return label_; }

 private:
  void send(std::string_view bytes);
  [[noreturn]] void fail_now(int code) const;

  int descriptor_ = -1;
  std::uint64_t size_ = 0;
  std::string label_;
  std::string buffer_;
};

// "-" and "/dev/stdout".
bool is_standard_output(const std::string& path);

}  // namespace genossm
