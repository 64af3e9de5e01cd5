#include "apps/shared_options.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <system_error>

#include "apps/build_facts.h"
#include "apps/command_line.h"
#include "kernels/matmul/matmul.h"
#include "libgenossm/base/text.h"

namespace genossm {
namespace {

namespace fs = std::filesystem;

// Where names of models are looked up: $GENOSSM_MODELS, then among the bundled ones.
std::vector<fs::path> model_folders() {
  std::vector<fs::path> folders;
  if (const char* list = std::getenv("GENOSSM_MODELS")) {
    std::string all(list);
    for (std::size_t at = 0; at <= all.size();) {
      const auto colon = std::min(all.find(':', at), all.size());
      if (colon > at) folders.emplace_back(all.substr(at, colon - at));
      at = colon + 1;
    }
  }
  for (fs::path& folder : share_folders("models")) folders.push_back(std::move(folder));
  return folders;
}

// Passes numbers for which `good` holds; what is no number is left to the conversion.
template <class Good>
CLI::Validator number_validator(Good good, const std::string& want, const std::string& name) {
  return CLI::Validator(
      [good, want](std::string& text) {
        double value = 0;
        if (!CLI::detail::lexical_cast(text, value) || good(value)) return std::string();
        return "'" + text + "' is out of range: want " + want;
      },
      name);
}

}  // namespace

CLI::Validator positive() {
  return number_validator([](double v) { return v > 0; }, "a number above 0", "POSITIVE");
}

CLI::Validator not_negative() {
  return number_validator([](double v) { return v >= 0; }, "0 or more", "NONNEGATIVE");
}

void refuse_given(const CLI::App& app, std::initializer_list<const char*> options,
                  const std::string& applies) {
  for (const char* option : options) {
    if (app.count(option) > 0) {
      fail(Fault::usage, std::string(option) + " applies to " + applies);
    }
  }
}

std::vector<fs::path> share_folders(const std::string& kind) {
  std::vector<fs::path> folders;
  std::error_code none;
  const fs::path program = fs::read_symlink("/proc/self/exe", none);
  if (!none) {
    const fs::path folder = program.parent_path();
    folders.push_back((folder / "../share/genossm" / kind).lexically_normal());
    folders.push_back((folder / "../../data" / kind).lexically_normal());  // a build folder
  }
  folders.emplace_back(fs::path(GENOSSM_SHARE) / kind);
  return folders;
}

bool parse_special_tokens(const std::string& text) {
  if (text != "published" && text != "none") {
    fail(Fault::usage, "--special-tokens '" + text + "' is none of published, none");
  }
  return text == "published";
}

std::vector<Index> parse_layers(const std::string& text, Index layers) {
  std::vector<Index> out;
  for (std::size_t at = 0; at <= text.size();) {
    const auto comma = std::min(text.find(',', at), text.size());
    const std::string word = text.substr(at, comma - at);
    at = comma + 1;
    if (word == "last") {
      out.push_back(Features::kLast);
      continue;
    }
    Index layer = -1;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), layer);
    if (error != std::errc() || end != word.data() + word.size() || layer < 0 || layer > layers) {
      fail(Fault::usage, "--layer '" + word + "': want last, or 0 (the embedding) to " +
                             std::to_string(layers) + " (after the last block)");
    }
    out.push_back(layer);
  }
  return out;
}

Index parse_bytes(const std::string& text, const std::string& option) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  std::string unit(end, text.data() + text.size());
  for (char& c : unit) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  if (unit.size() > 1 && unit.back() == 'B') unit.pop_back();
  if (unit.size() > 1 && unit.back() == 'I') unit.pop_back();
  const double scale = unit.empty()  ? 1
                       : unit == "K" ? 0x1p10
                       : unit == "M" ? 0x1p20
                       : unit == "G" ? 0x1p30
                       : unit == "T" ? 0x1p40
                                     : 0;
  if (error != std::errc() || scale == 0 || !(value * scale >= 1) || value * scale > 0x1p62) {
    fail(Fault::usage, option + " '" + text + "': want a size such as 500M or 16G");
  }
  return static_cast<Index>(value * scale);
}

void ModelOptions::add(CLI::App& app, const std::string& bundled) {
  bundled_ = bundled;
  app.add_option("-m,--model", model,
                 "Model: a folder as published, a weights file, or a name under $GENOSSM_MODELS; "
                 "NAME@sha256:HEX pins it" +
                     (bundled.empty() ? "" : " [" + bundled + "]"));
  app.add_option("--device", device, "auto, cpu, cuda or cuda:N; auto is a GPU where there is one")
      ->capture_default_str();
  app.add_option("--precision", precision,
                 "auto, fp32 or bf16; auto is fp32 on a CPU, bf16 on a GPU")
      ->capture_default_str();
  app.add_option("-@,--threads", threads, "Compute threads [all that this process may use]")
      ->check(CLI::Range(1, 4096));
  app.add_option("--memory", memory, "Memory that may be used, e.g. 8G [what is free]");
  app.add_option("--missing-scales", missing_scales,
                 "Evo 2 files that lack their 8-bit scales: refuse, or one (computed with 1, far "
                 "from the published predictions)")
      ->capture_default_str();
}

