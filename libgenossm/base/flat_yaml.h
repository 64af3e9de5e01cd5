// Flat YAML, the form of Evo's config files: lines "key: value" with scalars and lists of scalars
// in brackets, comments after #. Nothing else of YAML.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "libgenossm/base/json.h"

namespace genossm {

// The same as a Json object: True and False (any case), null and ~, numbers; everything else is
// text. Throws Error{Fault::checkpoint} that names the line for what is no such file.
Json parse_flat_yaml(std::string_view text, const std::string& origin);
Json read_flat_yaml(const std::filesystem::path& file);  // Fault::missing if unreadable

}  // namespace genossm
