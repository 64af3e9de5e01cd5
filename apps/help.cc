// genossm help and genossm completion: what --help says, as a page, as manual pages, as completion
// scripts.
#include <filesystem>
#include <iostream>

#include "apps/command_texts.h"
#include "apps/commands.h"
#include "apps/completions.h"
#include "apps/man_pages.h"
#include "apps/suggest.h"
#include "kernels/core/error.h"
#include "libgenossm/output/text_file.h"

namespace genossm {
namespace {

struct Options {
  std::string command, man;
};

void write_pages(const CLI::App& root, const std::string& folder) {
  for (const auto& [name, page] : man_pages(command_texts(root))) {
    TextFile file((std::filesystem::path(folder) / name).string(), true, false);
    file.write(page);
    file.publish();
  }
}

void help(const CLI::App& root, const Options& options) {
  if (!options.man.empty()) return write_pages(root, options.man);
  if (options.command.empty()) {
    // root.help() would be that of the command that was given: this one.
    std::cout << root.get_formatter()->make_help(&root, root.get_name(),
                                                 CLI::AppFormatMode::Normal);
    return;
  }
  std::vector<std::string> names;
  for (const CLI::App* command : root.get_subcommands({})) {
    if (command->get_name() == options.command) {
      std::cout << command->help(root.get_name());
      return;
    }
    names.push_back(command->get_name());
  }
  const std::string meant = nearest(options.command, names);
  fail(Fault::usage, "no command '" + options.command + "'" +
                         (meant.empty() ? "" : ". Did you mean " + meant + "?"));
}

}  // namespace

void add_help(CLI::App& root) {
  const auto o = std::make_shared<Options>();
  CLI::App* app = root.add_subcommand("help", "What --help says of a command");
  app->group("");  // not among the commands of --help
  app->add_option("command", o->command, "Command");
  app->add_option("--man", o->man, "Write manual pages of all commands into this folder");
  app->callback([&root, o] { help(root, *o); });
}

void add_completion(CLI::App& root) {
  const auto shell = std::make_shared<std::string>();
  CLI::App* app = root.add_subcommand(
      "completion", "A script by which bash, zsh or fish completes commands and options");
  app->add_option("shell", *shell, "bash, zsh or fish")->required();
  app->callback([&root, shell] { std::cout << completion(*shell, command_texts(root)); });
}

}  // namespace genossm
