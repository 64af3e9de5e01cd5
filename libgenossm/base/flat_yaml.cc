#include "libgenossm/base/flat_yaml.h"

#include <charconv>
#include <vector>

#include "kernels/core/error.h"
#include "libgenossm/base/mapped_file.h"

namespace genossm {
namespace {

std::string_view trimmed(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

bool is_number(std::string_view text) {
  double value = 0;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool plain = text.find_first_not_of("0123456789+-.eE") == std::string_view::npos;
  return end.ec == std::errc() && end.ptr == text.data() + text.size() && plain;
}

// One scalar as JSON.
std::string scalar(std::string_view text) {
  if (text.size() >= 2 && (text.front() == '"' || text.front() == '\'') &&
      text.back() == text.front()) {
    return quoted(text.substr(1, text.size() - 2));
  }
  std::string low;
  for (const char c : text) low += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  if (low == "true" || low == "false" || low == "null") return low;
  if (low.empty() || low == "~") return "null";
  // JSON has no "1." and no ".5".
  if (is_number(text) && text.front() != '.' && text.find('.') != text.size() - 1 &&
      text.find(".e") == std::string_view::npos && text.find(".E") == std::string_view::npos) {
    return std::string(text);
  }
  return quoted(text);
}

class Reader {
 public:
  Reader(std::string_view text, const std::string& origin) : text_(text), origin_(origin) {}

  Json run() {
    std::string json = "{";
    while (!text_.empty()) {
      const std::string_view line = next_line();
      if (line.empty() || line == "---") continue;
      const auto colon = line.find(':');
      if (colon == std::string_view::npos || colon == 0 ||
          (colon + 1 < line.size() && line[colon + 1] != ' ' && line[colon + 1] != '\t')) {
        stop("want \"key: value\"");
      }
      if (indented_) stop("nested values are not read, want keys at the start of the line");
      if (json.size() > 1) json += ", ";
      json +=
          quoted(trimmed(line.substr(0, colon))) + ": " + value(trimmed(line.substr(colon + 1)));
    }
    return Json::parse(json + "}", origin_);
  }

 private:
  [[noreturn]] void stop(const std::string& what) const {
    fail(Fault::checkpoint, origin_ + ": line " + std::to_string(line_) + ": " + what);
  }

  // Without its comment and the space around it.
  std::string_view next_line() {
    ++line_;
    const auto end = text_.find('\n');
    std::string_view line = text_.substr(0, end);
    text_.remove_prefix(end == std::string_view::npos ? text_.size() : end + 1);
    indented_ = !line.empty() && (line.front() == ' ' || line.front() == '\t');
    char quote = 0;
    for (std::size_t i = 0; i < line.size(); ++i) {
      const bool first = i == 0 || std::string_view(" \t[,").find(line[i - 1]) != line.npos;
      if (quote != 0) {
        if (line[i] == quote) quote = 0;
      } else if (first && (line[i] == '"' || line[i] == '\'')) {
        quote = line[i];
      } else if (first && line[i] == '#') {
        line = line.substr(0, i);
      }
    }
    return trimmed(line);
  }

  // A list may go on over several lines.
  std::string value(std::string_view text) {
    if (text.empty() || text.front() != '[') return scalar(text);
    std::string all(text);
    while (all.back() != ']') {
      if (text_.empty()) stop("a list without its end");
      all += ' ';
      all += next_line();
    }
    std::string_view items = std::string_view(all).substr(1, all.size() - 2);
    std::string list = "[";
    while (!trimmed(items).empty()) {
      const auto comma = items.find(',');
      const std::string_view item = trimmed(items.substr(0, comma));
      if (item.find('[') != std::string_view::npos) stop("a list within a list");
      list += (list.size() > 1 ? ", " : "") + scalar(item);
      items.remove_prefix(comma == std::string_view::npos ? items.size() : comma + 1);
    }
    return list + "]";
  }

  std::string_view text_;
  const std::string& origin_;
  Index line_ = 0;
  bool indented_ = false;
};

}  // namespace

Json parse_flat_yaml(std::string_view text, const std::string& origin) {
  return Reader(text, origin).run();
}

Json read_flat_yaml(const std::filesystem::path& file) {
  const MappedFile mapped = MappedFile::open(file);
  return parse_flat_yaml(mapped.text(), file.filename().string());
}

}  // namespace genossm
