#include "apps/command_line.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace genossm {
namespace {

constexpr std::array<std::string_view, 15> kWithValue{
    "-@",       "--threads",    "--chunk",    "--memory",  "-o",
    "--output", "--summary",    "--progress", "--resume",  "--shard",
    "--reps",   "--save-every", "--logo-hub", "--multiqc", "--plot"};
constexpr std::array<std::string_view, 6> kAlone{"--force", "-q",        "--quiet",
                                                 "-v",      "--verbose", "--clean"};

std::string quoted(const std::string& word) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("-_./:,=+@%").find(c) != std::string_view::npos;
  };
  if (!word.empty() && std::all_of(word.begin(), word.end(), plain)) return word;
  std::string out = "'";
  for (const char c : word) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c;
    }
  }
  return out + "'";
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) {
    if (!out.empty()) out += ' ';
    out += quoted(word);
  }
  return out;
}

}  // namespace

std::string command_text(const std::vector<std::string>& words) { return joined(words); }

std::string recorded_command(const std::vector<std::string>& words) {
  std::vector<std::string> kept;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    const auto is = [&](std::string_view option) { return word == option; };
    // "--chunk=64", "-@2" and "-ofile" are one word.
    const auto holds = [&](std::string_view option) {
      return option.starts_with("--") ? word.starts_with(std::string(option) + "=")
                                      : word.size() > 2 && word.starts_with(option);
    };
    if (std::any_of(kWithValue.begin(), kWithValue.end(), is)) {
      ++i;
    } else if (std::none_of(kAlone.begin(), kAlone.end(), is) &&
               std::none_of(kWithValue.begin(), kWithValue.end(), holds)) {
      kept.push_back(i == 0 ? "genossm" : word);
    }
  }
  return joined(kept);
}

}  // namespace genossm