void ModelOptions::add_lowercase(CLI::App& app) {
  app.add_option("--lowercase", lowercase,
                 "Lower-case letters: published (as the model's table has them; HyenaDNA's makes "
                 "them unknown) or upper (as upper case)")
      ->capture_default_str();
}

int ModelOptions::thread_count() const { return threads > 0 ? threads : available_threads(); }

Index ModelOptions::memory_bytes() const {
  return memory.empty() ? available_memory() : parse_bytes(memory, "--memory");
}

int ModelOptions::gpu() const {
  if (device == "cpu") return -1;
  const bool cuda = device == "cuda" || device.starts_with("cuda:");
  if (device != "auto" && !cuda) {
    fail(Fault::usage, "--device '" + device + "' is none of auto, cpu, cuda, cuda:N");
  }
  if constexpr (build::has_cuda) {
    if (device == "auto") return cuda_devices() > 0 ? 0 : -1;
    if (device == "cuda") return 0;
    int index = 0;
    const char* from = device.data() + 5;
    const char* end = device.data() + device.size();
    const auto [rest, error] = std::from_chars(from, end, index);
    if (error != std::errc() || rest != end || index < 0) {
      fail(Fault::usage, "--device '" + device + "': want a number after cuda:");
    }
    return index;
  }
  if (cuda) {
    fail(Fault::device, "--device " + device + ": this build has no CUDA. Use --device cpu");
  }
  return -1;
}

Device ModelOptions::open_device() const {
  const int index = gpu();
  return index >= 0 ? gpu_device(index) : Device{Cpu(thread_count())};
}

Precision ModelOptions::chosen_precision() const {
  if (precision != "auto" && precision != "fp32" && precision != "bf16") {
    fail(Fault::usage, "--precision '" + precision + "' is none of auto, fp32, bf16");
  }
  if (precision == "auto") return gpu() >= 0 ? Precision::bf16 : Precision::fp32;
  return precision == "bf16" ? Precision::bf16 : Precision::fp32;
}

ModelPath ModelOptions::find() const {
  const std::string name = model.empty() ? bundled_ : model;
  if (name.empty()) fail(Fault::usage, "no model: give one with -m");
  const std::vector<fs::path> folders = model_folders();
  return find_model(name, folders);
}

OpenedModel ModelOptions::open(Device& where, bool quiet) const {
  const Precision chosen = chosen_precision();
  if (lowercase != "published" && lowercase != "upper") {
    fail(Fault::usage, "--lowercase '" + lowercase + "' is none of published, upper");
  }
  if (missing_scales != "refuse" && missing_scales != "one") {
    fail(Fault::usage, "--missing-scales '" + missing_scales + "' is none of refuse, one");
  }
  OpenedModel opened = open_model(
      find(), where, chosen, missing_scales == "one" ? MissingScales::one : MissingScales::refuse);
  if (lowercase == "upper") read_upper(opened);
  if (!quiet) {
    if (opened.model.card().precision == Precision::bf16 && !opened.model.card().cuda &&
        !cpu_has_bf16()) {
      std::cerr << "genossm: warning: this processor has no bfloat16 products; --precision bf16 is "
                   "emulated and slower than fp32\n";
    }
    for (const std::string& warning : opened.warnings) {
      std::cerr << "genossm: warning: " << one_line(warning) << '\n';
    }
  }
  return opened;
}

void SequenceOptions::add(CLI::App& app) {
  app.add_option("input", source.inputs,
                 "FASTA, FASTQ, SAM, BAM or CRAM files, plain, gzip or bgzip; - is standard input");
  app.add_option(
      "-f,--fasta-ref", source.fasta_ref,
      "Indexed reference, for regions and for CRAM; without inputs and regions: all its contigs");
  app.add_option(
      "-r,--region", source.regions,
      "Regions of the reference, comma-separated: chr, chr:from-to (1-based, inclusive)");
  app.add_option("-R,--regions-file", source.regions_file, "BED file of regions (0-based)");
  app.add_flag("--clip", source.clip,
               "Cut regions at the ends of their contig instead of refusing them");
  app.add_option("--token-ids", source.token_ids,
                 "Raw token ids instead of sequences: a .npy file of int64, one dimension");
}

