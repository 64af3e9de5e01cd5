// genossm: the list of subcommands, the form of error lines, the exit codes.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <iostream>
#include <new>

#include "apps/build_facts.h"
#include "apps/commands.h"
#include "apps/suggest.h"
#include "kernels/core/error.h"
#include "libgenossm/base/text.h"
#include "libgenossm/io/hts.h"
#include "libgenossm/jobs/keep.h"

namespace genossm {
namespace {

constexpr const char* kAbout =
    "genossm: state-space sequence models of DNA, from FASTA, FASTQ, SAM, BAM and CRAM";

constexpr const char* kExamples =
    "Examples:\n"
    "  genossm embed genome.fa -o vectors.npz            one vector per record, bundled model\n"
    "  genossm embed -f hg38.fa -R peaks.bed -o v.tsv    one vector per region\n"
    "  genossm score --per-record reads.fastq            bits per base of every read\n"
    "  genossm variants -f hg38.fa in.vcf.gz -o out.vcf.gz   every allele scored or a reason "
    "given\n"
    "  genossm classify reads.bam -o classes.tsv         the organism of every read, bundled head\n"
    "  genossm train-head --train train.tsv --test test.tsv -o head.safetensors   a classifier\n"
    "  genossm inspect MODEL                             what is in a checkpoint\n"
    "  genossm doctor                                    what works on this machine\n"
    "Every command has --help. Exit codes: docs/exit-codes.md.";

// One line, whatever the sentence holds: names of files and contigs may hold anything.
int complain(const std::string& command, std::string sentence, int code) {
  std::replace(sentence.begin(), sentence.end(), '\n', ' ');
  std::cerr << "genossm" << (command.empty() ? "" : " ") << command
            << ": error: " << one_line(sentence) << '\n';
  return code;
}

// What CLI11 reads, last first. It knows -W and --write-index=tbi, but not -W=tbi, as bcftools has
// it.
std::vector<std::string> arguments(const std::vector<std::string>& words) {
  std::vector<std::string> out(words.rbegin(), words.rend() - 1);
  for (std::string& word : out) {
    if (word.starts_with("-W=")) word = "--write-index=" + word.substr(3);
  }
  return out;
}

std::string command_of(const CLI::App& root) {
  for (const CLI::App* command : root.get_subcommands()) return command->get_name();
  return "";
}

// "Did you mean --window? " where an option was given that the command does not have.
std::string meant_option(const CLI::App& root) {
  const auto& chosen = root.get_subcommands();
  const CLI::App& app = chosen.empty() ? root : *chosen.front();
  std::vector<std::string> known;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
  }
  for (const std::string& word : root.remaining(true)) {
    if (!word.starts_with("--")) continue;
    const std::string meant = nearest(word.substr(0, word.find('=')), known);
    if (!meant.empty()) return "Did you mean " + meant + "? ";
  }
  return "";
}

int run(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a closed pipe is an output that could not be written
  std::signal(SIGXFSZ, SIG_IGN);  // and so is a file that may not grow
  forbid_reference_downloads();
  const std::vector<std::string> words(argv, argv + argc);
  CLI::App root{kAbout, "genossm"};
  root.set_version_flag("--version",
                        [] { return "genossm " + version() + '\n' + version_parts(); });
  root.footer(kExamples);
  root.require_subcommand(1);
  add_embed(root, words);
  add_score(root, words);
  add_variants(root, words);
  add_mutate(root, words);
  add_train_head(root, words);
  add_classify(root, words);
  add_generate(root, words);
  add_merge(root, words);
  add_inspect(root, words);
  add_bench(root, words);
  add_trace(root, words);
  add_convert(root, words);
  add_doctor(root, words);
  add_completion(root);
  add_help(root);
  if (argc == 1) {
    std::cerr << root.help();
    return exit_code(Fault::usage);
  }
  if (const std::string first = argv[1]; !first.starts_with('-')) {
    std::vector<std::string> names;
    std::string known;
    for (const CLI::App* command : root.get_subcommands({})) {
      names.push_back(command->get_name());
      if (!command->get_group().empty()) known += (known.empty() ? "" : ", ") + names.back();
    }
    if (std::find(names.begin(), names.end(), first) == names.end()) {
      const std::string meant = nearest(first, names);
      return complain("",
                      "no command '" + first + "'. " +
                          (meant.empty() ? "" : "Did you mean " + meant + "? ") +
                          "The commands are " + known,
                      exit_code(Fault::usage));
    }
  }
  try {
    root.parse(arguments(words));
    return 0;
  } catch (const CLI::Success& e) {
    return root.exit(e);  // --help and --version
  } catch (const CLI::ParseError& e) {
    const std::string command = command_of(root);
    return complain(command,
                    std::string(e.what()) + ". " + meant_option(root) + "See genossm " +
                        (command.empty() ? "" : command + " ") + "--help",
                    exit_code(Fault::usage));
  } catch (const Stopped& e) {
    return complain(
        command_of(root),
        std::string("ended by ") + (e.signal() == SIGINT ? "SIGINT" : "SIGTERM") +
            (e.kept() ? ". What was finished is kept: the same command goes on from it"
                      : ". Nothing is kept: streams and --resume never have no journal"),
        128 + e.signal());
  } catch (const Error& e) {
    return complain(command_of(root), e.what(), exit_code(e.fault()));
  } catch (const std::bad_alloc&) {
    return complain(command_of(root), "out of memory. Use a smaller --window, --chunk or --threads",
                    exit_code(Fault::memory));
  } catch (const std::exception& e) {
    return complain(command_of(root), std::string("internal: ") + e.what(),
                    exit_code(Fault::internal));
  }
}

}  // namespace
}  // namespace genossm

int main(int argc, char** argv) { return genossm::run(argc, argv); }
