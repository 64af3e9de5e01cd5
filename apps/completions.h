// Completion scripts of shells, from the texts of --help.
#pragma once

#include <string>
#include <vector>

#include "apps/command_texts.h"

namespace genossm {

// `shell`: bash, zsh or fish; Fault::usage for another.
std::string completion(const std::string& shell, const std::vector<CommandText>& texts);

}  // namespace genossm
