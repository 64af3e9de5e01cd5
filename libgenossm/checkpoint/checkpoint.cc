#include "libgenossm/checkpoint/checkpoint.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <mutex>
#include <system_error>

#include "kernels/core/error.h"
#include "libgenossm/base/mapped_file.h"
#include "libgenossm/base/sha256.h"
#include "libgenossm/checkpoint/shards.h"
#include "libgenossm/checkpoint/weights_file.h"

namespace genossm {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kIndexEnd = ".index.json";

// In order of preference.
constexpr std::array<std::string_view, 4> kUsualNames = {
    "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
    "pytorch_model.bin.index.json"};

bool is_weights_name(const fs::path& file) {
  // What trainers write beside the weights.
  constexpr std::array<std::string_view, 4> kTrainerFiles = {"optimizer", "scheduler", "rng_state",
                                                             "training_args"};
  constexpr std::array<std::string_view, 5> kEndings = {".safetensors", ".pt", ".pth", ".bin",
                                                        ".ckpt"};
  const std::string stem = file.stem().string();
  const std::string ending = file.extension().string();
  return std::find(kEndings.begin(), kEndings.end(), ending) != kEndings.end() &&
         std::none_of(kTrainerFiles.begin(), kTrainerFiles.end(),
                      [&](std::string_view name) { return stem.starts_with(name); });
}

bool has_usual_stem(const std::string& name) {
  constexpr std::array<std::string_view, 6> kStems = {"model",      "pytorch_model", "weights",
                                                      "checkpoint", "ckpt",          "last"};
  return std::find(kStems.begin(), kStems.end(), fs::path(name).stem().string()) != kStems.end();
}

// There, be it as a link that leads nowhere: opening it then says what is wrong.
bool is_there(const fs::path& path) {
  std::error_code error;
  return fs::exists(fs::symlink_status(path, error));
}

fs::path find_weights(const fs::path& folder) {
  for (const std::string_view name : kUsualNames) {
    if (is_there(folder / name)) return folder / name;
  }
  std::vector<std::string> found;
  std::error_code error;
  for (auto entry = fs::directory_iterator(folder, error);
       !error && entry != fs::directory_iterator(); entry.increment(error)) {
    fs::path name = entry->path().filename();
    if (name.extension() == ".part0") name = name.stem();
    if (is_weights_name(name)) found.push_back(name.string());
  }
  if (error) {
    fail(Fault::missing, folder.string() + ": the folder cannot be read: " + error.message());
  }
  if (found.empty()) {
    fail(Fault::missing,
         folder.string() +
             ": holds no weights; want model.safetensors, pytorch_model.bin, an index of either, "
             "or a single .safetensors, .pt, .pth, .bin or .ckpt file");
  }
  if (found.size() > 1) {
    // Beside other tensor files a usual name says which one is the model.
    std::vector<std::string> usual;
    std::copy_if(found.begin(), found.end(), std::back_inserter(usual), has_usual_stem);
    if (usual.size() == 1) return folder / usual[0];
    std::sort(found.begin(), found.end());
    std::string names = found[0];
    for (std::size_t i = 1; i < std::min<std::size_t>(found.size(), 5); ++i)
      names += ", " + found[i];
    fail(Fault::checkpoint, folder.string() + ": holds " + std::to_string(found.size()) +
                                " files that may be the weights (" + names +
                                (found.size() > 5 ? ", ..." : "") +
                                "); name one of them instead of the folder");
  }
  return folder / found[0];
}

}  // namespace

struct Checkpoint::Digest {
  std::once_flag once;
  std::string hex;
};

Checkpoint Checkpoint::open(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (path.extension() == ".part0") return open(path.parent_path() / path.stem());
  const bool parts = is_in_parts(path);
  if (status.type() == fs::file_type::not_found && !parts) {
    fail(Fault::missing, path.string() + ": no such file or folder");
  }
  if (error && !parts)
    fail(Fault::missing, path.string() + ": cannot be examined: " + error.message());

  Checkpoint checkpoint;
  checkpoint.path_ = path;
  fs::path weights = path;
  if (fs::is_directory(status)) {
    checkpoint.folder_ = path;
    weights = find_weights(path);
  } else {
    checkpoint.folder_ = path.has_parent_path() ? path.parent_path() : fs::path(".");
    if (path.extension() == ".json" && !path.filename().string().ends_with(kIndexEnd)) {
      fail(Fault::checkpoint,
           path.string() + ": not a weights file; want it, its index, or the folder");
    }
  }
  const fs::path config = checkpoint.folder_ / "config.json";
  if (is_there(config)) {
    checkpoint.config_ = Json::read(config);
    checkpoint.has_config_ = true;
  }
  checkpoint.open_weights(weights);
  return checkpoint;
}

void Checkpoint::open_weights(const fs::path& weights) {
  label_ = weights.filename().string();
  if (label_.ends_with(kIndexEnd)) {
    source_ = open_shards(weights, files_, warnings_);
  } else {
    source_ = open_weights_file(weights, warnings_);
    if (is_in_parts(weights)) {
      files_ = parts_of(weights);
    } else {
      files_.push_back(weights);
    }
  }
  const std::vector<TensorInfo>& all = source_->tensors();
  places_.reserve(all.size());
  for (std::size_t i = 0; i < all.size(); ++i) places_.emplace(all[i].name, i);
  digest_ = std::make_shared<Digest>();
}

std::optional<std::size_t> Checkpoint::find(std::string_view name) const {
  const auto found = places_.find(name);
  if (found == places_.end()) return std::nullopt;
  return found->second;
}

std::string Checkpoint::sha256() const {
  std::call_once(digest_->once, [this] {
    Sha256 digest;
    for (const fs::path& path : files_) {
      const MappedFile file = MappedFile::open(path);
      // A large file need not stand in memory as a whole for this.
      constexpr std::size_t kStep = std::size_t{64} << 20;
      for (auto rest = file.bytes(); !rest.empty();) {
        const auto step = rest.first(std::min(kStep, rest.size()));
        digest.update(step);
        file.not_needed(step);
        rest = rest.subspan(step.size());
      }
      file.check_unchanged();
    }
    digest_->hex = digest.hex();
  });
  return digest_->hex;
}

}  // namespace genossm
