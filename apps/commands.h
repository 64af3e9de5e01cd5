// The subcommands. Each adds its options to the root and its work as the callback; `words` is the
// command line, for provenance.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace genossm {

void add_embed(CLI::App& root, const std::vector<std::string>& words);
void add_score(CLI::App& root, const std::vector<std::string>& words);
void add_variants(CLI::App& root, const std::vector<std::string>& words);
void add_mutate(CLI::App& root, const std::vector<std::string>& words);
void add_train_head(CLI::App& root, const std::vector<std::string>& words);
void add_classify(CLI::App& root, const std::vector<std::string>& words);
void add_generate(CLI::App& root, const std::vector<std::string>& words);
void add_merge(CLI::App& root, const std::vector<std::string>& words);
void add_inspect(CLI::App& root, const std::vector<std::string>& words);
void add_bench(CLI::App& root, const std::vector<std::string>& words);
void add_trace(CLI::App& root, const std::vector<std::string>& words);
void add_convert(CLI::App& root, const std::vector<std::string>& words);
void add_doctor(CLI::App& root, const std::vector<std::string>& words);
void add_completion(CLI::App& root);
void add_help(CLI::App& root);

}  // namespace genossm
