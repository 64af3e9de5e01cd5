// Error: one sentence and the kind of fault, which decides the exit code of the program.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace genossm {

// Exit codes are those of docs/exit-codes.md.
enum class Fault {
  internal,    // 1: a fault of ours
  usage,       // 2: wrong option or combination of options
  input,       // 3: input data malformed, truncated or corrupt
  missing,     // 4: input missing or unreadable
  output,      // 5: output could not be written
  checkpoint,  // 6: checkpoint refused
  memory,      // 7: not enough memory even at the smallest chunk
  device,      // 8: the device asked for is absent or unusable
  bound,       // 9: doctor or bench --check found a figure out of its bound
  shape,       // 1: an op was called with views that do not fit together
};

// The process exit code of a fault.
int exit_code(Fault fault);

// what() is one sentence: the thing, what it is, what was wanted. No trailing newline.
class Error : public std::runtime_error {
 public:
  Error(Fault fault, const std::string& sentence) : std::runtime_error(sentence), fault_(fault) {}
  Fault fault() const { return fault_; }

 private:
  Fault fault_;
};

[[noreturn]] void fail(Fault fault, const std::string& sentence);

// Throws Error{fault} with `sentence` unless `condition` holds.
inline void require(bool condition, Fault fault, std::string_view sentence) {
  if (!condition) fail(fault, std::string(sentence));
}

}  // namespace genossm
