#include "libgenossm/jobs/generate.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <mutex>

#include "libgenossm/jobs/generate_state.h"
#include "libgenossm/output/atomic_file.h"
#include "libgenossm/output/text_file.h"
#include "libgenossm/runtime/executor.h"

namespace genossm {
namespace {

constexpr char kBases[] = "ACGT";
constexpr std::size_t kLine = 80;

class GenerateRun {
 public:
  GenerateRun(const OpenedModel& model, Device& device, const GenerateOptions& options)
      : model_(model), device_(device), options_(options), prompts_(options.prompts) {
    refuse_senseless();
    if (prompts_.empty()) prompts_.emplace_back();
    seed_ = options.seed.value_or(0);
    if (!options.state.empty()) {
      start_ = parse_generate_state(read(options.state), model, options.state);
      if (!options.seed) seed_ = start_->seed;
    }
    PlanRequest request;
    request.chunk = options.run.chunk;
    request.memory = options.run.memory;
    request.threads = options.run.threads;
    // All of the sequence stays in memory where the model attends to all of it.
    Index longest = 0;
    for (const std::string& prompt : prompts_) {
      longest = std::max(longest, static_cast<Index>(prompt.size()));
    }
    if (start_) longest = start_->state.position();
    room_ = longest + options.length;
    if (model.model.card().history_bytes > 0) request.window = room_;
    if (whole()) request.window = room_ - 1;  // the last base is read by none
    if constexpr (build::has_cuda) {
      if (const Cuda* cuda = as_cuda(device)) request.device_memory = cuda->free_memory() / 10 * 9;
    }
    plan_ = make_plan(model.model.card(), request);
  }

  JobReport run() {
    const std::string type = output_type(options_.output, {"fasta", "fasta.gz"}, "fasta");
    TextFile file(options_.output.path, options_.output.force, type == "fasta.gz",
                  options_.output.threads);
    std::optional<AtomicFile> saved;
    if (!options_.save_state.empty()) saved.emplace(options_.save_state, options_.output.force);
    const auto n = static_cast<Index>(prompts_.size()) * options_.samples;
    std::vector<std::string> bases(static_cast<std::size_t>(n));
    std::string state;
    Cpu* cpu = std::get_if<Cpu>(&device_);
    if (whole()) {
      whole_sequences(bases);
    } else if (cpu != nullptr) {
      // One thread a sequence: a step is a single tile of rows, too little to share.
      std::atomic<Index> next{0};
      cpu->for_each(std::min<Index>(n, plan_.lanes), [&](Index) {
        Device alone{Cpu(1)};
        for (Index i; (i = next++) < n;) {
          bases[static_cast<std::size_t>(i)] = sequence(alone, i, saved ? &state : nullptr);
        }
      });
    } else {
      for (Index i = 0; i < n; ++i) {
        bases[static_cast<std::size_t>(i)] = sequence(device_, i, saved ? &state : nullptr);
      }
    }
    for (Index i = 0; i < n; ++i) write(file, i, bases[static_cast<std::size_t>(i)]);
    if (saved) {
      saved->write(state);
      saved->sync();
    }
    file.publish();
    if (saved) saved->publish();
    report_.records = n;
    report_.bases = n * options_.length;
    report_.windows = n;
    report_.tokens = report_.bases;
    report_.plan = plan_;
    report_.strand = name_of(StrandMode::forward);
    return report_;
  }

 private:
  // Filters as long as the sequence: nothing is carried, each base is predicted from all before it.
  bool whole() const { return model_.model.card().whole; }

  void refuse_senseless() const {
    const Card& card = model_.model.card();
    if (card.objective == Objective::masked || card.two_way) {
      fail(Fault::usage, model_.name +
                             " is a masked model and predicts no next base; generate "
                             "needs a causal one");
    }
    if (card.whole && !(options_.state.empty() && options_.save_state.empty())) {
      fail(Fault::usage, model_.name +
                             " has filters as long as its sequences and no state to go on from: "
                             "--state and --save-state need a recurrent model");
    }
    if (!model_.tokenizer) {
      fail(Fault::checkpoint, model_.path.string() +
                                  ": no tokenizer.json says what its tokens mean. Put one beside "
                                  "the weights");
    }
    for (const std::int32_t id : model_.tokenizer->acgt()) {
      if (id < 0 || id >= card.vocab) {
        fail(Fault::checkpoint, model_.path.string() + ": the tokenizer lacks A, C, G or T");
      }
    }
    check(options_.sampling);
    constexpr Index kMostBases = Index{1} << 40, kMostSamples = 100'000'000;
    if (options_.length < 1 || options_.length > kMostBases) {
      fail(Fault::usage, "--length: want 1 to " + std::to_string(kMostBases) + " bases");
    }
    if (options_.samples < 1 || options_.samples > kMostSamples) {
      fail(Fault::usage, "-n: want 1 to " + std::to_string(kMostSamples) + " sequences");
    }
    const bool one = options_.samples == 1 && options_.prompts.size() <= 1;
    if (!one && !options_.save_state.empty()) {
      fail(Fault::usage, "--save-state keeps one state: want one --prompt and -n 1");
    }
    if (!options_.state.empty() && (!one || !options_.prompts.empty())) {
      fail(Fault::usage,
           "--state goes on with the sequence that it was saved from: leave out "
           "--prompt and -n");
    }
    for (const std::string& prompt : options_.prompts) {
      for (std::size_t i = 0; i < prompt.size(); ++i) {
        if (Tokenizer::base_index(prompt[i]) >= 0 || prompt[i] == 'N' || prompt[i] == 'n') continue;
        fail(Fault::usage,
             "--prompt: letter " + std::to_string(i + 1) + " is none of A, C, G, T, U, N");
      }
    }
  }

