// FeatureCache: features of a set of sequences kept on disk, so that a second fit starts at once.
//
// The key is a text that names all that the features depend on: the model's checksum, precision,
// device and instruction set, the recipe, and the checksum of the sequences in order. A file holds
// the whole key and is used only if it is the same.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "libgenossm/jobs/head_recipe.h"
#include "libgenossm/tasks/features.h"

namespace genossm {

class FeatureCache {
 public:
  // `folder` is made when the first features are stored; empty: nothing is ever kept.
  explicit FeatureCache(std::string folder) : folder_(std::move(folder)) {}

  std::optional<FeatureRows> find(const std::string& key, Index rows) const;
  // False if the folder cannot be written: a cache that fails is none.
  bool store(const std::string& key, const FeatureRows& features) const;

  const std::string& folder() const { return folder_; }

 private:
  std::string path_of(const std::string& key) const;
  std::string folder_;
};

// `machine`: what else decides the bits, e.g. the program's version and the instruction set.
std::string feature_key(const OpenedModel& model, const HeadRecipe& recipe,
                        const std::vector<std::string_view>& sequences, const std::string& machine);

}  // namespace genossm
