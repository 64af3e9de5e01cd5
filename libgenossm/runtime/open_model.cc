#include "libgenossm/runtime/open_model.h"

#include <algorithm>
#include <cctype>

#include "genossm_published.h"
#include "libgenossm/base/flat_yaml.h"
#include "libgenossm/base/text.h"
#include "libgenossm/checkpoint/loader.h"
#include "libgenossm/model/families/families.h"
#include "libgenossm/model/families/presets.h"
#include "libgenossm/runtime/planner.h"

namespace genossm {
namespace {

namespace fs = std::filesystem;

// model_max_length of the tokenizer's config; transformers writes 1e30 for "none".
Index configured_limit(const fs::path& folder) {
  const fs::path file = folder / "tokenizer_config.json";
  if (!fs::exists(file)) return 0;
  const Json config = Json::read(file);
  if (!config.has("model_max_length")) return 0;
  const double limit = config.number("model_max_length");
  return limit >= 1 && limit < 1e12 ? static_cast<Index>(limit) : 0;
}

// A context that a config states; 0: none. Nothing that computes with it may wrap.
Index stated_context(const Json& config, std::string_view key, Index least) {
  constexpr Index kMost = Index{1} << 40;
  const Index n = config.integer(key, 0);
  if (config.has(key) && (n < least || n > kMost)) {
    fail(Fault::checkpoint, config.where() + ": " + std::string(key) + " is " + std::to_string(n) +
                                ", want " + std::to_string(least) + " to " + std::to_string(kMost));
  }
  return n;
}

// One of two words; what is neither is a mistake that would change numbers.
bool says(const Json& config, std::string_view key, const std::string& one,
          const std::string& other, const std::string& otherwise) {
  const std::string word = config.text(key, otherwise);
  if (word != one && word != other) {
    fail(Fault::checkpoint, config.where() + ": " + std::string(key) + " is '" + shown(word) +
                                "', want " + one + " or " + other);
  }
  return word == one;
}

std::optional<Tokenizer> find_tokenizer(const fs::path& folder, const Card& card,
                                        const Json& config) {
  if (fs::exists(folder / "tokenizer.json")) return Tokenizer::read(folder / "tokenizer.json");
  if (card.family.starts_with("caduceus")) return Tokenizer::caduceus();
  // The original layout describes its layers in an object of their own.
  if (card.family.starts_with("stripedhyena")) return Tokenizer::bytes();
  if (card.family == "hyenadna") return Tokenizer::hyenadna(config.has("layer"));
  return std::nullopt;
}

std::vector<std::string> label_names(const Json& config, Index count) {
  std::vector<std::string> names;
  const Json given = config.object_or_empty("id2label");
  for (Index i = 0; i < count; ++i) {
    const std::string id = std::to_string(i);
    names.push_back(given.text(id, id));
  }
  return names;
}

Index count_parameters(const Checkpoint& checkpoint) {
  Index n = 0;
  for (const TensorInfo& tensor : checkpoint.tensors()) {
    if (tensor.dtype != DType::i64) n += tensor.elements();
  }
  return n;
}

}  // namespace

Index published_context(const std::string& name) {
  std::string low;
  for (const char c : name) low += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  for (const PublishedContext& row : kPublishedContexts) {
    if (low.find(row.name_contains) != std::string::npos) return row.context;
  }
  return 0;
}

ModelPath find_model(const std::string& name, std::span<const fs::path> folders) {
  ModelPath found;
  std::string plain = name;
  if (const auto at = name.find("@sha256:"); at != std::string::npos) {
    plain = name.substr(0, at);
    found.pin = name.substr(at + 8);
    for (char& c : found.pin) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (found.pin.size() != 64 ||
        found.pin.find_first_not_of("0123456789abcdef") != std::string::npos) {
      fail(Fault::usage, "model: '" + name + "': want 64 hexadecimal digits after @sha256:");
    }
  }
  std::error_code unreadable;
  if (fs::exists(plain, unreadable)) {
    found.path = plain;
    return found;
  }
  std::string looked;
  if (plain.find('/') == std::string::npos) {
    for (const fs::path& folder : folders) {
      if (fs::exists(folder / plain, unreadable)) {
        found.path = folder / plain;
        return found;
      }
      looked += (looked.empty() ? "" : ", ") + folder.string();
    }
  }
  fail(Fault::missing, "model: '" + plain + "' is no file or folder" +
                           (looked.empty() ? "" : " and no name under " + looked) +
                           ". Give a model folder, or set GENOSSM_MODELS");
}

void read_upper(OpenedModel& model) {
  if (!model.tokenizer) {
    fail(Fault::usage, "--lowercase upper: " + model.path.string() + " has no tokenizer");
  }
  model.tokenizer->fold_case();
  model.lowercase_upper = true;
}

namespace {

bool claimed(const Json& config) {
  return std::any_of(families().begin(), families().end(),
                     [&](const Family& family) { return family.claims(config); });
}

std::vector<fs::path> yaml_files(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code error;
  for (auto entry = fs::directory_iterator(folder, error);
       !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const fs::path ending = entry->path().extension();
    if (ending == ".yml" || ending == ".yaml") found.push_back(entry->path());
  }
  return found;
}

}  // namespace

Json config_of(const Checkpoint& checkpoint) {
  if (checkpoint.has_config() && claimed(checkpoint.config())) return checkpoint.config();
  const std::vector<fs::path> found = yaml_files(checkpoint.folder());
  const std::string stem = fs::path(checkpoint.label()).stem().string();
  for (const std::string& name : {stem, std::string("config")}) {
    for (const fs::path& path : found) {
      if (path.stem() != name) continue;
      if (const Json config = read_flat_yaml(path); claimed(config)) return config;
    }
  }
  const fs::path folder = fs::weakly_canonical(checkpoint.folder());
  for (const std::string& name : {checkpoint.label(), folder.filename().string()}) {
    if (const auto preset = preset_config(name)) return *preset;
  }
  if (found.size() == 1) {
    if (const Json config = read_flat_yaml(found.front()); claimed(config)) return config;
  }
  if (!checkpoint.has_config()) {
    fail(Fault::checkpoint,
         checkpoint.path().string() +
             ": no config.json beside the weights, no flat .yml, and no published name; the sizes "
             "of the model stand there");
  }
  return checkpoint.config();
}

namespace {

ModelSpec described(const Checkpoint& checkpoint, bool values) {
  const Json config = config_of(checkpoint);
  const Family& family = family_of(config);
  // Training frameworks put a prefix before every name.
  const auto& tensors = checkpoint.tensors();
  const bool prefixed =
      !tensors.empty() && std::all_of(tensors.begin(), tensors.end(), [&](const TensorInfo& t) {
        return t.name.starts_with(family.stray_prefix);
      });
  Loader loader(checkpoint, prefixed ? std::string(family.stray_prefix) : std::string(), values);
  ModelSpec spec = family.describe(config, loader);
  loader.finish();
  return spec;
}

}  // namespace

ModelSpec read_spec(const Checkpoint& checkpoint) { return described(checkpoint, true); }

ModelSpec sketch_checkpoint(const Checkpoint& checkpoint) { return described(checkpoint, false); }

OpenedModel open_model(const ModelPath& where, Device& device, Precision precision,
                       MissingScales missing) {
  const Checkpoint checkpoint = Checkpoint::open(where.path);
  OpenedModel opened;
  opened.path = where.path;
  opened.sha256 = checkpoint.sha256();
  if (!where.pin.empty() && where.pin != opened.sha256) {
    fail(Fault::checkpoint, where.path.string() + ": the weights' SHA-256 is " + opened.sha256 +
                                ", the command pins " + where.pin);
  }
  opened.warnings = checkpoint.warnings();
  opened.parameters = count_parameters(checkpoint);
  ModelSpec spec = read_spec(checkpoint);
  if (spec.unscaled > 0 && missing == MissingScales::refuse) {
    fail(Fault::checkpoint,
         where.path.string() + ": " + std::to_string(spec.unscaled) +
             " blocks have no 8-bit scales in the file (_extra_state), without which predictions "
             "are far worse than published. Use a complete file, or --missing-scales one");
  }
  opened.scales_of_one = spec.unscaled > 0;
  opened.warnings.insert(opened.warnings.end(), spec.warnings.begin(), spec.warnings.end());
  Placement place{&device, precision};
  place.memory = available_memory();
  opened.model = Model::make(std::move(spec), place);

  if (const Tensor& classifier = opened.model.classifier(); classifier.present()) {
    opened.labels = label_names(checkpoint.config(), classifier.shape[0]);
    opened.problem = checkpoint.config().text("problem_type", "");
  }

  const fs::path folder = checkpoint.folder();
  opened.tokenizer = find_tokenizer(folder, opened.model.card(), checkpoint.config());
  opened.scores_bos = opened.model.card().family == "stripedhyena";  // stripedhyena.md section 6
  opened.name = fs::weakly_canonical(folder).filename().string();
  Json extra;
  if (fs::exists(folder / "genossm.json")) extra = Json::read(folder / "genossm.json");
  const std::string folder_name = opened.name;
  opened.name = extra.text("name", opened.name);
  opened.licence = extra.text("licence", "");
  // Published scores of these are over all tokens.
  const bool all_tokens = opened.tokenizer && opened.tokenizer->every_letter();
  opened.alphabet_acgt = says(extra, "alphabet", "acgt", "full", all_tokens ? "full" : "acgt");
  const bool bare = says(extra, "special_tokens", "none", "published", "published");
  if (opened.tokenizer && bare) opened.tokenizer->drop_special_tokens();
  if (extra.has("context")) {
    opened.context = stated_context(extra, "context", 1);
    opened.context_source = "genossm.json";
  } else if (const Index known = published_context(folder_name); known > 0) {
    opened.context = known;
    opened.context_source = "published models";
  } else if (const Index limit = configured_limit(folder); limit > 0) {
    opened.context = limit;
    opened.context_source = "tokenizer_config.json";
  } else if (all_tokens) {
    const Json config = config_of(checkpoint);
    opened.context =
        stated_context(config, config.has("max_seqlen") ? "max_seqlen" : "max_sequence_len", 0);
    opened.context_source = "the config";
  }
  const Card& card = opened.model.card();
  if (card.longest > 0) {
    // The published lengths leave room for two special tokens.
    const Index most = std::max<Index>(1, card.longest - 2);
    if (opened.context == 0 || opened.context > most) {
      opened.context = most;
      opened.context_source = "the length of its filters";
    }
    return opened;
  }
  // A recurrent causal model was trained on some length but is not limited to it.
  if (!opened.model.card().two_way) opened.context_source += " (training length)";
  return opened;
}

}  // namespace genossm
