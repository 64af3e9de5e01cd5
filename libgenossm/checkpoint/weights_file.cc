#include "libgenossm/checkpoint/weights_file.h"

#include <string_view>
#include <system_error>

#include "kernels/core/error.h"
#include "libgenossm/base/mapped_file.h"
#include "libgenossm/checkpoint/safetensors.h"
#include "libgenossm/checkpoint/torch_file.h"

namespace genossm {
namespace {

bool is_tar(std::string_view text) { return text.substr(0, 512).substr(0, 262).ends_with("ustar"); }

// What a file that is neither safetensors nor a PyTorch zip seems to be; empty if nothing known.
std::string_view foreign_form(std::string_view text) {
  if (text.starts_with("\x80\x02\x8a\x0a") || is_tar(text)) {
    return "the format of PyTorch before 1.6; load it in PyTorch and torch.save() it again, or "
           "save "
           "it as safetensors";
  }
  if (text.starts_with("\x80")) return "a bare pickle; want safetensors or a PyTorch zip file";
  if (text.starts_with("GGUF")) return "a GGUF file; want safetensors or a PyTorch zip file";
  if (text.starts_with("\x89HDF")) return "an HDF5 file; want safetensors or a PyTorch zip file";
  if (text.starts_with("version https://git-lfs")) {
    return "a Git LFS pointer, not the weights themselves; fetch them with git lfs pull";
  }
  return {};
}

}  // namespace

bool is_in_parts(const std::filesystem::path& path) {
  std::error_code unreadable;  // a ring of links, say: not there in either form
  return !std::filesystem::exists(path, unreadable) &&
         std::filesystem::exists(path.string() + ".part0", unreadable);
}

std::vector<std::filesystem::path> parts_of(const std::filesystem::path& path) {
  std::vector<std::filesystem::path> parts;
  for (int i = 0;; ++i) {
    std::filesystem::path part = path.string() + ".part" + std::to_string(i);
    std::error_code unreadable;
    if (!std::filesystem::exists(part, unreadable)) return parts;
    parts.push_back(std::move(part));
  }
}

std::shared_ptr<const TensorSource> open_weights_file(const std::filesystem::path& path,
                                                      std::vector<std::string>& warnings) {
  MappedFile file = is_in_parts(path) ? MappedFile::open_parts(path) : MappedFile::open(path);
  const std::string_view text = file.text();
  // A safetensors file may begin with any byte, the length of its header; its ninth byte is fixed,
  // and in a ZIP file that byte is the compression method, never {.
  if (text.size() > 8 && text[8] == '{') return open_safetensors(std::move(file));
  if (text.starts_with("PK\x03\x04")) return open_torch_file(std::move(file), warnings);
  const std::string name = path.filename().string();
  if (path.extension() != ".safetensors") {
    std::string_view form = foreign_form(text);
    if (form.empty()) form = "neither a safetensors file nor a PyTorch zip file";
    fail(Fault::checkpoint, name + ": " + std::string(form));
  }
  return open_safetensors(std::move(file));
}

}  // namespace genossm
