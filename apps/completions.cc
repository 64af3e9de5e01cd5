#include "apps/completions.h"

#include "kernels/core/error.h"

namespace genossm {
namespace {

std::string joined(const std::vector<std::string>& words, const char* between = " ") {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : between) + word;
  return out;
}

std::vector<std::string> option_names(const CommandText& command, bool with_value_only) {
  std::vector<std::string> out;
  for (const OptionText& option : command.options) {
    if (option.argument || (with_value_only && option.value.empty())) continue;
    out.insert(out.end(), option.names.begin(), option.names.end());
  }
  return out;
}

std::vector<std::string> command_names(const std::vector<CommandText>& texts) {
  std::vector<std::string> out;
  for (const CommandText& command : texts) {
    if (!command.name.empty()) out.push_back(command.name);
  }
  return out;
}

// Names of commands and options alone are completed; values and arguments are mostly files, which
// bash completes by itself where a function finds nothing.
std::string bash(const std::vector<CommandText>& texts) {
  std::string out =
      "# bash completion of genossm\n"
      "_genossm() {\n"
      "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} options= values=\n"
      "  COMPREPLY=()\n"
      "  if [[ $COMP_CWORD -eq 1 ]]; then\n"
      "    COMPREPLY=($(compgen -W '" +
      joined(command_names(texts)) + ' ' + joined(option_names(texts[0], false)) +
      "' -- \"$word\"))\n"
      "    return\n"
      "  fi\n"
      "  case ${COMP_WORDS[1]} in\n";
  for (const CommandText& command : texts) {
    if (command.name.empty()) continue;
    out += "    " + command.name + ")\n      options='" + joined(option_names(command, false)) +
           "'\n      values='" + joined(option_names(command, true)) + "' ;;\n";
  }
  out +=
      "    *) return ;;\n"
      "  esac\n"
      "  # After an option with a value comes a value.\n"
      "  [[ \" $values \" == *\" $before \"* ]] && return\n"
      "  [[ $word == -* ]] && COMPREPLY=($(compgen -W \"$options\" -- \"$word\"))\n"
      "}\n"
      "complete -o bashdefault -o default -F _genossm genossm\n";
  return out;
}

// In single quotes.
std::string zsh_quoted(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else if (c == '[' || c == ']' || c == ':' || c == '\\') {
      out += '\\';
      out += c;
    } else {
      out += c == '\n' ? ' ' : c;
    }
  }
  return out;
}

std::string zsh(const std::vector<CommandText>& texts) {
  std::string out =
      "#compdef genossm\n"
      "_genossm() {\n"
      "  local -a commands\n"
      "  commands=(\n";
  for (const CommandText& command : texts) {
    if (command.name.empty()) continue;
    out += "    '" + command.name + ':' + zsh_quoted(command.about) + "'\n";
  }
  out +=
      "  )\n"
      "  if (( CURRENT == 2 )); then\n"
      "    _describe -t commands 'genossm command' commands\n"
      "    return\n"
      "  fi\n"
      "  local command=$words[2]\n"
      "  shift words\n"
      "  (( CURRENT-- ))\n"
      "  case $command in\n";
  for (const CommandText& command : texts) {
    if (command.name.empty()) continue;
    out += "    " + command.name + ")\n      _arguments -s \\\n";
    for (const OptionText& option : command.options) {
      if (option.argument) continue;
      const std::string about = '[' + zsh_quoted(option.about) + ']';
      const std::string value =
          option.value.empty() ? "" : ':' + zsh_quoted(option.value) + ":_files";
      const std::string others = option.names.size() > 1 ? '(' + joined(option.names) + ')' : "";
      for (const std::string& name : option.names) {
        out += "        '" + others + name + about + value + "' \\\n";
      }
    }
    out += "        '*:file:_files' ;;\n";
  }
  return out +
         "  esac\n"
         "}\n"
         "if [[ $funcstack[1] == _genossm ]]; then _genossm \"$@\"; else compdef _genossm genossm; "
         "fi\n";
}

std::string fish_quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c == '\n' ? ' ' : c;
  }
  return out + '\'';
}

std::string fish(const std::vector<CommandText>& texts) {
  std::string out = "# fish completion of genossm\n";
  const auto options = [&](const CommandText& command, const std::string& where) {
    for (const OptionText& option : command.options) {
      if (option.argument) continue;
      out += "complete -c genossm -n '" + where + "'";
      for (const std::string& name : option.names) {
        out += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
      }
      out += (option.value.empty() ? " -d " : " -r -d ") + fish_quoted(option.about) + '\n';
    }
  };
  options(texts[0], "__fish_use_subcommand");
  for (const CommandText& command : texts) {
    if (command.name.empty()) continue;
    out += "complete -c genossm -f -n __fish_use_subcommand -a " + command.name + " -d " +
           fish_quoted(command.about) + '\n';
  }
  for (const CommandText& command : texts) {
    if (command.name.empty()) continue;
    options(command, "__fish_seen_subcommand_from " + command.name);
  }
  return out;
}

}  // namespace

std::string completion(const std::string& shell, const std::vector<CommandText>& texts) {
  if (shell == "bash") return bash(texts);
  if (shell == "zsh") return zsh(texts);
  if (shell == "fish") return fish(texts);
  fail(Fault::usage, "completion: '" + shell + "' is none of bash, zsh, fish");
}

}  // namespace genossm
