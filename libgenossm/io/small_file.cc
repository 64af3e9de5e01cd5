#include "libgenossm/io/small_file.h"

#include <filesystem>
#include <fstream>

namespace genossm {

std::optional<std::string> read_small_file(const std::string& path, std::uintmax_t most) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return std::nullopt;
  const std::uintmax_t size = std::filesystem::file_size(path, error);
  if (error || size > most) return std::nullopt;
  std::string text(static_cast<std::size_t>(size), '\0');
  std::ifstream file(path, std::ios::binary);
  file.read(text.data(), static_cast<std::streamsize>(size));
  if (!file) return std::nullopt;
  return text;
}

}  // namespace genossm
