// Reading the stored vectors of tests/golden and comparing with them.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "kernels/core/buffer.h"
#include "libgenossm/checkpoint/tensor_info.h"

namespace genossm::testing {

// A tensor of a .safetensors file, as float32.
struct Golden {
  std::vector<Index> shape;
  std::vector<float> values;
  // One sequence of a batch, [L, C].
  View<const float, 2> matrix(Index batch = 0) const;
};

class GoldenFile {
 public:
  explicit GoldenFile(const std::filesystem::path& path);
  bool has(const std::string& name) const;
  Golden tensor(const std::string& name) const;  // throws if it is not there
  std::vector<std::int64_t> integers(const std::string& name) const;
  std::vector<Index> shape(const std::string& name) const;
  std::vector<std::string> names() const;

 private:
  std::size_t index(const std::string& name) const;
  std::shared_ptr<const TensorSource> source_;
};

// The largest |got - want| over the largest |want|; infinity if the shapes differ or got is not
// finite where want is.
double relative_error(View<const float, 2> got, View<const float, 2> want);

// Folders tests/golden/FAMILY/CASE, sorted.
std::vector<std::string> cases_of(const std::string& family);
std::filesystem::path golden_folder();
// What to open as the model of a case "FAMILY/CASE": its folder, or its weights file where the
// folder alone would leave a choice (expected.safetensors has an ending of weights too).
std::filesystem::path model_of(const std::string& name);

}  // namespace genossm::testing
