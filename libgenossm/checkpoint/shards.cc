#include "libgenossm/checkpoint/shards.h"

#include <map>
#include <set>
#include <system_error>
#include <utility>

#include "kernels/core/error.h"
#include "libgenossm/base/json.h"
#include "libgenossm/base/text.h"
#include "libgenossm/checkpoint/weights_file.h"

namespace genossm {
namespace {

namespace fs = std::filesystem;

class Shards : public TensorSource {
 public:
  void add(std::shared_ptr<const TensorSource> source) {
    for (std::size_t i = 0; i < source->tensors().size(); ++i) {
      infos_.push_back(source->tensors()[i]);
      places_.push_back({source.get(), i});
    }
    sources_.push_back(std::move(source));
  }

  const std::vector<TensorInfo>& tensors() const override { return infos_; }
  void read_f32(std::size_t i, std::span<float> out) const override {
    places_[i].source->read_f32(places_[i].index, out);
  }
  void read_i64(std::size_t i, std::span<std::int64_t> out) const override {
    places_[i].source->read_i64(places_[i].index, out);
  }
  std::optional<std::span<const std::byte>> blob(const std::string& name) const override {
    for (const auto& source : sources_) {
      if (const auto found = source->blob(name)) return found;
    }
    return std::nullopt;
  }
  std::optional<Place> place(std::size_t i) const override {
    return places_[i].source->place(places_[i].index);
  }

 private:
  struct Where {
    const TensorSource* source;
    std::size_t index;
  };
  std::vector<std::shared_ptr<const TensorSource>> sources_;
  std::vector<TensorInfo> infos_;
  std::vector<Where> places_;
};

class ShardReader {
 public:
  explicit ShardReader(const fs::path& index)
      : folder_(index.parent_path()), origin_(index.filename().string()) {}

  std::shared_ptr<const TensorSource> run(const Json& index, std::vector<fs::path>& files,
                                          std::vector<std::string>& warnings) {
    const Json map = index.object("weight_map");
    for (const std::string& tensor : map.keys()) {
      const std::string file = map.text(tensor);
      check_file_name(file);
      file_of_[tensor] = file;
      shards_.insert(file);
    }
    if (shards_.empty()) stop("weight_map names no tensor");
    auto all = std::make_shared<Shards>();
    for (const std::string& file : shards_) {
      const fs::path path = folder_ / file;
      check_file(path, file);
      auto source = open_weights_file(path, warnings);
      check_tensors(*source, file);
      all->add(std::move(source));
      files.push_back(path);
    }
    check_listed(*all);
    return all;
  }

 private:
  [[noreturn]] void stop(const std::string& what) const {
    fail(Fault::checkpoint, origin_ + ": " + what);
  }

  void check_file_name(const std::string& file) const {
    constexpr std::size_t kMost = 10'000;
    if (file.empty() || file.size() > 255 || file == "." || file == ".." ||
        file.find_first_of("/\\") != std::string::npos || !is_plain(file)) {
      stop("the shard \"" + shown(file) + "\" is no plain file name in the folder of the index");
    }
    if (shards_.size() > kMost) stop("more than " + std::to_string(kMost) + " shards");
  }

  void check_file(const fs::path& path, const std::string& file) const {
    std::error_code error;
    const fs::file_status status = fs::status(path, error);
    if (status.type() == fs::file_type::not_found) stop("the shard " + shown(file) + " is missing");
    if (status.type() != fs::file_type::regular) {
      stop("the shard " + shown(file) + " is not a regular file");
    }
  }

  // Every tensor of the shard is listed, and listed there.
  void check_tensors(const TensorSource& source, const std::string& file) const {
    for (const TensorInfo& tensor : source.tensors()) {
      const auto listed = file_of_.find(tensor.name);
      if (listed == file_of_.end()) {
        stop(shown(tensor.name) + " is in " + shown(file) + " and not in the index");
      }
      if (listed->second != file) {
        stop(shown(tensor.name) + " is in " + shown(file) + ", the index has it in " +
             shown(listed->second));
      }
    }
  }

  // No tensor of a shard is unlisted, none can be in two shards: equal counts mean equal sets.
  void check_listed(const TensorSource& all) {
    if (all.tensors().size() == file_of_.size()) return;
    for (const TensorInfo& tensor : all.tensors()) file_of_.erase(tensor.name);
    const auto& [name, file] = *file_of_.begin();
    stop(shown(name) + " is listed and is not in " + shown(file) + "; " +
         std::to_string(file_of_.size()) + " such tensors");
  }

  fs::path folder_;
  std::string origin_;
  std::map<std::string, std::string> file_of_;
  std::set<std::string> shards_;
};

}  // namespace

std::shared_ptr<const TensorSource> open_shards(const fs::path& index, std::vector<fs::path>& files,
                                                std::vector<std::string>& warnings) {
  return ShardReader(index).run(Json::read(index), files, warnings);
}

}  // namespace genossm
