// genossm doctor: what works on this machine, what does not and why, and whether it computes right.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iomanip>
#include <iostream>

#include "apps/build_facts.h"
#include "apps/commands.h"
#include "apps/machine.h"
#include "apps/shared_options.h"
#include "libgenossm/checkpoint/checkpoint.h"
#include "libgenossm/runtime/planner.h"
#include "libgenossm/runtime/self_test.h"

namespace genossm {
namespace {

namespace fs = std::filesystem;

struct Options {
  int threads = 0;
  bool json = false;
};

constexpr const char* kBundled[] = {"genossm-mini-ps", "genossm-mini-causal"};
// As the golden tests: of the largest value.
constexpr double kModelBound = 2e-5, kModelBoundBf16 = 2.5e-2;

// ok: works; note: works, but worth knowing; none: is not there, with the reason; bad: is wrong.
enum class State { ok, note, none, bad };

const char* name_of(State state) {
  constexpr const char* kNames[] = {"ok", "note", "none", "BAD"};
  return kNames[static_cast<int>(state)];
}

std::string gibibytes(Index bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f GiB", static_cast<double>(bytes) / 0x1p30);
  return text;
}

std::string short_number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2g", value);
  return text;
}

class Doctor {
 public:
  explicit Doctor(const Options& options)
      : options_(options), threads_(options.threads > 0 ? options.threads : available_threads()) {}

  // Whether all is well.
  bool run() {
    say("program", State::ok, "genossm " + version() + ", " + format_facts());
    processor();
    memory();
    const int gpus = graphics();
    htslib();
    models();
    ops();
    for (const char* name : kBundled) {
      const auto found = std::find_if(sound_.begin(), sound_.end(), [&](const fs::path& folder) {
        return folder.filename() == name;
      });
      if (found == sound_.end()) continue;
      for (const Precision precision : {Precision::fp32, Precision::bf16}) {
        Device cpu{Cpu(threads_)};
        model(*found, cpu, "cpu", precision);
        for (int gpu = 0; gpu < gpus; ++gpu) {
          on_gpu(*found, gpu, precision);
        }
      }
    }
    if (options_.json) print_json();
    return well_;
  }

 private:
  struct Line {
    std::string what, text;
    State state;
  };
  struct Check {
    std::string name, back_end;
    double error, bound;
    bool good;
  };

  void say(const std::string& what, State state, const std::string& text) {
    if (state == State::bad) well_ = false;
    if (!options_.json) {
      std::cout << std::left << std::setw(5) << name_of(state) << std::setw(20) << what << text
                << std::endl;
    }
    lines_.push_back({what, text, state});
  }

  void processor() {
    std::string text = processor_name();
    say("processor", State::ok,
        (text.empty() ? "" : text + ", ") + "instruction set " + simd_level() + " of " +
            simd_levels());
    say("bfloat16", cpu_has_bf16() ? State::ok : State::note,
        cpu_has_bf16() ? "matrix products in hardware"
                       : "no matrix products in hardware: --precision bf16 is emulated, slower "
                         "than fp32");
    const MachineCores cores = machine_cores();
    text = std::to_string(threads_) + " threads are used: the machine has " +
           std::to_string(cores.online) + " cores, the affinity mask allows " +
           std::to_string(cores.affinity) + ", the cgroup ";
    if (cores.quota) {
      char quota[32];
      std::snprintf(quota, sizeof quota, "%.2f", *cores.quota);
      text += std::string("grants the time of ") + quota;
    } else {
      text += "sets no limit";
    }
    say("cores", State::ok, text);
  }

  void memory() {
    const MachineMemory memory = machine_memory();
    const Index usable = available_memory();
    // Bundled models are content with less; published ones often are not.
    constexpr Index kLittle = Index{1} << 30;
    say("memory", usable < kLittle ? State::note : State::ok,
        gibibytes(usable) + " can be used: the machine has " + gibibytes(memory.total) + ", " +
            gibibytes(memory.available) + " are free, the cgroup " +
            (memory.limit ? "allows " + gibibytes(*memory.limit) : "sets no limit"));
  }

