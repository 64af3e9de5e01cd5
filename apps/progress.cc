#include "apps/progress.h"

#include <unistd.h>

#include <cmath>
#include <cstdio>

#include "kernels/core/error.h"

namespace genossm {

ProgressKind parse_progress(const std::string& text) {
  if (text == "auto") return ProgressKind::automatic;
  if (text == "plain") return ProgressKind::plain;
  if (text == "none") return ProgressKind::none;
  fail(Fault::usage, "--progress '" + text + "' is none of auto, plain, none");
}

Progress::Progress(std::string command, ProgressKind kind, std::string unit)
    : command_(std::move(command)),
      unit_(std::move(unit)),
      terminal_(kind == ProgressKind::automatic && isatty(STDERR_FILENO) == 1),
      silent_(kind == ProgressKind::none),
      start_(Clock::now()),
      last_(start_) {}

Progress::~Progress() { clear(); }

void Progress::update(Index done, Index total) {
  if (silent_) return;
  const auto now = Clock::now();
  if (now - last_ < (terminal_ ? std::chrono::milliseconds(200) : std::chrono::seconds(30))) return;
  last_ = now;
  const double elapsed = seconds();
  const double rate = elapsed > 0 ? static_cast<double>(done) / elapsed : 0;
  std::string line = command_ + ": " + with_commas(done);
  if (total > 0) line += " of " + with_commas(total);
  line += ' ' + unit_ + "s, " + rate_text(rate, unit_);
  if (total > done && rate > 0) {
    line += ", " + duration_text(static_cast<double>(total - done) / rate) + " left";
  }
  if (terminal_) {
    std::fprintf(stderr, "\r\033[K%s", line.c_str());
    drawn_ = true;
  } else {
    std::fprintf(stderr, "%s\n", line.c_str());
  }
  std::fflush(stderr);
}

void Progress::clear() {
  if (drawn_) std::fputs("\r\033[K", stderr);
  drawn_ = false;
}

double Progress::seconds() const {
  return std::chrono::duration<double>(Clock::now() - start_).count();
}

std::string with_commas(Index n) {
  std::string digits = std::to_string(n);
  for (auto at = static_cast<Index>(digits.size()) - 3; at > (n < 0 ? 1 : 0); at -= 3) {
    digits.insert(static_cast<std::size_t>(at), 1, ',');
  }
  return digits;
}

std::string rate_text(double per_second) {
  char text[32];
  if (per_second >= 1e6) {
    std::snprintf(text, sizeof text, "%.2f Mb/s", per_second / 1e6);
  } else if (per_second >= 1e3) {
    std::snprintf(text, sizeof text, "%.1f kb/s", per_second / 1e3);
  } else {
    std::snprintf(text, sizeof text, "%.0f b/s", per_second);
  }
  return text;
}

std::string rate_text(double per_second, const std::string& unit) {
  if (unit == "base") return rate_text(per_second);
  return with_commas(std::lround(per_second)) + ' ' + unit + "s/s";
}

std::string duration_text(double seconds) {
  char text[32];
  const auto whole = static_cast<long>(std::lround(seconds));
  if (seconds < 60) {
    std::snprintf(text, sizeof text, "%.1f s", seconds);
  } else if (whole < 3600) {
    std::snprintf(text, sizeof text, "%ld:%02ld", whole / 60, whole % 60);
  } else {
    std::snprintf(text, sizeof text, "%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60, whole % 60);
  }
  return text;
}

}  // namespace genossm
