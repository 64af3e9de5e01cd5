#include "apps/command_texts.h"

namespace genossm {
namespace {

CommandText text_of(const CLI::App& app, bool root) {
  CommandText out;
  out.name = root ? "" : app.get_name();
  out.about = app.get_description();
  if (root) out.footer = app.get_footer();  // which commands inherit
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_group().empty()) continue;  // hidden
    OptionText text;
    for (const std::string& name : option->get_snames()) text.names.push_back('-' + name);
    for (const std::string& name : option->get_lnames()) text.names.push_back("--" + name);
    text.argument = text.names.empty();
    if (text.argument) text.names.push_back(option->get_name(true));
    text.many = option->get_expected_max() > 1;
    if (option->get_expected_max() > 0 && option->get_items_expected_max() > 0) {
      // "INT:POSITIVE" says how it is checked, too.
      const std::string type = option->get_type_name();
      text.value = type.substr(0, type.find_first_of(": "));
      if (text.value.empty()) text.value = "VALUE";
    }
    text.about = option->get_description();
    text.standard = option->get_default_str();
    text.required = option->get_required();
    out.options.push_back(std::move(text));
  }
  return out;
}

}  // namespace

std::vector<CommandText> command_texts(const CLI::App& root) {
  std::vector<CommandText> out{text_of(root, true)};
  for (const CLI::App* command : root.get_subcommands({})) {
    if (!command->get_group().empty()) out.push_back(text_of(*command, false));
  }
  return out;
}

}  // namespace genossm
