// Presets: the configs of published models whose files do not bring one, by the name of the file
// (stripedhyena.md section 4, stripedhyena2.md section 4).
#pragma once

#include <optional>
#include <string_view>

#include "libgenossm/base/json.h"

namespace genossm {

// For "evo2_7b", "evo2_7b.pt", "evo-1-8k-base" and the like.
std::optional<Json> preset_config(std::string_view name);

}  // namespace genossm
