// Manual pages, section 1, from the texts of --help.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "apps/command_texts.h"

namespace genossm {

// Names ("genossm-embed.1") and pages. The same texts give the same bytes: they hold no date.
std::vector<std::pair<std::string, std::string>> man_pages(const std::vector<CommandText>& texts);

}  // namespace genossm
