// Progress on stderr: a line that is rewritten on a terminal, one plain line per 30 s otherwise.
#pragma once

#include <chrono>
#include <string>

#include "kernels/core/view.h"

namespace genossm {

enum class ProgressKind { automatic, plain, none };
ProgressKind parse_progress(const std::string& text);  // auto, plain, none; Fault::usage

class Progress {
 public:
  // `unit`: one of what is counted.
  Progress(std::string command, ProgressKind kind, std::string unit = "base");
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Done so far, and in all where that is known (else 0). Cheap: looks at the clock.
  void update(Index done, Index total);
  // Removes the line from the terminal; called before anything else is printed.
  void clear();
  double seconds() const;

 private:
  using Clock = std::chrono::steady_clock;
  std::string command_, unit_;
  bool terminal_, silent_, drawn_ = false;
  Clock::time_point start_, last_;
};

std::string with_commas(Index n);          // 63,025,520
std::string rate_text(double per_second);  // "41.3 kb/s"
// "41.3 kb/s" of bases, else "1,234 alleles/s".
std::string rate_text(double per_second, const std::string& unit);
std::string duration_text(double seconds);  // "1:02:03", "2:03", "4.2 s"

}  // namespace genossm
