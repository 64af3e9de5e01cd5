#include "apps/commands.h"
namespace genossm {
void add_bench(CLI::App&, const std::vector<std::string>&) {}
}
