#include "apps/man_pages.h"

#include "apps/build_facts.h"

namespace genossm {
namespace {

// Text as groff reads it back: nothing in it is a request or an escape, hyphens are minus signs.
std::string plain(const std::string& text) {
  std::string out;
  bool line_start = true;
  for (const char c : text) {
    if (line_start && (c == '.' || c == '\'')) out += "\\&";
    line_start = c == '\n';
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else if (c == '\'') {
      out += "\\(aq";
    } else if (c == '~') {
      out += "\\(ti";
    } else if (c == '^') {
      out += "\\(ha";
    } else {
      out += c;
    }
  }
  return out;
}

std::string full_name(const CommandText& command) {
  return command.name.empty() ? "genossm" : "genossm-" + command.name;
}

std::string upper(std::string text) {
  for (char& c : text) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
  }
  return text;
}

std::string synopsis(const CommandText& command, bool commands) {
  std::string out = ".B genossm";
  if (commands) return out + "\n.I COMMAND\n[\\fIOPTIONS\\fR]\n";
  out += ' ' + plain(command.name) + "\n[\\fIOPTIONS\\fR]\n";
  for (const OptionText& option : command.options) {
    if (!option.argument) continue;
    const std::string name =
        "\\fI" + plain(upper(option.names[0])) + "\\fR" + (option.many ? "..." : "");
    out += option.required ? name + '\n' : '[' + name + "]\n";
  }
  return out;
}

std::string options_text(const CommandText& command, bool arguments) {
  std::string out;
  for (const OptionText& option : command.options) {
    if (option.argument != arguments) continue;
    out += ".TP\n";
    for (std::size_t i = 0; i < option.names.size(); ++i) {
      if (i > 0) out += ", ";
      out += arguments ? "\\fI" + plain(upper(option.names[i])) + "\\fR"
                       : "\\fB" + plain(option.names[i]) + "\\fR";
    }
    if (!option.value.empty() && !arguments) out += " \\fI" + plain(option.value) + "\\fR";
    out += '\n' + plain(option.about) + (option.about.ends_with('.') ? "" : ".");
    if (option.required && !arguments) out += " Required.";
    if (!option.standard.empty()) out += " Default: \\fB" + plain(option.standard) + "\\fR.";
    out += '\n';
  }
  return out;
}

std::string page(const CommandText& command, const std::vector<CommandText>& all) {
  const bool root = command.name.empty();
  std::string out = ".TH " + upper(full_name(command)) + " 1 \"\" \"genossm " + version() +
                    "\" \"genossm\"\n.nh\n.ad l\n";
  out += ".SH NAME\n" + plain(full_name(command)) + " \\- " +
         plain(root ? "state-space sequence models of DNA" : command.about) + '\n';
  out += ".SH SYNOPSIS\n" + synopsis(command, root);
  if (root) {
    out += ".SH DESCRIPTION\n" + plain(command.about) + ".\n.SH COMMANDS\n";
    for (const CommandText& other : all) {
      if (other.name.empty()) continue;
      out += ".TP\n.BR " + plain(full_name(other)) + " (1)\n" + plain(other.about) + ".\n";
    }
  } else {
    out += ".SH DESCRIPTION\n" + plain(command.about) + ".\n";
    if (const std::string arguments = options_text(command, true); !arguments.empty()) {
      out += ".SH ARGUMENTS\n" + arguments;
    }
  }
  out += ".SH OPTIONS\n" + options_text(command, false);
  if (!command.footer.empty()) {
    out += ".SH EXAMPLES\n.nf\n" + plain(command.footer) + "\n.fi\n";
  }
  out +=
      ".SH EXIT STATUS\n"
      ".TP\n0\nEverything asked for was done, and is written.\n"
      ".TP\n1\\-9\nOne line on standard error says what, where and why; the number says the "
      "kind: 1 internal, 2 usage, 3 input wrong, 4 input missing, 5 output not written, "
      "6 checkpoint refused, 7 memory, 8 device, 9 a figure out of its bound.\n"
      ".TP\n128+\\fIn\\fR\nEnded by signal \\fIn\\fR.\n";
  out += ".SH SEE ALSO\n";
  std::string see;
  for (const CommandText& other : all) {
    if (other.name == command.name) continue;
    see += (see.empty() ? "" : ",\n") + std::string(".BR ") + plain(full_name(other)) + " (1)";
  }
  return out + see + '\n';
}

}  // namespace

std::vector<std::pair<std::string, std::string>> man_pages(const std::vector<CommandText>& texts) {
  std::vector<std::pair<std::string, std::string>> out;
  for (const CommandText& command : texts) {
    out.emplace_back(full_name(command) + ".1", page(command, texts));
  }
  return out;
}

}  // namespace genossm
