// What a command is called, does and takes, read from the definitions that --help is made of: the
// source of manual pages and completions.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace genossm {

struct OptionText {
  std::vector<std::string> names;  // "-o", "--output"; of an argument its name without dashes
  std::string value;               // "TEXT", "INT"; "" for flags
  std::string about;
  std::string standard;  // the default; "" where none is shown
  bool argument = false, required = false, many = false;
};

struct CommandText {
  std::string name;  // "" for the program itself
  std::string about;
  std::string footer;  // of the program itself
  std::vector<OptionText> options;
};

// The program, then its commands in the order of the help; hidden ones are left out.
std::vector<CommandText> command_texts(const CLI::App& root);

}  // namespace genossm