  static std::string read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) fail(Fault::missing, path + ": cannot be read");
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }

  std::uint64_t number_of(Index i) const {
    return start_ ? start_->sequence : static_cast<std::uint64_t>(i);
  }

  static Features logits() {
    Features features;
    features.logits = true;
    features.layers.clear();
    return features;
  }

  std::vector<std::int32_t> prompt_of(Index i) const {
    const std::string& prompt = prompts_[static_cast<std::size_t>(i / options_.samples)];
    std::vector<std::int32_t> tokens(prompt.size());
    model_.tokenizer->encode(prompt, tokens);
    return tokens;
  }

  // All sequences, one base of each at a time.
  void whole_sequences(std::vector<std::string>& bases) {
    ExecutorOptions work;
    work.features = logits();
    work.threads = options_.run.threads;
    work.chunk = options_.run.chunk;
    work.memory = options_.run.memory;
    work.window = room_ - 1;
    Executor executor(model_.model, device_, work);
    plan_ = executor.plan();
    const auto& acgt = model_.tokenizer->acgt();
    const auto n = static_cast<Index>(bases.size());
    std::vector<std::vector<std::int32_t>> tokens;
    for (Index i = 0; i < n; ++i) tokens.push_back(prompt_of(i));
    std::vector<std::array<float, 4>> four(bases.size());  // of an empty prompt: all alike
    for (Index made = 0; made < options_.length; ++made) {
      std::vector<Unit> units;
      std::vector<Index> sequences;
      for (Index i = 0; i < n; ++i) {
        const std::vector<std::int32_t>& read = tokens[static_cast<std::size_t>(i)];
        if (read.empty()) continue;
        Unit unit;
        unit.length = static_cast<Index>(read.size());
        unit.tokens = [&read](Index begin, std::span<std::int32_t> out) {
          std::copy_n(read.begin() + begin, out.size(), out.begin());
        };
        unit.first = unit.length - 1;
        unit.count = 1;
        units.push_back(std::move(unit));
        sequences.push_back(i);
      }
      executor.run(units, [&](Index u, Index, View<const float, 2> rows) {
        auto& logit = four[static_cast<std::size_t>(sequences[static_cast<std::size_t>(u)])];
        for (std::size_t b = 0; b < 4; ++b) logit[b] = rows.row(0)[acgt[b]];
      });
      for (Index i = 0; i < n; ++i) {
        const auto at = static_cast<std::size_t>(i);
        const int base = draw(four[at], options_.sampling,
                              uniform(seed_, number_of(i), std::uint64_t{tokens[at].size()}));
        bases[at] += kBases[base];
        tokens[at].push_back(acgt[static_cast<std::size_t>(base)]);
      }
      advance(n);
    }
  }

  // The new bases of sequence i; its state at the end where `state` is not null.
  std::string sequence(Device& device, Index i, std::string* state) {
    Session session(model_.model, device, logits(), plan_.chunk, plan_.slab);
    std::vector<std::int32_t> unread;
    if (start_) session.restore(start_->state);
    session.reserve(room_);
    if (start_) {
      unread = {start_->last};
    } else {
      unread = prompt_of(i);
    }
    const auto& acgt = model_.tokenizer->acgt();
    std::string bases;
    std::array<float, 4> four{};  // of an empty prompt: all alike
    while (static_cast<Index>(bases.size()) < options_.length) {
      const auto place = static_cast<std::uint64_t>(session.state().position()) + unread.size();
      if (!unread.empty()) {
        session.feed(unread, [&](Index, View<const float, 2> rows) {
          for (std::size_t b = 0; b < 4; ++b) four[b] = rows.row(rows.extent[0] - 1)[acgt[b]];
        });
      }
      const int base = draw(four, options_.sampling, uniform(seed_, number_of(i), place));
      bases += kBases[base];
      unread = {acgt[static_cast<std::size_t>(base)]};
      if (bases.size() % 64 == 0) advance(64);
    }
    advance(static_cast<Index>(bases.size() % 64));
    if (state != nullptr) {
      *state = bytes_of({session.state(), unread[0], seed_, number_of(i)}, model_);
    }
    return bases;
  }

  void advance(Index n) {
    if (!options_.run.progress) return;
    const std::lock_guard lock(mutex_);
    done_ += n;
    options_.run.progress(done_,
                          static_cast<Index>(prompts_.size()) * options_.samples * options_.length);
  }

  void write(TextFile& file, Index i, const std::string& bases) const {
    char text[160];  // prompt and sample are counted from 1
    std::snprintf(text, sizeof text, ">generated_%lld_%lld",
                  static_cast<long long>(i / options_.samples + 1),
                  static_cast<long long>(i % options_.samples + 1));
    std::string line = text;
    std::snprintf(text, sizeof text, " seed=%llu temperature=%.9g top_k=%d top_p=%.9g",
                  static_cast<unsigned long long>(seed_), options_.sampling.temperature,
                  options_.sampling.top_k, options_.sampling.top_p);
    file.line(line + " model=" + model_.name + text);
    for (std::size_t at = 0; at < bases.size(); at += kLine) file.line(bases.substr(at, kLine));
  }

  const OpenedModel& model_;
  Device& device_;
  const GenerateOptions& options_;
  std::vector<std::string> prompts_;
  std::uint64_t seed_ = 0;
  std::optional<GenerateState> start_;
  Plan plan_;
  Index room_ = 0;  // tokens of the longest sequence
  JobReport report_;
  std::mutex mutex_;
  Index done_ = 0;
};

}  // namespace

JobReport generate(const OpenedModel& model, Device& device, const GenerateOptions& options) {
  return GenerateRun(model, device, options).run();
}

}  // namespace genossm