void SequenceOptions::check(const ModelOptions& model) const {
  if (!source.token_ids.empty() && model.lowercase == "upper") {
    fail(Fault::usage, "--lowercase upper with --token-ids, which have no letters");
  }
  if (source.clip && source.regions.empty() && source.regions_file.empty()) {
    fail(Fault::usage, "--clip cuts regions: it applies to -r and -R");
  }
}

void SequenceOptions::refuse_windows_of_ids(const CLI::App& app) const {
  if (!source.token_ids.empty()) {
    refuse_given(app, {"--window", "--stride"}, "sequences, not to --token-ids");
  }
}

void WorkOptions::add(CLI::App& app, const std::string& strand_help, bool with_stride) {
  app.add_option(
         "--window", window,
         "Bases that the model sees at once [two-way models: its published context; one-way "
         "models: the whole record]")
      ->check(positive());
  if (with_stride) {
    app.add_option("--stride", stride, "Bases between the starts of windows")->check(positive());
  }
  app.add_option("--chunk", chunk, "Tokens computed at once; never changes a result [planned]")
      ->check(positive());
  app.add_option("--strand", strand, strand_help);
}

RunOptions WorkOptions::options(const ModelOptions& model) const {
  RunOptions run;
  run.window = window;
  run.stride = stride;
  run.chunk = chunk;
  run.memory = model.memory_bytes();
  run.threads = model.thread_count();
  if (!strand.empty()) run.strand = parse_strand(strand);
  return run;
}

namespace {

volatile std::sig_atomic_t ended_by = 0;

// The next one ends the program as signals do.
void note_signal(int signal) {
  ended_by = signal;
  std::signal(signal, SIG_DFL);
}

}  // namespace

void KeepFlags::add(CLI::App& app) {
  app.add_option("--resume", resume,
                 "auto: an interrupted run goes on where it stopped; never: starts anew and keeps "
                 "no journal; require: an error if there is nothing to go on with")
      ->capture_default_str();
  app.add_option("--save-every", interval,
                 "Seconds after which finished work is made safe in the journal")
      ->check(not_negative())
      ->capture_default_str();
  app.add_option("--shard", shard,
                 "Part i/n of the job, or slurm (of an array): writes OUT.shard-i-of-n for genossm "
                 "merge");
}

KeepOptions KeepFlags::options(const ModelOptions& model) const {
  KeepOptions keep;
  keep.resume = parse_resume(resume);
  keep.interval = interval;
  parse_shard(shard, keep, [](const char* name) { return std::getenv(name); });
  keep.machine = std::string(model.gpu() >= 0 ? "cuda" : "cpu") + ", " + simd_level();
  for (const int signal : {SIGINT, SIGTERM}) {
    // One that is ignored from outside stays so.
    if (std::signal(signal, note_signal) == SIG_IGN) std::signal(signal, SIG_IGN);
  }
  keep.stopped = [] { return static_cast<int>(ended_by); };
  return keep;
}

void PlanFlags::add(CLI::App& app) {
  CLI::Option* const plan_flag =
      app.add_flag("--plan", plan,
                   "Do nothing but say what would be done: records, windows, memory, size of the "
                   "output, time");
  app.add_flag("--json", json, "The plan as JSON")->needs(plan_flag);
}

void add_output_options(CLI::App& app, OutputRequest& output, const std::string& types) {
  app.add_option("-o,--output", output.path,
                 "Output file; its suffix decides the type [standard output]");
  app.add_option("-O,--output-type", output.type, "Output type: " + types);
  app.add_flag("--force", output.force, "Overwrite an existing output");
}

void complete(OutputRequest& output, const ModelOptions& model) {
  if (output.path.empty()) output.path = "-";
  output.threads = model.thread_count();
}

void ReportOptions::add(CLI::App& app) {
  app.add_option("--summary", summary, "Write counts, plan, speed and checksums as JSON");
  app.add_option("--multiqc", multiqc,
                 "Write the counts as custom content for MultiQC; name it NAME_mqc.json");
  app.add_flag("--strict", strict, "Stop at the first record that cannot be used in full");
  app.add_option("--progress", progress, "auto, plain or none")->capture_default_str();
  app.add_flag("-q,--quiet", quiet, "Only errors on standard error");
  app.add_flag("-v,--verbose", verbose, "Also print the model and the plan");
  app.add_flag("--no-version", no_version, "Leave version and command out of the output");
}

ProgressKind ReportOptions::progress_kind() const {
  const ProgressKind kind = parse_progress(progress);
  return quiet ? ProgressKind::none : kind;
}

Provenance ReportOptions::provenance() const {
  if (no_version) return {};
  return {{"version", json_text(version())}, {"command", json_text(recorded_command(words))}};
}

}  // namespace genossm
