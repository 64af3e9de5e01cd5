#include "libgenossm/jobs/npy_ids.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <fstream>
#include <limits>
#include <sstream>

#include "kernels/core/error.h"

namespace genossm {
namespace {

// The text between `key` and the next comma or brace of a .npy header's dictionary.
std::string field(const std::string& header, const std::string& key) {
  const auto at = header.find("'" + key + "'");
  if (at == std::string::npos) return "";
  const auto colon = header.find(':', at);
  if (colon == std::string::npos) return "";
  const auto begin = header.find_first_not_of(' ', colon + 1);
  if (begin == std::string::npos) return "";
  const char close = header[begin] == '(' ? ')' : header[begin] == '\'' ? '\'' : ',';
  const auto end = header.find(close, begin + 1);
  if (end == std::string::npos) return "";
  return header.substr(begin, end - begin + (close == ',' ? 0 : 1));
}

}  // namespace

void check_token_ids(const std::string& name, const std::vector<std::int32_t>& ids, Index vocab) {
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < vocab) continue;
    fail(Fault::input, name + ": token " + std::to_string(i) + " is " + std::to_string(ids[i]) +
                           ", the model's vocabulary has " + std::to_string(vocab) + " rows");
  }
}

std::vector<std::int32_t> read_token_ids(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) fail(Fault::missing, path + ": cannot be read");
  std::ostringstream all;
  all << file.rdbuf();
  const std::string data = all.str();
  if (data.size() < 10 || data.compare(0, 6, "\x93NUMPY") != 0) {
    fail(Fault::input, path + ": not a .npy file");
  }
  const int major = static_cast<unsigned char>(data[6]);
  if (major < 1 || major > 3) {
    fail(Fault::input,
         path + ": version " + std::to_string(major) + " of the .npy format, want 1 to 3");
  }
  const auto byte = [&](std::size_t i) {
    return static_cast<std::size_t>(static_cast<unsigned char>(data[i]));
  };
  std::size_t header_at = 10, header_size = byte(8) | byte(9) << 8;
  if (major >= 2) {
    if (data.size() < 12) fail(Fault::input, path + ": truncated .npy header");
    header_at = 12;
    header_size |= byte(10) << 16 | byte(11) << 24;
  }
  if (header_at + header_size > data.size()) fail(Fault::input, path + ": truncated .npy header");
  const std::string header = data.substr(header_at, header_size);
  const std::string type = field(header, "descr"), shape = field(header, "shape");
  const std::size_t width = type == "'<i8'" ? 8 : type == "'<i4'" ? 4 : 0;
  if (width == 0) {
    fail(Fault::input, path + ": element type " + type + ", want int64 ('<i8') or int32 ('<i4')");
  }
  std::size_t n = 0;
  // "(5,)": strictly, for a number that is half read would be another one.
  const char* const end = shape.data() + shape.size();
  const auto [rest, error] = std::from_chars(shape.data() + !shape.empty(), end, n);
  if (error != std::errc() || std::string_view(rest, end) != ",)") {
    fail(Fault::input, path + ": shape " + shape + ", want one dimension");
  }
  const std::size_t at = header_at + header_size;
  if (n > (data.size() - at) / width || data.size() - at != n * width) {
    fail(Fault::input, path + ": " + std::to_string(data.size() - at) + " bytes of data, want " +
                           std::to_string(n) + " x " + std::to_string(width));
  }
  std::vector<std::int32_t> ids(n);
  for (std::size_t i = 0; i < n; ++i) {
    std::int64_t value = 0;
    if (width == 8) {
      std::memcpy(&value, data.data() + at + 8 * i, 8);
    } else {
      std::int32_t narrow = 0;
      std::memcpy(&narrow, data.data() + at + 4 * i, 4);
      value = narrow;
    }
    if (value < 0 || value > std::numeric_limits<std::int32_t>::max()) {
      fail(Fault::input, path + ": token " + std::to_string(i) + " is " + std::to_string(value));
    }
    ids[i] = static_cast<std::int32_t>(value);
  }
  return ids;
}

}  // namespace genossm