  // The number of GPUs that can be used.
  int graphics() {
    const GpuDriver driver = gpu_driver();
    const bool has_driver = driver.not_opened.empty();
    std::string text = has_driver ? "" : "no NVIDIA driver (" + driver.not_opened + ")";
    if (has_driver) {
      text = "NVIDIA driver for CUDA " + std::to_string(driver.cuda / 1000) + '.' +
             std::to_string(driver.cuda % 1000 / 10);
    } else if (!driver.module.empty()) {
      text = "the kernel has a driver (" + driver.module + "), but its library does not open (" +
             driver.not_opened + ")";
    }
    say("gpu driver", has_driver ? State::ok : State::none, text);
    if constexpr (!build::has_cuda) {
      say("cuda engine", State::none,
          "this program was built without it: build with nvcc on the path for one that has it");
      return 0;
    } else {
      return cuda_parts(has_driver);
    }
  }

  int cuda_parts(bool has_driver) {
    std::string why;
    bool found = false;
    // The names by which the engine looks for it.
    for (const char* name : {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"}) {
      const std::string not_opened = why_not_opened(name);
      if (not_opened.empty()) {
        say("cublaslt", State::ok, name);
        found = true;
        break;
      }
      if (why.empty()) why = not_opened;
    }
    if (!found) {
      say("cublaslt", has_driver ? State::bad : State::none,
          "matrix products on a GPU need it (" + why + "). Install cuBLAS of CUDA 13 or 12");
    }
    int usable = 0;
    if constexpr (build::has_cuda) usable = cuda_devices();
    if (usable == 0) say("gpus", State::none, "none that this process may use");
    for (int i = 0; i < usable; ++i) describe_gpu(i);
    return found ? usable : 0;
  }

  void describe_gpu(int index) {
    try {
      Device device = gpu_device(index);
      if constexpr (build::has_cuda) {
        const Cuda& cuda = *as_cuda(device);
        say("gpu " + std::to_string(index), State::ok,
            cuda.name() + ", " + gibibytes(cuda.total_memory()) + ", free " +
                gibibytes(cuda.free_memory()));
      }
    } catch (const Error& e) {
      say("gpu " + std::to_string(index), State::bad, e.what());
    }
  }

  void htslib() {
    const HtslibFacts facts = htslib_facts();
    say("htslib", State::ok, facts.version + ", " + facts.features);
    if (!facts.holes.empty()) say("htslib", State::note, facts.holes);
    say("network", State::ok,
        "not used: references of CRAM come from --fasta-ref or the file itself, never from an "
        "address");
  }

  // Bundled models, their weights against the sums that were released with them.
  void models() {
    const std::vector<fs::path> folders = share_folders("models");
    const auto folder = std::find_if(folders.begin(), folders.end(), [](const fs::path& f) {
      std::error_code none;
      return fs::is_directory(f, none);
    });
    if (folder == folders.end()) {
      std::string looked;
      for (const fs::path& f : folders) looked += (looked.empty() ? "" : ", ") + f.string();
      say("models", State::bad, "the bundled models are not found under " + looked);
      return;
    }
    say("models", State::ok, folder->string());
    for (const char* name : kBundled) {
      try {
        const ModelFigures figures = ModelFigures::read(*folder / name / "selftest.json");
        const std::string sum = Checkpoint::open(*folder / name).sha256();
        const bool right = sum == figures.weights_sha256;
        say(name, right ? State::ok : State::bad,
            right ? "weights sha256 " + sum
                  : "weights sha256 " + sum + ", released were " + figures.weights_sha256 +
                        ". Install it again");
        if (right) sound_.push_back(*folder / name);
      } catch (const Error& e) {
        say(name, State::bad, e.what());
      }
    }
    if (const char* list = std::getenv("GENOSSM_MODELS")) {
      for (const std::string& each : CLI::detail::split(list, ':')) {
        std::error_code none;
        const bool there = fs::is_directory(each, none);
        say("models", there ? State::ok : State::note,
            "$GENOSSM_MODELS names " + each + (there ? "" : ", which is no folder"));
      }
    }
  }

  void ops() {
    Cpu cpu(threads_);
    const std::vector<SelfCheck> checks = check_ops(cpu);
    double worst = 0;
    std::string of;
    for (const SelfCheck& check : checks) {
      if (!(check.error <= worst)) worst = check.error, of = check.name;
      record(check, "cpu");
      if (!check.good()) {
        say(check.name, State::bad,
            "differs from its definition by " + short_number(check.error) +
                " of the largest value, allowed are " + short_number(check.bound));
      }
    }
    if (std::all_of(checks.begin(), checks.end(), [](const SelfCheck& c) { return c.good(); })) {
      say("ops", State::ok,
          std::to_string(checks.size()) + " ops beside their definitions in double, at most " +
              short_number(worst) + " of the largest value apart (" + of + ')');
    }
  }

  void on_gpu(const fs::path& folder, int index, Precision precision) {
    try {
      Device device = gpu_device(index);
      model(folder, device, "cuda:" + std::to_string(index), precision);
    } catch (const Error& e) {
      say("cuda:" + std::to_string(index), State::bad, e.what());
    }
  }

  void model(const fs::path& folder, Device& device, const std::string& back_end,
             Precision precision) {
    const bool bf16 = precision == Precision::bf16;
    const std::string where = back_end + (bf16 ? " bf16" : " fp32");
    try {
      const ModelFigures figures = ModelFigures::read(folder / "selftest.json");
      const OpenedModel opened = open_model({folder, ""}, device, precision);
      const SelfCheck check =
          check_model(opened, device, figures, bf16 ? kModelBoundBf16 : kModelBound);
      record(check, where);
      say("self-test", check.good() ? State::ok : State::bad,
          where + ", " + check.name + ": " + short_number(check.error) +
              " of the largest value from a run in float64, allowed are " +
              short_number(check.bound));
    } catch (const Error& e) {
      say("self-test", State::bad, where + ": " + e.what());
    }
  }

  void record(const SelfCheck& check, const std::string& back_end) {
    checks_.push_back({check.name, back_end, check.error, check.bound, check.good()});
  }

  void print_json() const {
    // JSON has no infinity.
    const auto number = [](double value) {
      return std::isfinite(value) ? short_number(value) : std::string("null");
    };
    std::string lines, checks;
    for (const Line& line : lines_) {
      lines += (lines.empty() ? "" : ", ") + json_line({{"what", json_text(line.what)},
                                                        {"state", json_text(name_of(line.state))},
                                                        {"text", json_text(line.text)}});
    }
    for (const Check& check : checks_) {
      checks += (checks.empty() ? "" : ", ") + json_line({{"name", json_text(check.name)},
                                                          {"back_end", json_text(check.back_end)},
                                                          {"error", number(check.error)},
                                                          {"bound", number(check.bound)},
                                                          {"good", check.good ? "true" : "false"}});
    }
    std::cout << json_line({{"program", json_text("genossm doctor")},
                            {"version", json_text(version())},
                            {"well", well_ ? "true" : "false"},
                            {"facts", '[' + lines + ']'},
                            {"checks", '[' + checks + ']'}})
              << '\n';
  }

  const Options& options_;
  int threads_;
  bool well_ = true;
  std::vector<Line> lines_;
  std::vector<Check> checks_;
  std::vector<fs::path> sound_;  // bundled models whose weights are what they should be
};

}  // namespace

void add_doctor(CLI::App& root, const std::vector<std::string>&) {
  const auto o = std::make_shared<Options>();
  CLI::App* app = root.add_subcommand(
      "doctor", "What works on this machine and why not, with a numeric self-test");
  app->add_option("-@,--threads", o->threads, "Compute threads [all that this process may use]")
      ->check(CLI::Range(1, 4096));
  app->add_flag("--json", o->json, "The report as JSON");
  app->callback([o] {
    if (Doctor(*o).run()) return;
    fail(Fault::bound, "this machine or this installation is not sound: see the lines marked BAD");
  });
}

}  // namespace genossm
