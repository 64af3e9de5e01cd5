// The command as it is recorded in outputs.
#pragma once

#include <string>
#include <vector>

namespace genossm {

// The whole command, each word quoted for a shell where it has to be.
std::string command_text(const std::vector<std::string>& words);

// The same without what cannot change a result: threads, chunk, memory, output path and
// overwriting, reports. So the bytes of an output do not depend on how the work was cut.
std::string recorded_command(const std::vector<std::string>& words);

}  // namespace genossm
